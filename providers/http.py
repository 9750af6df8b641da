"""The one way out: opens the HTTP client, sends one request, and translates whatever happens."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

import aiohttp
import httpx
import msgspec
from httpx_aiohttp import AiohttpTransport

from providers.errors import (
    BrokenOff,
    CredentialRefused,
    NotAudio,
    NotOffered,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    Refused,
    TimedOut,
    Unreachable,
)

USER_AGENT = "voxroute/0.1"
LONGEST_WAIT = 120.0
READ_SECONDS = 15.0
LARGEST_ERROR_BODY = 64 * 1024
ERROR_BODY_SECONDS = 1.0
LONGEST_ID = 200

_BY_STATUS: dict[int, type[ProviderError]] = {
    400: Refused,
    401: CredentialRefused,
    402: QuotaExhausted,
    403: CredentialRefused,
    404: NotOffered,
    408: TimedOut,
    409: Overloaded,
    413: Refused,
    415: Refused,
    422: Refused,
    429: RateLimited,
}
# Money trouble that arrives under another status (OpenAI 429, ElevenLabs 401).
_MONEY_CODES = {"insufficient_quota", "quota_exceeded", "credit_balance_exhausted"}
_WORDS = {
    "text/html": "HTML",
    "application/json": "JSON",
    "application/problem+json": "JSON",
    "text/plain": "plain text",
}
_SPELLINGS = {
    "mp3": {"audio/mpeg", "audio/mp3", "audio/mpeg3", "audio/x-mpeg", "audio/x-mp3"},
    "opus": {"audio/opus", "audio/ogg", "application/ogg"},
    "aac": {"audio/aac", "audio/aacp", "audio/x-aac"},
    "flac": {"audio/flac", "audio/x-flac"},
    "wav": {"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"},
    "pcm": {"audio/pcm", "audio/l16", "audio/raw", "audio/basic", "audio/x-raw"},
}
RATES = range(8_000, 192_001)
_HEADERS = {
    "accept": "*/*",
    "accept-encoding": "identity",
    "content-type": "application/json",
    "user-agent": USER_AGENT,
}
_EXTENSIONS = {"timeout": httpx.Timeout(connect=3, read=READ_SECONDS, write=10, pool=2).as_dict()}
_url = lru_cache(maxsize=1024)(httpx.URL)
_UNSAID = {"", "application/octet-stream", "binary/octet-stream", "audio/*"}


Client = AiohttpTransport


def open_client(*, connections: int = 1000) -> Client:
    """One per process: httpx's transport itself, without the layers that speech has no use for.

    It follows no redirects, keeps no cookies, reads no proxies from the environment, and inflates
    nothing. httpx.AsyncClient around it costs a third more for each request.
    """
    context = ssl.create_default_context()

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=30, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    return AiohttpTransport(verify=context, trust_env=False, client=session)


@contextlib.asynccontextmanager
async def exchange(
    client: Client, url: str, *, body: object, headers: Mapping[str, str]
) -> AsyncGenerator[httpx.Response]:
    """POST `body` as JSON and give the open 2xx answer; every other end is a ProviderError.

    Errors raised while the caller reads the answer's body are translated here too.
    """
    request = httpx.Request(
        "POST",
        _url(url),
        content=msgspec.json.encode(body),
        headers={**_HEADERS, **headers},
        extensions=_EXTENSIONS,
    )
    response: httpx.Response | None = None
    try:
        response = await client.handle_async_request(request)
        if not response.is_success:
            raise await _failure(response)
        if response.headers.get("content-encoding", "identity") != "identity":
            raise NotAudio("a compressed body", status=response.status_code)
        yield response
    except (httpx.HTTPError, aiohttp.ClientError) as error:
        raise _translated(error, answered=response is not None) from None
    finally:
        if response is not None:
            await response.aclose()


async def chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    """The answer's body as it comes; TimedOut when nothing comes for READ_SECONDS.

    The transport's own clock stops at a malformed chunk, and its reader then waits for ever.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(READ_SECONDS) as silence:
            async for piece in response.aiter_raw():
                silence.reschedule(None)  # while the piece is used, nobody waits for the provider
                yield piece
                silence.reschedule(loop.time() + READ_SECONDS)
    except TimeoutError:
        raise TimedOut("silent in the middle of the audio") from None


def upstream_id(response: httpx.Response) -> str | None:
    """The provider's own name for the request, if it gives one that can be kept."""
    headers = response.headers
    name = headers.get("x-generation-id") or headers.get("x-request-id") or ""
    return name if name.isascii() and name.isprintable() and 0 < len(name) <= LONGEST_ID else None


def check_content_type(response: httpx.Response, wanted: str) -> int | None:
    """Refuse an answer that plainly is not `wanted`; give the sample rate (Hz) if it names one."""
    kind, _, parameters = response.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    if kind not in _UNSAID and kind not in _SPELLINGS[wanted]:
        seen = _WORDS.get(kind) or next(
            (name for name, spellings in _SPELLINGS.items() if kind in spellings),
            "another content type",
        )
        raise NotAudio(f"{seen} instead of {wanted}", status=response.status_code)
    rate = re.search(r"\brate=\"?(\d{4,6})\b", parameters)
    return int(rate[1]) if rate and int(rate[1]) in RATES else None


async def _failure(response: httpx.Response) -> ProviderError:
    status = response.status_code
    if response.is_redirect:
        return Refused("a redirect, which is not followed", status=status)
    code = _error_code(await _beginning(response))
    wait = _wait(response.headers)
    if code in _MONEY_CODES:
        return QuotaExhausted("out of credit", status=status, code=code, wait=wait)
    error = _BY_STATUS.get(status, Overloaded if status >= 500 else Refused)  # noqa: PLR2004
    return error(f"status {status}", status=status, code=code, wait=wait)


async def _beginning(response: httpx.Response) -> bytes:
    """What comes soon of an error's body; its status counts even when that breaks off or hangs."""
    body = b""
    with contextlib.suppress(httpx.HTTPError, aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(ERROR_BODY_SECONDS):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > LARGEST_ERROR_BODY:
                    break
    return body


def _error_code(body: bytes) -> str | None:
    """The provider's own code out of the shapes in use: {"error": {...}} and {"detail": ...}.

    Only what is a single word counts: a sentence may hold the key or the text that was sent.
    """
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    inner = answer.get("error") or answer.get("detail") or answer
    named = (
        [inner.get(name) for name in ("code", "status", "type")]
        if isinstance(inner, dict)
        else [inner]
    )
    words = (str(each) for each in named if isinstance(each, str | int) and each)
    return next((word for word in words if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", word)), None)


def _wait(headers: httpx.Headers) -> float | None:
    """Retry-After as seconds, date or milliseconds; dates are read against the answer's own."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return min(milliseconds / 1000, LONGEST_WAIT)
    after = headers.get("retry-after")
    if not after:
        return None
    seconds = _number(after)
    if seconds is None:
        moment, now = _date(after), _date(headers.get("date", "")) or datetime.now(UTC)
        seconds = (moment - now).total_seconds() if moment else None
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WAIT)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text.strip()) else None


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _translated(error: Exception, *, answered: bool) -> ProviderError:
    if answered:
        if isinstance(error, httpx.TimeoutException):
            return TimedOut("silent in the middle of the audio")
        return BrokenOff("the connection ended in the middle of the audio")
    # The transport calls every lost connection a ConnectTimeout; only its cause tells whether the
    # request had already gone out.
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Unreachable("could not be reached")
    if isinstance(cause, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return Overloaded("hung up without an answer")
    if isinstance(error, httpx.TimeoutException):
        return TimedOut("no answer in time")
    return Overloaded("no readable answer")
