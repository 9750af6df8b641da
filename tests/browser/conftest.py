"""What the walks share: a gateway with a month of use behind it, and one browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.seeded import Seeded, seed
from tests.browser.walking import Walker
from tests.conftest import NewDatabase
from tests.doubles.catalogue import STEADY, catalogue
from tests.doubles.running import Running, running
from tests.doubles.upstream import Upstream

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    return found


@pytest.fixture(scope="session")
def axe() -> str:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make tests/browser/node_modules/.installed")
    return AXE.read_text()


@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    """Ended with this folder's tests: its loop would be in the way of asynchronous ones."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="package")
def house(
    chromium: str,
    new_database: NewDatabase,
    upstream: Upstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """A gateway of the walks' own; others would change its figures."""
    data = tmp_path_factory.mktemp("house")
    extra = data / "test-providers.toml"
    extra.write_text(catalogue(upstream))
    with running(data, new_database("sqlite"), GATEWAY_CATALOG=str(extra), **STEADY) as started:
        yield started


@pytest.fixture(scope="package")
def seeded(house: Running) -> Seeded:
    return seed(house)


@pytest.fixture
def walker(browser: Browser, house: Running, seeded: Seeded) -> Iterator[Walker]:
    """Somebody who speaks, at a wide screen in daylight."""
    with Walker.entering(browser, house.url, seeded.speak) as entered:
        yield entered
