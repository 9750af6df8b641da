"""Audit: who changed what when, and what of it is different since."""

import re
from urllib.parse import urlencode

from litestar import Response, get

from gateway.dashboard.changes import change_lines
from gateway.dashboard.forms import plain
from gateway.dashboard.rendering import html
from gateway.dashboard.visitor import Plain, visitor_of

PER_PAGE = 50


@get("/dashboard/audit")
async def page(request: Plain) -> Response[str]:
    visitor = await visitor_of(request, manages=True)
    query = request.query_params
    subject, actor = plain(query.get("subject"), 120), plain(query.get("actor"), 64)
    before_id = _id(query.get("before"))
    async with visitor.gateway.reading.connect() as connection:
        found = await change_lines(
            connection, subject or None, before_id, PER_PAGE + 1, actor or None
        )
    asked = {name: value for name, value in (("subject", subject), ("actor", actor)) if value}
    lines, older = found[:PER_PAGE], None
    if len(found) > PER_PAGE:
        older = f"/dashboard/audit?{urlencode(asked | {'before': str(lines[-1].id)})}"
    told = {
        "visitor": visitor,
        "page": "keys",
        "tab": "audit",
        "lines": lines,
        "subject": subject,
        "actor": actor,
        "newest": f"/dashboard/audit?{urlencode(asked)}" if before_id is not None else None,
        "older": older,
    }
    return html("audit.html", told)


def _id(given: str | None) -> int | None:
    return int(given) if given and re.fullmatch("[0-9]{1,18}", given) else None
