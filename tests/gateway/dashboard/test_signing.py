"""Signing in and out over HTTP: what is refused, and what never shows in any answer."""

import secrets

import httpx
import pytest

from tests.doubles.books import Key
from tests.doubles.browsing import SIGN_IN, form_token, is_signed_out, sign_in, visitor
from tests.doubles.managing import make
from tests.doubles.running import Running

POLICY = "content-security-policy"


def test_a_page_leads_to_the_sign_in_and_back(gateway: Running, key: Key) -> None:
    with visitor(gateway) as client:
        lead = client.get("/dashboard?range=30d&by=app")
        assert lead.status_code == 303
        form = client.get(lead.headers["location"])
        assert 'value="/dashboard?range=30d&amp;by=app"' in form.text
        done = sign_in(client, key.plain, next="/dashboard?range=30d&by=app")
        assert done.headers["location"] == "/dashboard?range=30d&by=app"


def test_a_part_of_a_page_has_the_whole_page_go_to_the_sign_in(gateway: Running) -> None:
    with visitor(gateway) as client:
        page = f"{gateway.url}/dashboard?range=24h"
        headers = {"hx-request": "true", "hx-current-url": page}
        answer = client.get("/dashboard?range=24h", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == f"{SIGN_IN}?next=%2Fdashboard%3Frange%3D24h"


@pytest.mark.parametrize("wrong", ["vox_wrong", "", "a" * 600, "\x00", "ключ"], ids=repr)
def test_a_wrong_key_is_told_and_no_session_begun(gateway: Running, wrong: str) -> None:
    with visitor(gateway) as client:
        answer = sign_in(client, wrong)
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert 'role="alert"' in answer.text
        assert is_signed_out(client)


def test_a_key_that_was_typed_never_shows_in_a_page_an_address_or_the_log(
    gateway: Running, key: Key
) -> None:
    wrong = f"mistyped-{secrets.token_hex(20)}"
    with visitor(gateway) as client:
        answers = [sign_in(client, wrong), sign_in(client, key.plain), client.get("/dashboard")]
    for answer in answers:
        told = f"{answer.text}{answer.headers}{answer.url}"
        assert wrong not in told
        assert key.plain not in told
    assert wrong not in gateway.said()
    assert key.plain not in gateway.said()


def test_the_cookie_is_closed_to_scripts_and_other_sites(gateway: Running, key: Key) -> None:
    with visitor(gateway) as client:
        told = sign_in(client, key.plain).headers["set-cookie"]
    assert "HttpOnly" in told
    assert "SameSite=strict" in told
    assert "Path=/dashboard" in told


def test_signing_in_from_another_site_is_refused(gateway: Running, key: Key) -> None:
    with visitor(gateway) as client:
        headers = {"sec-fetch-site": "cross-site"}
        answer = client.post(SIGN_IN, data={"key": key.plain}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("csrf", [None, "", "forged", "ü"], ids=repr)
def test_a_form_without_its_token_changes_nothing(speaker: httpx.Client, csrf: str | None) -> None:
    answer = speaker.post("/dashboard/sign-out", data={} if csrf is None else {"csrf": csrf})
    assert answer.status_code == 403
    assert not is_signed_out(speaker)


def test_a_form_with_the_token_of_another_session_changes_nothing(
    speaker: httpx.Client, manager: httpx.Client
) -> None:
    answer = speaker.post("/dashboard/sign-out", data={"csrf": form_token(manager)})
    assert answer.status_code == 403
    assert not is_signed_out(speaker)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_from_another_site_changes_nothing(speaker: httpx.Client, site: str) -> None:
    headers, data = {"sec-fetch-site": site}, {"csrf": form_token(speaker)}
    answer = speaker.post("/dashboard/sign-out", data=data, headers=headers)
    assert answer.status_code == 403
    assert not is_signed_out(speaker)


def test_a_form_may_carry_its_token_in_a_header(speaker: httpx.Client) -> None:
    headers = {"x-csrf-token": form_token(speaker), "sec-fetch-site": "same-origin"}
    assert speaker.post("/dashboard/sign-out", headers=headers).status_code == 303


def test_signing_out_when_signed_out_leads_to_the_sign_in(gateway: Running) -> None:
    with visitor(gateway) as client:
        answer = client.post("/dashboard/sign-out")
    assert answer.headers["location"].startswith(SIGN_IN)


def test_whatever_a_key_is_called_is_text(gateway: Running, client: httpx.Client) -> None:
    named = make(client, name="<script>alert(1)</script>")
    with visitor(gateway, named.plain) as visiting:
        page = visiting.get("/dashboard").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.parametrize("place", ["/dashboard", SIGN_IN, "/dashboard/no/such/page"])
def test_every_page_is_under_the_policy_and_kept_by_nobody(
    manager: httpx.Client, place: str
) -> None:
    answer = manager.get(place)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers[POLICY]
    assert "unsafe" not in answer.headers[POLICY]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    for word in ("<style", "style=", "onclick", "javascript:"):
        assert word not in answer.text


def test_what_is_not_there_is_told_in_a_page(manager: httpx.Client) -> None:
    answer = manager.get("/dashboard/no/such/page")
    assert answer.status_code == 404
    assert "There is no such page." in answer.text


@pytest.mark.parametrize("name", ["../sessions.py", "%2e%2e/routes.py", "nothing.js", ""])
def test_nothing_but_the_static_files_is_served(gateway: Running, name: str) -> None:
    with visitor(gateway) as client:
        assert client.get(f"/dashboard/static/{name}").status_code in {404, 405}


def test_static_files_are_packed_for_who_takes_them_so(gateway: Running) -> None:
    place = "/dashboard/static/dashboard.css"
    with visitor(gateway) as client:
        plain = client.get(place, headers={"accept-encoding": "identity"})
        packed = client.get(place, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    assert packed.content == plain.content
    assert "immutable" in packed.headers["cache-control"]
