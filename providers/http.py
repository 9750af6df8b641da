"""The one way out: opens the HTTP client, sends one request, and translates whatever happens."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from functools import lru_cache

import aiohttp
import httpx
import msgspec
from httpx_aiohttp import AiohttpTransport

from providers.billing import read_bill
from providers.catalog import Provider
from providers.errors import (
    BrokenOff,
    NotAudio,
    NotOffered,
    Overloaded,
    ProviderError,
    Refused,
    TimedOut,
    Unreachable,
)
from providers.refusals import inside, refusal
from providers.speech import Receipt

USER_AGENT = "voxroute/0.1"
READ_SECONDS = 15.0
LARGEST_ERROR_BODY = 64 * 1024
ERROR_BODY_SECONDS = 1.0
LAST_WORD_SECONDS = 1.0
LONGEST_ID = 200
LONGEST_LIMIT, MOST_LIMITS = 64, 16
_LIMIT = re.compile("ratelimit|rate-limit|concurrent-requests")
_MOVED = {301, 308}

_JSON = {"application/json", "application/problem+json"}
_WORDS = {
    "text/html": "HTML",
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
_url = lru_cache(maxsize=1024)(httpx.URL)
_UNSAID = {"", "application/octet-stream", "binary/octet-stream", "audio/*"}


class Client(AiohttpTransport):
    """httpx's transport itself, without the layers that speech has no use for.

    It follows no redirects, keeps no cookies, reads no proxies from the environment, and inflates
    nothing. httpx.AsyncClient around it costs a third more for each request.
    """

    def __init__(self, connections: int, read_seconds: float) -> None:
        context = ssl.create_default_context()

        def session() -> aiohttp.ClientSession:
            connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=30, ssl=context)
            return aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )

        super().__init__(verify=context, trust_env=False, client=session)
        self.read_seconds = read_seconds
        self._extensions = _extensions(read_seconds)
        self._last_words: set[asyncio.Task[None]] = set()

    def extensions_for(self, patience: float) -> dict[str, object]:
        return self._extensions if patience <= self.read_seconds else _extensions(patience)

    def last_word(self, word: Coroutine[None, None, None]) -> None:
        """Let a word to a provider go out though whoever says it is being closed.

        It is a task of the client's own, which no cancellation of the sayer's reaches; nobody
        waits for it, it may take a second, and how it fails is nobody's trouble any more.
        """
        task = asyncio.create_task(_in_a_second(word))
        self._last_words.add(task)
        task.add_done_callback(self._last_words.discard)

    async def aclose(self) -> None:
        try:
            await asyncio.gather(*self._last_words, return_exceptions=True)
        finally:
            await super().aclose()


def _extensions(read_seconds: float) -> dict[str, object]:
    timeout = httpx.Timeout(connect=3, read=read_seconds, write=10, pool=2)
    return {"timeout": timeout.as_dict()}


async def _in_a_second(word: Coroutine[None, None, None]) -> None:
    with contextlib.suppress(ProviderError, TimeoutError):
        async with asyncio.timeout(LAST_WORD_SECONDS):
            await word


def open_client(*, connections: int = 1000, read_seconds: float = READ_SECONDS) -> Client:
    """One per process; `read_seconds`: for how long a provider may be silent."""
    return Client(connections, read_seconds)


@contextlib.asynccontextmanager
async def exchange(  # noqa: PLR0913  # whom, what, how, and for how long
    client: Client,
    url: str,
    *,
    headers: Mapping[str, str],
    body: object = None,
    method: str = "POST",
    patience: float = 0.0,
) -> AsyncGenerator[httpx.Response]:
    """Send `body` and give the open 2xx answer; every other end is a ProviderError.

    body: bytes go out as they are (name their content type in `headers`), anything else as JSON,
        None not at all. Errors raised while the caller reads the answer are translated here too.
    patience: seconds of silence to bear, where that is more than the client's own.
    """
    content = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
    request = httpx.Request(
        method,
        _url(url),
        content=content,
        headers={**_HEADERS, **headers},
        extensions=client.extensions_for(patience),
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
    """The answer's body as it comes; TimedOut when nothing comes for as long as a read may take.

    The transport's own clock stops at a malformed chunk, and its reader then waits for ever.
    """
    loop = asyncio.get_running_loop()
    read_seconds = response.request.extensions["timeout"]["read"]
    try:
        async with asyncio.timeout(read_seconds) as silence:
            async for piece in response.aiter_raw():
                silence.reschedule(None)  # while the piece is used, nobody waits for the provider
                yield piece
                silence.reschedule(loop.time() + read_seconds)
    except TimeoutError:
        raise TimedOut("silent in the middle of the audio") from None


def upstream_id(response: httpx.Response, *where: str) -> str | None:
    """The provider's own name for the request, if it gives one that can be kept.

    where: the headers to look in, for a provider with names of its own.
    """
    headers = response.headers
    places = where or ("x-generation-id", "x-request-id")
    return id_of(next((headers[each] for each in places if headers.get(each)), ""))


def id_of(name: object) -> str | None:
    """The same where it came in the answer's body."""
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_ID:
        return None
    return name if name.isascii() and name.isprintable() else None


def receipt(response: httpx.Response, provider: Provider, *where: str) -> Receipt:
    """What an answer's headers tell; where: the headers that may hold its id."""
    bill = read_bill(response.headers, provider)
    where = (provider.id_header,) if provider.id_header else where
    return Receipt(
        upstream_id=upstream_id(response, *where),
        billed_units=bill.units,
        billed_nano=bill.nano,
        billed_malformed=bill.malformed,
        length_told="content-length" in response.headers,
        limits=limits(response),
    )


def limits(response: httpx.Response) -> tuple[tuple[str, str], ...]:
    """What its headers say of rate limits and of what runs at once."""
    told = [
        (name, value)
        for name, value in response.headers.items()
        if _LIMIT.search(name)
        and max(len(name), len(value)) <= LONGEST_LIMIT
        and value.isprintable()
    ]
    return tuple(sorted(told)[:MOST_LIMITS])


async def check_content_type(response: httpx.Response, wanted: str) -> int | None:
    """Refuse an answer that plainly is not `wanted`; give the sample rate (Hz) if it names one.

    An error that came as JSON under 2xx counts as what it says.
    """
    kind, _, parameters = response.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    if kind not in _UNSAID and kind not in _SPELLINGS[wanted]:
        await refuse_json(response, wanted)
        seen = _WORDS.get(kind) or next(
            (name for name, spellings in _SPELLINGS.items() if kind in spellings),
            "another content type",
        )
        raise NotAudio(f"{seen} instead of {wanted}", status=response.status_code)
    rate = re.search(r"\brate=\"?(\d{4,6})\b", parameters)
    return int(rate[1]) if rate and int(rate[1]) in RATES else None


async def refuse_json(response: httpx.Response, wanted: str) -> None:
    """Where JSON came instead of `wanted`: the error that it tells, or NotAudio."""
    if response.headers.get("content-type", "").partition(";")[0].strip().lower() in _JSON:
        body = await _beginning(response)
        error = inside(response.status_code, response.headers, body)
        raise error or NotAudio(f"JSON instead of {wanted}", status=response.status_code)


async def _failure(response: httpx.Response) -> ProviderError:
    status = response.status_code
    if status in _MOVED:
        return NotOffered("it has moved, and redirects are not followed", status=status)
    if response.is_redirect:
        return Refused("a redirect, which is not followed", status=status)
    return refusal(status, response.headers, await _beginning(response))


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


def _translated(error: Exception, *, answered: bool) -> ProviderError:
    if answered:
        if isinstance(error, httpx.TimeoutException):
            return TimedOut("silent in the middle of the audio")
        return BrokenOff("the connection ended in the middle of the audio")
    # The transport calls every lost connection a ConnectTimeout; only its cause tells whether the
    # request had already gone out.
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Unreachable(_why_unreachable(cause))
    if isinstance(cause, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return Overloaded("hung up without an answer")
    if isinstance(error, httpx.TimeoutException):
        return TimedOut("no answer in time")
    return Overloaded("no readable answer")


def _why_unreachable(cause: Exception) -> str:
    if isinstance(cause, aiohttp.ClientSSLError):
        return "no TLS connection that can be trusted"
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return "its name leads nowhere"
    return "could not be reached"
