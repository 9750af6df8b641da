"""Scripts and styles, under addresses that change with their content, so that they may be kept."""

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from litestar import Request, Response, get

from gateway.errors import NotFound

STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
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


@cache
def content(name: str, encoding: str | None) -> bytes:
    """A file's bytes as they are sent; packed at the first use."""
    plain = known()[name].read_bytes()
    return gzip.compress(plain, mtime=0) if encoding else plain


@get("/dashboard/static/{name:path}", sync_to_thread=False)
def static(request: Request[Any, Any, Any], name: str) -> Response[bytes]:
    name = name.lstrip("/")
    if name not in known():
        raise NotFound("there is no such file")
    encoding = "gzip" if "gzip" in request.headers.get("accept-encoding", "") else None
    headers = {
        "Cache-Control": f"public, max-age={_YEAR}, immutable",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(
        content(name, encoding),
        media_type=_TYPES.get(Path(name).suffix, "application/octet-stream"),
        headers=headers | ({"Content-Encoding": encoding} if encoding else {}),
    )
