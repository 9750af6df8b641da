"""Scripts and styles, under addresses that change with their content, so that they may be kept."""

import hashlib
from functools import cache
from pathlib import Path

from litestar import Response, get

from gateway.errors import NotFound

STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_YEAR = 31_536_000


@cache
def known() -> dict[str, Path]:
    """Every file that is served, by its name; nothing else can be asked for."""
    return {
        file.relative_to(STATIC).as_posix(): file for file in STATIC.rglob("*") if file.is_file()
    }


@cache
def address(name: str) -> str:
    digest = hashlib.sha256(known()[name].read_bytes()).hexdigest()[:12]
    return f"/dashboard/static/{name}?v={digest}"


@get("/dashboard/static/{name:path}")
async def static(name: str) -> Response[bytes]:
    file = known().get(name.lstrip("/"))
    if file is None:
        raise NotFound("there is no such file")
    return Response(
        file.read_bytes(),
        media_type=_TYPES.get(file.suffix, "application/octet-stream"),
        headers={
            "Cache-Control": f"public, max-age={_YEAR}, immutable",
            "X-Content-Type-Options": "nosniff",
        },
    )
