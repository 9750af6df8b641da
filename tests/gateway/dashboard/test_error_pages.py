"""What goes wrong is told in a page of the house, with the way on for who is signed in."""

import httpx
import pytest

from tests.doubles.books import Books, Key, settled
from tests.doubles.browsing import form_token, visitor
from tests.doubles.managing import speak
from tests.doubles.running import Running

NAVIGATION = '<nav aria-label="Pages">'


@pytest.mark.parametrize(
    ("place", "status"),
    [
        ("/dashboard/no/such/page", 404),
        ("/dashboard/requests/gen-tts-none", 404),
        ("/dashboard?range=nonsense", 400),
    ],
)
def test_a_page_that_cannot_be_shown_keeps_the_navigation(
    manager: httpx.Client, place: str, status: int
) -> None:
    answer = manager.get(place)
    assert answer.status_code == status
    assert NAVIGATION in answer.text
    assert 'href="/dashboard/keys"' in answer.text
    assert form_token(manager) in answer.text


def test_what_a_key_may_not_see_keeps_its_own_navigation(speaker: httpx.Client) -> None:
    answer = speaker.get("/dashboard/engine")
    assert answer.status_code == 403
    assert NAVIGATION in answer.text
    assert "My key" in answer.text


@pytest.mark.parametrize("place", ["/dashboard/keys/a/b/c", "/dashboard/requests/a/b/c"])
def test_however_deep_there_is_no_page_that_is_told_in_a_page(
    manager: httpx.Client, place: str
) -> None:
    answer = manager.get(place)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "There is no such page." in answer.text


def test_who_is_not_signed_in_has_no_navigation(gateway: Running) -> None:
    with visitor(gateway) as client:
        answer = client.get("/dashboard/no/such/page")
    assert answer.status_code == 404
    assert NAVIGATION not in answer.text


def test_a_part_that_cannot_be_shown_brings_no_second_navigation(manager: httpx.Client) -> None:
    place = "/dashboard/requests/gen-tts-none"
    answer = manager.get(place, headers={"hx-request": "true"})
    assert answer.status_code == 404
    assert NAVIGATION not in answer.text


def test_a_fault_of_the_gateways_own_is_a_page_and_logged(
    gateway: Running, client: httpx.Client, manager: httpx.Client, key: Key, books: Books
) -> None:
    id_ = speak(gateway, key).headers["x-generation-id"]
    settled(client, id_)
    books.tell("UPDATE generation SET plan = :plan WHERE id = :id", [{"plan": "{", "id": id_}])
    answer = manager.get(f"/dashboard/requests/{id_}")
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/html")
    assert NAVIGATION in answer.text
    assert "The gateway itself failed" in answer.text
    assert "a request failed in the gateway itself" in gateway.said()
    assert "Traceback" not in answer.text
    books.tell("UPDATE generation SET plan = :plan WHERE id = :id", [{"plan": "{}", "id": id_}])
