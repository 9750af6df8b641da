"""Numbers, amounts and times as a page writes them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

_NANO = 1_000_000_000
_CENT = 10_000_000


def money(nano: int | None) -> str:
    """Dollars from nano-USD: to the cent where that says enough, exact where it does not."""
    if nano is None:
        return "not known"
    if nano == 0:
        return "$0"
    if abs(nano) >= 100 * _CENT:
        return f"${nano / _NANO:,.2f}"
    exact = f"{Decimal(nano).scaleb(-9):f}".rstrip("0").rstrip(".")
    return f"${exact}"


def count(number: float | None) -> str:
    return "-" if number is None else f"{number:,.0f}"


def seconds(value: float | None) -> str:
    """A length of audio or time, from seconds."""
    if value is None:
        return "-"
    if value < 60:  # noqa: PLR2004
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f} ms" if value < 10_000 else f"{value / 1000:,.1f} s"  # noqa: PLR2004


def share(value: float | None) -> str:
    """Per cent of a share from 0 to 1."""
    return "-" if value is None else f"{100 * value:.1f} %"


def moment(at_ms: int | None) -> str:
    """A time in UTC; the page's script writes it in the visitor's own."""
    if at_ms is None:
        return "never"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def iso(at_ms: int | None) -> str:
    return "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


FILTERS: Mapping[str, Callable[..., str]] = {
    "money": money,
    "count": count,
    "seconds": seconds,
    "milliseconds": milliseconds,
    "share": share,
    "moment": moment,
    "iso": iso,
}
