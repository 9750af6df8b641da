"""Sessions: a signed cookie that stands for a key's stored secret, and ends with either.

The server keeps nothing. Whoever holds the cookie is looked up again at every request, so that a
key which is disabled, rotated away or deleted is signed out at once.
"""

import base64
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

COOKIE = "voxroute_session"
HOST_COOKIE = f"__Host-{COOKIE}"
"""Over https: no other host and no page of http can set a cookie of this name."""
HOURS = 12
_MAC = 32


@dataclass(frozen=True, slots=True)
class Session:
    """Who signed in, until when."""

    stored: str
    """The key's secret as the database has it."""
    ends: int
    """Epoch seconds."""
    token: str
    """The cookie's value."""


class Sessions:
    """Signs and reads cookies."""

    def __init__(self, pepper: bytes) -> None:
        self._key = hmac.digest(pepper, b"voxroute dashboard session", "sha256")

    def begin(self, stored: str, seconds: int = HOURS * 3600) -> Session:
        ends = int(time.time()) + seconds
        content = f"{stored}.{ends}.{secrets.token_urlsafe(9)}"
        return Session(stored, ends, f"{content}.{self._mac(b'session', content)}")

    def read(self, token: str | None) -> Session | None:
        """The session of a cookie; None where it is forged, changed or over."""
        content, _, mac = (token or "").rpartition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(b"session", content).encode()):
            return None
        stored, ends, _ = content.split(".")
        return None if int(ends) <= time.time() else Session(stored, int(ends), token or "")

    def form_token(self, session: Session) -> str:
        """What a form of this session carries, and no other site can know."""
        return self._mac(b"form", session.token)

    def is_own(self, session: Session, given: str | None) -> bool:
        return hmac.compare_digest(self.form_token(session).encode(), (given or "").encode())

    def _mac(self, use: bytes, content: str) -> str:
        made = hmac.digest(self._key, use + b"\0" + content.encode(), "sha256")
        return base64.urlsafe_b64encode(made[:_MAC]).decode().rstrip("=")


def cookie(session: Session | None, *, is_secure: bool) -> Cookie:
    """The session's cookie, or one that takes it away."""
    return Cookie(
        HOST_COOKIE if is_secure else COOKIE,
        value=session.token if session else "",
        path="/" if is_secure else "/dashboard",
        max_age=HOURS * 3600 if session else 0,
        httponly=True,
        secure=is_secure,
        samesite="strict",
    )


def is_secure(request: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether the visitor came over https, to us or to a proxy before us that says so.

    Anybody may say so: it only ever makes a cookie stricter, and a browser that in truth speaks
    http would not keep such a cookie.
    """
    forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0]
    return request.url.scheme == "https" or forwarded.strip().lower() == "https"


def token_of(request: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """The session's cookie that the visitor brought."""
    return request.cookies.get(HOST_COOKIE if is_secure(request) else COOKIE)


def safe_target(given: str | None) -> str:
    """Where to go after signing in: a page of the dashboard, and nowhere else."""
    try:
        parts = urlsplit(given or "")
    except ValueError:  # as of `//[`
        return "/dashboard"
    is_page = parts.path == "/dashboard" or parts.path.startswith("/dashboard/")
    is_ours = not parts.scheme and not parts.netloc and is_page
    plain = is_ours and "\\" not in parts.path and "//" not in parts.path
    query = f"?{parts.query}" if parts.query else ""
    return parts.path + query if plain else "/dashboard"
