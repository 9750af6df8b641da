"""Pages whose beginning is sent before the database has answered.

The navigation, headings and filters of a page are painted while its part is still being looked
for; the part then follows in the same answer, so that no script is needed to see it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from litestar import Response
from litestar.response import Stream

from gateway.dashboard import wrongs
from gateway.dashboard.rendering import HEADERS, html, render
from gateway.dashboard.visitor import Plain

WAITING = '<p class="waiting">One moment ...</p>\n'
"""Seen for as long as nothing follows. What is typed is escaped, so that it is never this."""
Find = Callable[[], Awaitable[Mapping[str, object]]]


async def flowing(
    request: Plain, templates: tuple[str, str], values: Mapping[str, object], find: Find
) -> Response[Any]:
    """A page, and its part where the page's template says `part`.

    find: asks for what the part's template is told besides `values`.
    """
    page, part = templates

    async def found() -> str:
        return render(part, {**values, **await find()})

    # Whoever swaps a part of it in place waits for that alone, and goes by its status.
    if "hx-request" in request.headers:
        return html(page, {**values, "part": await found()})

    before, _, after = render(page, {**values, "part": WAITING}).partition(WAITING)

    async def sent() -> AsyncIterator[str]:
        yield before + WAITING
        try:
            yield await found() + after
        except Exception as error:  # noqa: BLE001  # its status is sent: all that is left is to tell it
            _, wrong = wrongs.told(request, error)
            yield render("wrong.html", {"wrong": wrong}) + after

    # A proxy before us would wait for the whole of it.
    headers = HEADERS | {"X-Accel-Buffering": "no"}
    return Stream(sent(), media_type="text/html", headers=headers)
