"""The plot of a run, an SVG of its own: streams against the time of a frame and of first audio."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from local_engine.benching.record import Result

_WIDTH, _HEIGHT = 560, 470
"""Of a panel, in pixels."""
_LEFT, _TOP, _RIGHT, _BOTTOM = 64, 64, 24, 144
_HEAD = 76
_KEYS = 54
"""From a panel's axis down to the first of its keys."""
_INKS = ("#1d4ed8", "#b45309", "#047857", "#9333ea", "#be123c", "#0e7490")
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2937}.small{font-size:11px;fill:#4b5563}"
    ".title{font-size:15px;font-weight:600}.grid{stroke:#e5e7eb}.axis{stroke:#6b7280}"
)


@dataclass(frozen=True, slots=True)
class Series:
    """Points [streams, milliseconds], both above 0, in the order of streams."""

    name: str
    points: Sequence[tuple[float, float]]
    ink: int
    """Alike for what belongs together."""
    dashed: bool = False
    faint: bool = False


def draw(result: Result) -> str:
    """Draw what was measured; a panel of which nothing was measured says so."""
    panels = (
        _panel("Time of a frame", "ms a frame", frame_times(result)),
        _panel("Time to first audio, over HTTP", "ms", first_audio(result)),
    )
    whole = _WIDTH * len(panels)
    body = [f'<g transform="translate({n * _WIDTH},{_HEAD})">{p}</g>' for n, p in enumerate(panels)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{_HEIGHT + _HEAD}" '
        f'viewBox="0 0 {whole} {_HEIGHT + _HEAD}"><style>{_STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{_about(result)}{"".join(body)}</svg>\n'
    )


def frame_times(result: Result) -> list[Series]:
    """By form and context, with the floor of each context and the 80 ms that a frame lasts."""
    found = []
    contexts = sorted({point.context for point in result.steps})
    for ink, context in enumerate(contexts):
        here = sorted((p for p in result.steps if p.context == context), key=lambda p: p.batch)
        forms = sorted({point.form for point in here}, reverse=True)
        for form in forms:
            times = [(float(p.batch), p.step.mean) for p in here if p.form == form]
            faint = form == "eager" and len(forms) > 1
            found.append(Series(f"{form}, context {context}", times, ink, faint=faint))
        floors = sorted({(float(p.batch), p.floor_ms) for p in here if p.floor_ms})
        if floors:
            found.append(Series(f"floor, context {context}", floors, ink, dashed=True))
    batches = sorted({float(point.batch) for point in result.steps})
    if batches:
        last = [(batch, 80.0) for batch in (batches[0], batches[-1])]
        found.append(Series("80 ms: real time", last, len(contexts), dashed=True))
    return found


def first_audio(result: Result) -> list[Series]:
    """Of each number of clients: the median, and the slowest of 20 and of 100."""
    levels = result.server.levels if result.server else []
    heard = [(float(level.clients), level.first_audio) for level in levels if level.first_audio]
    if not heard:
        return []
    return [
        Series("p50", [(clients, first.p50) for clients, first in heard], 0),
        Series("p95", [(clients, first.p95) for clients, first in heard], 1),
        Series("p99", [(clients, first.p99) for clients, first in heard], 2),
    ]


def _about(result: Result) -> str:
    machine, model = result.machine, result.model
    gpu = (machine.gpu or {}).get("name")
    device = model.device if model else "no device"
    where = f"{gpu}" if gpu and device == "cuda" else f"{machine.cpu}, no GPU in use"
    versions = ", ".join(f"{name} {number}" for name, number in machine.packages.items())
    words = [
        (28, "title", f"CSM engine on {device}: {where}"),
        (46, "small", f"{model.name}, {model.dtype}, {model.weights}" if model else "no model"),
        (62, "small", f"{versions}; commit {machine.commit or 'not known'}; {result.began}"),
    ]
    return "".join(
        f'<text x="{_LEFT}" y="{y}" class="{kind}">{escape(told)}</text>' for y, kind, told in words
    )


def _panel(title: str, unit: str, series: Sequence[Series]) -> str:
    head = f'<text x="{_LEFT}" y="{_TOP - 40}" class="title">{escape(title)}</text>'
    if not series:
        return f'{head}<text x="{_LEFT}" y="{_TOP}" class="small">not measured</text>'
    xs = [x for one in series for x, _ in one.points]
    ys = [y for one in series for _, y in one.points]
    across, up = _Scale.over(xs, _LEFT, _WIDTH - _RIGHT), _Scale.over(ys, _HEIGHT - _BOTTOM, _TOP)
    parts = [head, *_grid(across, up, unit)]
    for number, one in enumerate(series):
        parts += [_line(one, across, up), _key(one, number)]
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Powers of two from `low` to `high`, laid from `begin` to `end`."""

    low: int
    high: int
    begin: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], begin: float, end: float) -> "_Scale":
        low, high = math.floor(math.log2(min(values))), math.ceil(math.log2(max(values)))
        return cls(low, max(high, low + 1), begin, end)

    def at(self, value: float) -> float:
        share = (math.log2(value) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    @property
    def marks(self) -> list[float]:
        return [2.0**power for power in range(self.low, self.high + 1)]


def _grid(across: _Scale, up: _Scale, unit: str) -> list[str]:
    left, right, top, bottom = across.begin, across.end, up.end, up.begin
    parts = []
    for mark in up.marks:
        y = up.at(mark)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(left - 8, y + 4, f"{mark:g}", "end"))
    parts += [_text(across.at(mark), bottom + 18, f"{mark:g}", "middle") for mark in across.marks]
    parts.append(f'<path class="axis" fill="none" d="M{left} {top}V{bottom}H{right}"/>')
    parts.append(_text((left + right) / 2, bottom + 36, "streams at once", "middle"))
    parts.append(_text(left - 48, top - 14, unit, "start"))
    return parts


def _text(x: float, y: float, told: str, anchor: str) -> str:
    return (
        f'<text class="small" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(told)}</text>'
    )


def _line(series: Series, across: _Scale, up: _Scale) -> str:
    spots = [(across.at(x), up.at(y)) for x, y in series.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    line = f'<polyline fill="none" {_stroke(series)} points="{path}"/>'
    ink = _INKS[series.ink % len(_INKS)]
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{ink}"/>' for x, y in spots]
    return line if series.dashed or series.faint else line + "".join(dots)


def _key(series: Series, number: int) -> str:
    """Three columns below the panel's axis."""
    x = _LEFT + 165 * (number % 3)
    y = _HEIGHT - _BOTTOM + _KEYS + 18 * (number // 3)
    line = f'<line x1="{x}" x2="{x + 22}" y1="{y}" y2="{y}" {_stroke(series)}/>'
    return line + _text(x + 28, y + 4, series.name, "start")


def _stroke(series: Series) -> str:
    ink = _INKS[series.ink % len(_INKS)]
    dashes = ' stroke-dasharray="6 4"' if series.dashed else ""
    faint = ' opacity="0.4"' if series.faint else ""
    return f'stroke="{ink}" stroke-width="2"{dashes}{faint}'
