"""Sessions: what a cookie stands for, when it ends, and that nobody else can make one."""

import base64

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.pepper import keyed_hash
from gateway.dashboard.sessions import COOKIE, Sessions, cookie, safe_target
from tests.doubles.books import Key, until
from tests.doubles.browsing import carrying, form_token, is_signed_out, visitor
from tests.doubles.managing import change
from tests.doubles.running import Running

ELSEWHERE = [
    "https://evil.example/dashboard",
    "//evil.example/dashboard",
    "/\\evil.example",
    "/dashboard//evil.example",
    "/dashboard\\..\\x",
    "\t//evil.example",
    "javascript:alert(1)",
    "/dashboardx",
    "/v1/keys",
    "//[",
    "",
    None,
]


def sessions_of(gateway: Running) -> tuple[Sessions, bytes]:
    pepper = (gateway.data / "pepper").read_bytes()
    return Sessions(pepper), pepper


def test_a_session_reads_as_it_was_begun_and_so_does_its_form() -> None:
    sessions = Sessions(b"pepper")
    begun = sessions.begin("stored")
    assert sessions.read(begun.token) == begun
    assert sessions.is_own(begun, sessions.form_token(begun))
    assert not sessions.is_own(begun, sessions.form_token(sessions.begin("stored")))
    assert not sessions.is_own(begun, None)


@given(st.text() | st.from_regex(r"[\w-]+\.\d+\.\w+\.\w+", fullmatch=True))
def test_what_nobody_signed_is_no_session(token: str) -> None:
    assert Sessions(b"pepper").read(token) is None


@given(st.integers(0, 200), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_cookie_with_one_letter_changed_is_no_session(place: int, letter: str) -> None:
    sessions = Sessions(b"pepper")
    token = sessions.begin("stored").token
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    assert changed == token or sessions.read(changed) is None


@pytest.mark.parametrize("target", ELSEWHERE, ids=repr)
def test_signing_in_leads_nowhere_else(target: str | None) -> None:
    assert safe_target(target) == "/dashboard"


def test_signing_in_leads_back_to_a_page_with_its_query() -> None:
    assert safe_target("/dashboard/requests?status=502") == "/dashboard/requests?status=502"


def test_over_https_the_cookie_is_of_this_host_alone() -> None:
    header = cookie(Sessions(b"pepper").begin("stored"), is_secure=True).to_header(header="")
    assert header.startswith("__Host-voxroute_session=")
    for word in ("Path=/;", "HttpOnly", "SameSite=strict", "Secure"):
        assert word in f"{header};"
    assert "Domain" not in header


def test_behind_a_proxy_that_speaks_https_the_cookie_is_secure(gateway: Running, key: Key) -> None:
    headers = {"x-forwarded-proto": "https"}
    with httpx.Client(base_url=gateway.url, headers=headers) as client:
        answer = client.post("/dashboard/sign-in", data={"key": key.plain})
        told = answer.headers["set-cookie"]
        assert told.startswith("__Host-voxroute_session=")
        assert "Secure" in told
        brought = told.partition(";")[0]
        assert client.get("/dashboard", headers={"cookie": brought}).status_code == 200


def test_a_session_that_is_over_is_signed_out(gateway: Running, key: Key) -> None:
    sessions, pepper = sessions_of(gateway)
    stored = keyed_hash(pepper, key.plain)
    with carrying(gateway, sessions.begin(stored).token) as client:
        assert not is_signed_out(client)
    with carrying(gateway, sessions.begin(stored, seconds=-1).token) as client:
        assert is_signed_out(client)


def test_a_cookie_made_under_another_pepper_is_none(gateway: Running, key: Key) -> None:
    _, pepper = sessions_of(gateway)
    forged = Sessions(b"guessed").begin(keyed_hash(pepper, key.plain))
    with carrying(gateway, forged.token) as client:
        assert is_signed_out(client)


def test_a_cookie_changed_to_mean_another_key_is_none(
    gateway: Running, speaker: httpx.Client
) -> None:
    _, pepper = sessions_of(gateway)
    own = speaker.cookies[COOKIE]
    changed = ".".join([keyed_hash(pepper, gateway.key), *own.split(".")[1:]])
    with carrying(gateway, changed) as client:
        assert is_signed_out(client)


def test_the_cookie_tells_nothing_of_the_key(key: Key, speaker: httpx.Client) -> None:
    token = speaker.cookies[COOKIE]
    packed = base64.b64encode(key.plain.encode()).decode().rstrip("=")
    assert key.plain not in token
    assert packed not in token


@pytest.mark.parametrize("how", ["disable", "rotate", "delete"])
def test_a_key_that_may_not_be_used_any_more_is_signed_out_within_a_second(
    gateway: Running, client: httpx.Client, key: Key, how: str
) -> None:
    with visitor(gateway, key.plain) as visiting:
        assert not is_signed_out(visiting)
        if how == "disable":
            answer = change(client, key, disabled=True)
        elif how == "rotate":
            answer = client.post(f"/v1/keys/{key.hash}/rotate", json={"grace_seconds": 0})
        else:
            answer = client.delete(f"/v1/keys/{key.hash}")
        assert answer.is_success, answer.text
        until(lambda: is_signed_out(visiting), 2.5)


def test_signing_out_takes_the_cookie_away(speaker: httpx.Client) -> None:
    answer = speaker.post("/dashboard/sign-out", data={"csrf": form_token(speaker)})
    assert answer.status_code == 303
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert COOKIE not in speaker.cookies
    assert is_signed_out(speaker)
