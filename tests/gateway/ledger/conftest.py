"""A ledger on each of the two databases, empty at the start of a test."""

from collections.abc import Iterator

import pytest

from tests.conftest import NewDatabase
from tests.gateway.ledger.bench import Bench


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def ledger(
    request: pytest.FixtureRequest,
    new_database: NewDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bench]:
    bench = Bench(new_database(request.param), tmp_path_factory.mktemp("ledger"))
    yield bench
    bench.close()


@pytest.fixture
def bench(ledger: Bench) -> Bench:
    ledger.begin(0)
    return ledger
