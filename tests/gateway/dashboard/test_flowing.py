"""Pages that begin before the database has answered, and what becomes of them if it does not."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg
import pytest
from sqlalchemy import make_url

from gateway.dashboard.flowing import WAITING
from tests.conftest import NewDatabase
from tests.doubles.books import Books
from tests.doubles.browsing import visitor
from tests.doubles.running import Running, running

PAGES = [
    "/dashboard",
    "/dashboard/models",
    "/dashboard/models/local/espeak-ng",
    "/dashboard/providers",
    "/dashboard/requests",
]
CALM = {"GATEWAY_EMBEDDED_VOICE_ENABLED": "false"}
CROWD = 20
"""More than there are connections to the database."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("own"), new_database("postgresql"), **CALM) as started:
        yield started


@pytest.fixture(scope="module")
def guest(own: Running) -> Iterator[httpx.Client]:
    with visitor(own, own.key) as signed_in:
        yield signed_in


@contextmanager
def withheld(own: Running) -> Iterator[psycopg.Connection]:
    """Nobody may read what pages tell of, until this connection's transaction ends."""
    url = make_url(own.environ["GATEWAY_DATABASE_URL"]).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False)) as other:
        other.execute("LOCK TABLE rollup, attempt, generation IN ACCESS EXCLUSIVE MODE")
        yield other


def beginning(parts: Iterator[str]) -> str:
    begun = ""
    while WAITING not in begun:
        begun += next(parts)
    return begun


@pytest.mark.parametrize("page", PAGES)
def test_a_page_begins_before_the_database_has_answered(
    own: Running, guest: httpx.Client, page: str
) -> None:
    with withheld(own) as other, guest.stream("GET", page) as answer:
        parts = answer.iter_text()
        begun = beginning(parts)
        other.rollback()
        ended = "".join(parts)
    assert answer.headers["content-encoding"] == "gzip"
    assert '<nav aria-label="Pages">' in begun
    assert "</h1>" in begun
    assert begun.endswith(WAITING)
    assert "<section" in ended
    assert 'role="alert"' not in ended
    assert ended.endswith("</html>")


def test_who_leaves_while_a_page_begins_takes_no_connection_along(
    own: Running, guest: httpx.Client
) -> None:
    with withheld(own):
        for _ in range(CROWD):
            with guest.stream("GET", "/dashboard") as answer:
                beginning(answer.iter_text())
    answer = guest.get("/dashboard", timeout=5)
    assert 'id="live"' in answer.text


def test_what_goes_wrong_after_the_beginning_is_told_in_the_place_of_the_rest(
    gateway: Running, manager: httpx.Client, books: Books
) -> None:
    books.tell("ALTER TABLE rollup RENAME TO away", [{}])
    try:
        page = manager.get("/dashboard/models")
        part = manager.get("/dashboard/models", headers={"hx-request": "true"})
    finally:
        books.tell("ALTER TABLE away RENAME TO rollup", [{}])
    assert page.status_code == 200
    assert '<p class="wrong" role="alert">The database does not answer.</p>' in page.text
    assert "Tasks and aliases" in page.text
    assert page.text.endswith("</html>")
    assert part.status_code == 503, "a part that is swapped in place can still tell its status"
    assert 'id="models"' in manager.get("/dashboard/models").text
