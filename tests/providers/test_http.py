"""The way out: every failure becomes one ProviderError, which says what to do and no secret."""

import asyncio
import json
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import Client, open_client
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
from providers.refusals import LONGEST_WAIT, error_code, wait_of
from tests.doubles.asking import ask, failure, provider, saying, scripted
from tests.doubles.sound import clip
from tests.doubles.upstream import Upstream

SECRET = "sk-live-31415926535897932384626433832795"
NOW = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("behaviour", "expected", "retryable", "owed"),
    [
        ("html", NotAudio, True, "maybe"),
        ("wrong-type", NotAudio, True, "maybe"),
        ("compressed", NotAudio, True, "maybe"),
        ("cut-at-start", BrokenOff, True, "maybe"),
        ("cut-in-the-middle", BrokenOff, True, "maybe"),
        ("reset", Overloaded, True, "maybe"),
        ("huge-header", Overloaded, True, "maybe"),
        ("not-http", Overloaded, True, "maybe"),
        ("redirect", Refused, False, "nothing"),
        ("failing", Overloaded, True, "maybe"),
        ("no-credit", QuotaExhausted, False, "nothing"),
        ("cut-error", RateLimited, False, "nothing"),
        ("stalling-error", RateLimited, False, "nothing"),
    ],
)
async def test_each_failure_says_whether_to_repeat_and_what_may_be_owed(  # noqa: PLR0913, PLR0917
    client: Client,
    upstream: Upstream,
    behaviour: str,
    expected: type[ProviderError],
    retryable: bool,  # noqa: FBT001  # a column of the table
    owed: str,
) -> None:
    error = await failure(client, provider(upstream.address(behaviour)), saying(behaviour))
    assert type(error) is expected
    assert (error.retryable, error.owed, error.elsewhere) == (retryable, owed, True)


@pytest.mark.parametrize(
    ("status", "expected", "owed"),
    [
        (400, Refused, "nothing"),
        (401, CredentialRefused, "nothing"),
        (402, QuotaExhausted, "nothing"),
        (403, CredentialRefused, "nothing"),
        (404, NotOffered, "nothing"),
        (408, TimedOut, "maybe"),
        (409, Overloaded, "maybe"),
        (413, Refused, "nothing"),
        (415, Refused, "nothing"),
        (418, Refused, "nothing"),
        (422, Refused, "nothing"),
        (429, RateLimited, "nothing"),
        (500, Overloaded, "maybe"),
        (502, Overloaded, "maybe"),
        (503, Overloaded, "maybe"),
        (529, Overloaded, "maybe"),
        (599, Overloaded, "maybe"),
    ],
)
async def test_each_status_has_its_error(
    client: Client, upstream: Upstream, status: int, expected: type[ProviderError], owed: str
) -> None:
    error = await scripted(client, upstream, status=status, body="{}")
    assert type(error) is expected
    assert (error.status, error.owed, error.code) == (status, owed, None)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"code": "rate_limit", "message": "slow down"}}, "rate_limit"),
        ({"error": {"code": 4290}}, "4290"),
        ({"error": {"code": None, "type": "server_error"}}, "server_error"),
        ({"error": {"code": {"deep": 1}, "type": "odd"}}, "odd"),
        ({"error": {"code": "two words", "type": "one-word"}}, "one-word"),
        ({"error": "overloaded"}, "overloaded"),
        ({"error": f"Incorrect API key provided: {SECRET}"}, None),
        ({"detail": "system_busy"}, "system_busy"),
        ({"detail": {"status": "voice_missing", "message": "no"}}, "voice_missing"),
        ({"detail": [{"loc": ["body"], "msg": "your text is bad"}]}, None),
        ({"error": None, "detail": "after_null"}, "after_null"),
        ({"code": "bare"}, "bare"),
        ({"error": {"code": "x" * 65}}, None),
        (["a list"], None),
        ("text", None),
        (None, None),
    ],
)
async def test_the_code_is_read_out_of_every_shape_and_no_text_with_it(
    client: Client, upstream: Upstream, body: object, code: str | None
) -> None:
    error = await scripted(client, upstream, status=400, body=json.dumps(body))
    assert error.code == code
    assert SECRET not in f"{error!r} {error} {error.args} {vars(error)}"


@pytest.mark.parametrize("money", ["insufficient_quota", "quota_exceeded"])
@pytest.mark.parametrize("status", [401, 403, 429])
async def test_money_trouble_is_known_by_its_code_under_any_status(
    client: Client, upstream: Upstream, status: int, money: str
) -> None:
    body = json.dumps({"detail": {"status": money}})
    error = await scripted(client, upstream, status=status, body=body)
    assert type(error) is QuotaExhausted


@pytest.mark.parametrize("depth", [10_000, 60_000, 200_000])
def test_an_error_body_nested_beyond_reason_has_no_code(depth: int) -> None:
    assert error_code(b'{"error":' + b"[" * depth) is None


@given(st.binary(max_size=200))
def test_no_error_body_is_too_odd_to_be_read(body: bytes) -> None:
    code = error_code(body)
    assert code is None or 0 < len(code) <= 64


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ([], None),
        (["retry-after: 7"], 7),
        (["retry-after: 0"], 0),
        (["retry-after: 2.5"], 2.5),
        (["retry-after: 121"], LONGEST_WAIT),
        (["retry-after: 99999999999999999999"], LONGEST_WAIT),
        (["retry-after: -5"], None),
        (["retry-after: soon"], None),
        (["retry-after: ١٢"], None),
        (["retry-after: NaN"], None),
        (["retry-after: inf"], None),
        ([f"date: {NOW}", "retry-after: Wed, 21 Oct 2026 07:28:30 GMT"], 30),
        ([f"date: {NOW}", "retry-after: Wed, 21 Oct 2026 07:28:00 GMT"], 0),
        ([f"date: {NOW}", "retry-after: Wed, 21 Oct 2026 07:27:00 GMT"], None),
        ([f"date: {NOW}", "retry-after: Thu, 22 Oct 2026 07:28:00 GMT"], LONGEST_WAIT),
        ([f"date: {NOW}", "retry-after: Wed, 21 Oct 99999 07:28:00 GMT"], None),
        (["retry-after-ms: 1500"], 1.5),
        (["retry-after-ms: 9999999"], LONGEST_WAIT),
        (["retry-after-ms: 250", "retry-after: 7"], 0.25),
        (["retry-after-ms: soon", "retry-after: 7"], 7),
    ],
)
async def test_a_provider_says_how_long_it_wants_to_be_left_alone(
    client: Client, upstream: Upstream, headers: list[str], wait: float | None
) -> None:
    error = await scripted(client, upstream, status=429, headers=headers)
    assert error.wait == wait


async def test_a_date_to_wait_for_is_read_against_our_clock_where_the_answer_has_none(
    client: Client, upstream: Upstream
) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    error = await scripted(client, upstream, status=503, headers=[f"retry-after: {soon}"])
    assert error.wait == pytest.approx(60, abs=3)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_wait_is_too_odd_to_be_read(after: str, date: str) -> None:
    headers = httpx.Headers({"retry-after": after.encode(), "date": date.encode()})
    wait = wait_of(headers)
    assert wait is None or 0 <= wait <= LONGEST_WAIT


async def test_nothing_listens_there(client: Client) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
        error = await failure(client, provider(address), saying("refused"))
    assert type(error) is Unreachable
    assert (error.owed, error.retryable) == ("nothing", True)


async def test_a_name_that_leads_nowhere_owes_nothing(client: Client) -> None:
    error = await failure(client, provider("http://nosuchhost.invalid/v1"), saying("nowhere"))
    assert type(error) is Unreachable


async def test_plain_text_where_tls_was_expected_owes_nothing(
    client: Client, upstream: Upstream
) -> None:
    address = upstream.address("fine").replace("http://", "https://")
    error = await failure(client, provider(address), saying("tls"))
    assert type(error) is Unreachable


async def test_a_hang_can_be_broken_off_from_outside_and_ends_the_connection(
    client: Client, upstream: Upstream
) -> None:
    whom = provider(upstream.address("hang"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await ask(client, whom, saying("hanging, broken off"))
    [heard] = upstream.said("hanging, broken off")
    assert await asyncio.to_thread(heard.gone.wait, 5)


async def test_an_error_that_hangs_in_its_body_still_counts_by_its_status(
    client: Client, upstream: Upstream
) -> None:
    begun = time.monotonic()
    error = await failure(client, provider(upstream.address("stalling-error")), saying("x"))
    assert (error.status, error.wait) == (429, 9)
    assert time.monotonic() - begun < 5


async def test_cookies_are_not_kept_between_requests(client: Client, upstream: Upstream) -> None:
    whom = provider(upstream.address("cookie").replace("127.0.0.1", "localhost"))
    for _ in range(2):
        await ask(client, whom, saying("no cookies"))
    assert [heard.headers.get("cookie") for heard in upstream.said("no cookies")] == [None, None]


async def test_proxies_of_the_environment_are_ignored(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with open_client() as client:
        audio, _ = await ask(client, provider(upstream.address("fine")), saying("no proxy"))
    assert audio == clip("mp3")


async def test_a_connection_is_used_again(client: Client, upstream: Upstream) -> None:
    for _ in range(3):
        await ask(client, provider(upstream.address("kept")), saying("kept alive"))
    assert len({heard.connection for heard in upstream.said("kept alive")}) == 1


async def test_a_redirect_is_not_followed_with_our_key(client: Client, upstream: Upstream) -> None:
    whom = provider(upstream.address("redirect"), secret=SECRET)
    error = await failure(client, whom, saying("redirected"))
    assert (type(error), error.status) == (Refused, 302)
    assert len(upstream.said("redirected")) == 1


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"detail": {"code": "quota_exceeded", "type": "invalid_request"}}, QuotaExhausted),
        (429, {"error": {"code": 429, "type": "insufficient_quota"}}, QuotaExhausted),
        (429, {"error": {"type": "billing_not_active"}}, QuotaExhausted),
        (402, {"error": {"code": 402, "message": "Insufficient credits"}}, QuotaExhausted),
        (403, {"detail": "User is locked. Reason: Exhausted balance."}, QuotaExhausted),
        (401, {"error": {"message": "Your Insufficient Balance"}}, QuotaExhausted),
        (403, {"detail": "You may not use this voice."}, CredentialRefused),
        (422, {"detail": "Exhausted balance. User is locked."}, Refused),
        (422, {"detail": [{"msg": "no", "input": "user is locked"}]}, Refused),
        (400, {"error": {"status": "API_KEY_INVALID"}}, CredentialRefused),
        (400, {"detail": {"status": "voice_not_found"}}, NotOffered),
        (401, {"error": {"type": "invalid_request_error", "code": None}}, CredentialRefused),
        (429, {"detail": "Request was throttled.", "status": 429}, RateLimited),
        (200, {"error": {"code": 402}}, QuotaExhausted),
        (200, {"error": "overloaded", "status_code": 529}, Overloaded),
        (200, {"status": 200, "code": "ok"}, NotAudio),
        (200, {"detail": "Exhausted balance"}, NotAudio),
    ],
)
async def test_a_body_that_says_more_than_its_status_counts(
    client: Client, upstream: Upstream, status: int, body: object, expected: type[ProviderError]
) -> None:
    error = await scripted(client, upstream, status=status, body=json.dumps(body))
    assert (type(error), error.status) == (expected, status)


async def test_a_last_word_outlives_who_says_it_but_not_a_second() -> None:
    client, said, heard = open_client(), asyncio.Event(), list[str]()

    async def word() -> None:
        said.set()
        heard.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            heard.append("ended")

    async def sayer() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            client.last_word(word())

    saying_it = asyncio.create_task(sayer())
    await asyncio.sleep(0)
    saying_it.cancel()
    await said.wait()
    assert saying_it.cancelled()
    begun = time.monotonic()
    await client.aclose()
    assert (heard, 0.5 < time.monotonic() - begun < 2) == (["begun", "ended"], True)


async def test_a_last_word_that_fails_is_nobodys_trouble() -> None:
    async def word() -> None:
        raise Unreachable("nowhere")

    client = open_client()
    client.last_word(word())
    await client.aclose()
