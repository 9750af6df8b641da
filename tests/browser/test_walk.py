"""Every page as either kind of key, light and dark, wide and on a phone; pictures are kept.

They lie among the tests' temporary files, or in the folder that PICTURES names.
"""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.seeded import Seeded
from tests.browser.walking import Theme, Walker
from tests.doubles.running import Running

PAGES = [
    ("/dashboard", False),
    ("/dashboard?range=30d&measure=cost&by=app", False),
    ("/dashboard?range=90d&bucket=month&measure=audio&by=key&sort=name", False),
    ("/dashboard?from=2020-01-01&to=2020-01-31", False),
    ("/dashboard/requests", False),
    ("/dashboard/models", False),
    ("/dashboard/models/local/espeak-ng", False),
    ("/dashboard/providers", False),
    ("/dashboard/try", False),
    ("/dashboard/keys", False),
    ("/dashboard/keys/new", True),
    ("/dashboard/projects", True),
    ("/dashboard/projects/default", True),
    ("/dashboard/budgets", True),
    ("/dashboard/audit", True),
    ("/dashboard/engine", True),
]
"""Addresses, and whether only a management key may see them."""
REFUSED = [
    ("/dashboard?from=2026-12-01&to=2020-01-01", 400),
    ("/dashboard/no-such-page", 404),
    ("/dashboard/sign-in", 200),
]
LARGEST_LOAD = 200_000


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wanted = os.environ.get("PICTURES")
    return Path(wanted) if wanted else tmp_path_factory.mktemp("pictures")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("who", ["speak", "management"])
def test_every_page_can_be_walked(  # noqa: PLR0913, PLR0917  # who walks, how, and where
    browser: Browser,
    house: Running,
    seeded: Seeded,
    axe: str,
    pictures: Path,
    who: str,
    theme: Theme,
    width: int,
) -> None:
    key = seeded.management if who == "management" else seeded.speak
    with Walker.entering(browser, house.url, key, theme, width) as walker:
        for number, (path, is_managing) in enumerate([*PAGES, *REFUSED]):
            status = walker.go(path)
            wanted = dict(REFUSED).get(path, 200)
            assert status == (403 if is_managing is True and who == "speak" else wanted), path
            walker.picture(pictures / f"{number}-{who}-{theme}-{width}.png")
            assert walker.overflow() <= 0, path
            # Each theme and each width once: a second time finds nothing new.
            if (theme == "light") == (width == 1280):
                assert walker.audit(axe) == [], path
            assert walker.wrong == [], path


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/try", "/dashboard/engine"])
def test_on_a_phone_the_navigation_begins_where_the_current_page_is(
    browser: Browser, house: Running, seeded: Seeded, pictures: Path, path: str
) -> None:
    with Walker.entering(browser, house.url, seeded.management, width=390) as walker:
        walker.go(path)
        walker.picture(pictures / f"navigation-{path.rpartition('/')[2]}.png")
        seen = walker.page.locator(".top nav [aria-current]").bounding_box()
        strip = walker.page.locator(".top nav").bounding_box()
        assert walker.overflow() <= 0
    assert seen is not None
    assert strip is not None
    assert strip["x"] <= seen["x"]
    assert seen["x"] + seen["width"] <= strip["x"] + strip["width"] <= 390


def test_where_nothing_is_wrong_no_box_says_so(walker: Walker) -> None:
    walker.go("/dashboard/try")
    empty = walker.page.locator(".wrong:empty")
    assert empty.count() == 3
    assert not [each for each in empty.all() if each.is_visible()]


def test_the_first_load_is_light_and_the_second_asks_for_the_page_alone(
    browser: Browser, house: Running, seeded: Seeded
) -> None:
    with Walker.entering(browser, house.url, seeded.speak) as walker:
        session = walker.page.context.new_cdp_session(walker.page)
        session.send("Network.clearBrowserCache")
        walker.go("/dashboard?range=30d")
        first = walker.weight()
        walker.go("/dashboard?range=30d")
        again = walker.weight()
    assert 10_000 < first < LARGEST_LOAD
    assert again < first / 2
