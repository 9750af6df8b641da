"""Several gateways on one PostgreSQL: they start together, and share keys, budgets and claims."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.conftest import NewDatabase
from tests.doubles.books import Books, new_key, until
from tests.doubles.catalogue import catalogue
from tests.doubles.running import Running, running
from tests.doubles.upstream import Upstream

TEXT = "x" * 100
COST = 1_500_000
"""Nano-USD of TEXT at 15 USD per million characters."""


@pytest.fixture(scope="module")
def pair(
    new_database: NewDatabase, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, Running]]:
    """Two gateways started at once on a database that was empty."""
    folder = tmp_path_factory.mktemp("pair")
    extra = folder / "providers.toml"
    extra.write_text(catalogue(upstream))
    url = new_database("postgresql")
    more = {
        "GATEWAY_CATALOG": str(extra),
        "GATEWAY_EMBEDDED_VOICE_ENABLED": "false",
        "GATEWAY_KEY_PEPPER": secrets.token_hex(32),
        "GATEWAY_ADMIN_KEY": "k3y" + secrets.token_hex(20),
    }
    with (
        running(folder / "one", url, wait=False, **more) as one,
        running(folder / "two", url, wait=False, **more) as two,
    ):
        one.wait()
        two.wait()
        yield one, two


def test_of_gateways_that_start_together_one_migrates_and_one_makes_the_first_key(
    pair: tuple[Running, Running],
) -> None:
    books = Books(pair[0])
    assert len(books.ask("SELECT hash FROM api_key WHERE name = 'admin'")) == 1
    assert len(books.ask("SELECT * FROM alembic_version")) == 1
    assert len(books.ask("SELECT id FROM instance")) == 2
    for each in pair:
        with each.client() as client:
            assert client.get("/v1/keys").status_code == 200


def test_without_a_key_of_the_operators_one_makes_it(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    url = new_database("postgresql")
    more = {"GATEWAY_KEY_PEPPER": secrets.token_hex(32), "GATEWAY_EMBEDDED_VOICE_ENABLED": "false"}
    with (
        running(tmp_path / "one", url, wait=False, **more) as one,
        running(tmp_path / "two", url, wait=False, **more) as two,
    ):
        one.wait()
        two.wait()
        files = [each for each in (one, two) if (each.data / "admin.key").exists()]
        assert len(files) == 1
        key = (files[0].data / "admin.key").read_text().strip()
        for each in (one, two):
            with each.client(key) as client:
                assert client.get("/v1/keys").status_code == 200
        assert len(Books(one).ask("SELECT hash FROM api_key")) == 1


def test_two_gateways_never_pass_one_budget(
    pair: tuple[Running, Running], upstream: Upstream
) -> None:
    one, two = pair
    with one.client() as client:
        key = new_key(client, str(COST * 10 / 10**9))
    body = {"model": "test/fine", "input": TEXT}

    def ask(gateway: Running) -> int:
        headers = {"authorization": f"Bearer {key.plain}"}
        url = f"{gateway.url}/v1/audio/speech"
        return httpx.post(url, json=body, headers=headers, timeout=30).status_code

    with ThreadPoolExecutor(16) as threads:
        statuses = list(threads.map(ask, [one, two] * 20))
    # Who was refused while others held may be served later: more than ten never are.
    assert statuses.count(200) + statuses.count(402) == 40
    books = Books(one)
    books.assert_balanced(key.hash)
    assert books.balance(key.hash)["posted_nano"] == COST * statuses.count(200) <= COST * 10
    with two.client(key.plain) as client:
        left = 10 - statuses.count(200)
        served = [client.post("/v1/audio/speech", json=body).status_code for _ in range(left + 1)]
    assert served == [200] * left + [402]


def test_a_key_that_one_gateway_disables_is_refused_by_the_other(
    pair: tuple[Running, Running],
) -> None:
    one, two = pair
    with one.client() as client:
        key = new_key(client)
        with two.client(key.plain) as other:
            assert other.get("/v1/key").status_code == 200
            client.patch(f"/v1/keys/{key.hash}", json={"disabled": True})
            until(lambda: other.get("/v1/key").status_code == 401, 3)


def test_a_gateway_with_another_pepper_does_not_start(
    pair: tuple[Running, Running], tmp_path: Path
) -> None:
    url = pair[0].environ["GATEWAY_DATABASE_URL"]
    more = {"GATEWAY_KEY_PEPPER": secrets.token_hex(32), "GATEWAY_EMBEDDED_VOICE_ENABLED": "false"}
    with running(tmp_path / "three", url, wait=False, **more) as three:
        assert three.process.wait(30) == 2
        assert "pepper" in three.said()
        assert "Traceback" not in three.said()
