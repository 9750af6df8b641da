"""Downloads: only where the provider's own lie, with its key only at home, and not without end."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from aiohttp import web

from providers import Client, NotAudio, Overloaded, ProviderError, Unreachable
from providers.answers import MOST_DOWNLOADED, at_home, download, downloaded
from providers.errors import BrokenOff, Refused, begun
from tests.doubles.vendors import Fake, Vendor
from tests.doubles.vendors.asking import provider

MEGABYTE = bytes(2**20)


def routes(fake: Fake) -> list[web.RouteDef]:
    async def small(_: web.Request) -> web.Response:
        return web.Response(body=b"small")

    async def endless(request: web.Request) -> web.StreamResponse:
        pieces = (MEGABYTE for _ in range(MOST_DOWNLOADED // len(MEGABYTE) + 10))
        return await fake.stream(request, pieces, "audio/wav")  # type: ignore[arg-type]  # lazily

    async def away(_: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://localhost:{fake.port}/small")

    return [web.get("/small", small), web.get("/endless", endless), web.get("/away", away)]


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(Vendor(routes)) as running:
        yield running


async def fetch(client: Client, fake: Fake, url: object) -> AsyncIterator[bytes]:
    hosts = frozenset({"files.invalid", ".cdn.invalid"})
    whom = provider("fal", fake.url, hosts=hosts)
    async with download(client, whom, url, whom.headers()) as response:
        async for piece in downloaded(response):
            yield piece


async def failure(client: Client, fake: Fake, url: object) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        [piece async for piece in fetch(client, fake, url)]
    return raised.value


async def test_what_lies_at_home_is_asked_for_with_the_key(client: Client, fake: Fake) -> None:
    assert [piece async for piece in fetch(client, fake, f"{fake.url}/small")] == [b"small"]
    assert fake.heard[0].headers["authorization"] == "Bearer test-key"


@pytest.mark.parametrize("host", ["files.invalid", "a.cdn.invalid", "a.b.cdn.invalid"])
async def test_a_known_host_is_asked(client: Client, fake: Fake, host: str) -> None:
    assert isinstance(await failure(client, fake, f"https://{host}/1.wav"), Unreachable)


@pytest.mark.parametrize(
    "url",
    [
        *(None, 17, "", "1.wav", "/1.wav", "//files.invalid/1.wav", "https://", "https:///1.wav"),
        *("https://stranger.invalid/", "http://files.invalid/", "https://files.invalid:8443/"),
        *(
            "https://evilcdn.invalid/",
            "https://cdn.invalid/",
            "https://files.invalid.evil.invalid/",
        ),
        *("https://me:secret@files.invalid/", "ftp://files.invalid/", "file:///etc/passwd"),
        *("https://xn--a.cdn.invalid/", "https://[::1/", "https://a\x00.cdn.invalid/"),
        *("https://.cdn.invalid/", "https://..cdn.invalid/", "https://169.254.169.254/"),
        *("http://127.0.0.1/", "http://127.0.0.1:1/", "data:audio/wav;base64,AAAA"),
    ],
)
async def test_a_stranger_is_not_asked(client: Client, fake: Fake, url: object) -> None:
    error = await failure(client, fake, url)
    assert isinstance(error, NotAudio), repr(error)
    with pytest.raises(NotAudio):
        at_home(provider("fal", fake.url), url)


class Ear(Client):
    """Hears where a request goes, and lets none go."""

    def __init__(self) -> None:
        super().__init__(1, 1.0)
        self.heard: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.heard.append(request)
        raise httpx.ReadTimeout("gone")


async def test_a_known_host_is_told_no_key(fake: Fake) -> None:
    async with Ear() as ear:
        for url in ("https://files.invalid/1.wav", f"{fake.url}/1.wav"):
            await failure(ear, fake, url)
    assert ["authorization" in request.headers for request in ear.heard] == [False, True]


async def test_a_known_host_is_not_home(fake: Fake) -> None:
    whom = provider("fal", fake.url, hosts=frozenset({"files.invalid"}))
    with pytest.raises(NotAudio):
        at_home(whom, "https://files.invalid/")
    assert at_home(whom, f"{fake.url}/queue") == f"{fake.url}/queue"


async def test_a_way_to_elsewhere_is_not_gone(client: Client, fake: Fake) -> None:
    assert isinstance(await failure(client, fake, f"{fake.url}/away"), Refused)
    assert len(fake.heard) == 1


async def test_what_does_not_end_is_too_large(client: Client, fake: Fake) -> None:
    error = await failure(client, fake, f"{fake.url}/endless")
    assert (type(error), error.reason) == (NotAudio, "a download that is too large")


def test_what_fails_after_work_was_begun_may_be_billed() -> None:
    with pytest.raises(Overloaded) as raised, begun("its file"):
        raise Unreachable("nowhere", wait=3)
    assert (raised.value.reason, raised.value.wait) == ("its file: nowhere", 3)
    with pytest.raises(BrokenOff), begun("its file"):
        raise BrokenOff("half")
    with pytest.raises(Refused), begun("its file", Refused):
        raise Refused("no")
