"""Every page and every form, found by their addresses: none is forgotten when one is new.

Who is not signed in gets nowhere, what comes from elsewhere changes nothing, and whatever is typed
is text or is refused.
"""

import re
from collections.abc import Iterator

import httpx
import pytest

from gateway.access.pepper import keyed_hash
from gateway.dashboard.routes import dashboard
from gateway.dashboard.sessions import Sessions
from tests.doubles.books import Key
from tests.doubles.browsing import SIGN_IN, carrying
from tests.doubles.running import Running
from tests.doubles.visiting import Visit, visiting

SCRIPT = "<script>alert('typed')</script>\"'"
ABSURD = [
    *("-1", "0", "9" * 400, "1e999", "NaN", "٣", "\0", "\u202e", "%00", "ü" * 2000, "a,b\r\nx: y"),
    *("0000-00-00", "0001-01-01", "9999-12-31", "2026-02-30", "2026-01-01T25:61", "now", "[]"),
]
_OPEN = {SIGN_IN, "/dashboard/static/{name:path}", "/dashboard/{rest:path}"}


def places(method: str) -> list[str]:
    """The addresses that are asked so and want a session; ids in them are nobody's."""
    asked = [
        route.path
        for route in dashboard.routes
        for handler in route.route_handlers  # type: ignore[union-attr]  # all are of HTTP
        if method in handler.http_methods and route.path not in _OPEN  # type: ignore[union-attr]
    ]
    return sorted({re.sub(r"\{[^}]*\}", "nobody", path) for path in asked})


def names_in(page: str) -> set[str]:
    """The fields of a page's forms and of its links."""
    typed = re.findall(r'<(?:input|select|textarea)[^>]* name="([^"]+)"', page)
    linked = re.findall(r"[?;&](\w+)=", page)
    return {*typed, *linked} - {"csrf"}


def assert_told(answer: httpx.Response) -> None:
    """It is shown or refused, and what was typed is text in it."""
    assert answer.status_code < 500, answer.text
    assert SCRIPT not in answer.text
    assert "<script>alert" not in answer.text


@pytest.fixture(scope="module")
def visit(gateway: Running) -> Iterator[Visit]:
    with visiting(gateway) as visit:
        yield visit


def test_there_are_pages_and_forms() -> None:
    assert {"/dashboard", "/dashboard/keys/nobody", "/dashboard/requests"} <= {*places("GET")}
    assert {"/dashboard/keys", "/dashboard/budgets", "/dashboard/try/speech"} <= {*places("POST")}


@pytest.mark.parametrize("place", places("GET"))
def test_a_page_wants_a_session_that_is_not_over(gateway: Running, key: Key, place: str) -> None:
    pepper = (gateway.data / "pepper").read_bytes()
    over = Sessions(pepper).begin(keyed_hash(pepper, key.plain), seconds=-1)
    with carrying(gateway, over.token) as client:
        answer = client.get(place)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(SIGN_IN)


@pytest.mark.parametrize("place", places("POST"))
@pytest.mark.parametrize("csrf", ["", "forged"])
def test_a_form_that_is_not_ours_is_refused(
    visit: Visit, client: httpx.Client, place: str, csrf: str
) -> None:
    before = client.get("/v1/audit").json()
    answer = visit.client.post(place, data={"csrf": csrf, "id": "forged", "name": "forged"})
    assert answer.status_code == 403
    assert client.get("/v1/audit").json() == before


@pytest.mark.parametrize("place", places("GET"))
def test_whatever_stands_in_an_address_is_text_or_refused(visit: Visit, place: str) -> None:
    for name in sorted(names_in(visit.client.get(place).text)):
        for typed in (SCRIPT, *ABSURD):
            assert_told(visit.client.get(place, params={name: typed}))


@pytest.mark.parametrize("place", [each for each in places("GET") if "nobody" in each])
def test_whatever_stands_for_an_id_is_text_or_refused(visit: Visit, place: str) -> None:
    for typed in ("%3Cscript%3Ealert('typed')%3C/script%3E", "%00", "%ff", "..%2f..", "x" * 3000):
        assert_told(visit.client.get(place.replace("nobody", typed)))


@pytest.mark.parametrize("place", [each for each in places("POST") if "sign-out" not in each])
def test_whatever_is_typed_into_a_form_is_text_or_refused(visit: Visit, place: str) -> None:
    page = visit.client.get({"/dashboard/keys": "/dashboard/keys/new"}.get(place, place)).text
    names = names_in(page) | {"scope", "period", "limit", "id", "name", "organisation", "text"}
    for typed in (SCRIPT, "\0", "9" * 400, "ü" * 2000):
        assert_told(visit.send(place, dict.fromkeys(names, typed)))
