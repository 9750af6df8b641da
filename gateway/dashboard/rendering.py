"""From what a page found to HTML: templates, and the headers under which they may be shown."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response

from gateway.dashboard import words
from gateway.dashboard.files import address

HERE = Path(__file__).parent
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self' blob:; connect-src 'self'; font-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, and no script or style inside a page, so that text stays text."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@cache
def templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= words.FILTERS
    made.globals["static"] = address
    return made


def render(template: str, values: Mapping[str, object]) -> str:
    return templates().get_template(template).render(values)


def html(
    template: str,
    values: Mapping[str, object],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response[str]:
    """A page, or a part of one that is swapped in place."""
    return Response(
        render(template, values),
        status_code=status,
        media_type="text/html",
        headers=HEADERS | dict(headers or {}),
    )
