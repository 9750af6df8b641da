"""First paint: when Chromium shows something of a page, on loopback."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from gateway.dashboard.sessions import COOKIE

PAGES = (
    "/dashboard",
    "/dashboard?range=30d&by=model",
    "/dashboard/requests",
    "/dashboard/models",
    "/dashboard/models/openai/tts-1",
    "/dashboard/providers",
)
TIMES = 5
PAINTED = """() => new Promise((tell) => new PerformanceObserver((list) => {
  const found = list.getEntriesByName("first-contentful-paint")[0];
  if (found) tell(found.startTime);
}).observe({ type: "paint", buffered: true }))"""
WEIGHT = """() => [...performance.getEntriesByType("navigation"),
  ...performance.getEntriesByType("resource")].reduce((sum, each) => sum + each.transferSize, 0)"""


@dataclass(frozen=True, slots=True)
class Painted:
    """One page; each time in milliseconds from the click on."""

    page: str
    cold: tuple[float, ...]
    """With nothing kept from before."""
    warm: tuple[float, ...]
    first_bytes: int
    """What came over the wire for a cold one."""


def paint(url: str, token: str) -> list[Painted]:
    """token: the cookie of a session."""
    with _browser() as browser:
        _load(browser, url, token, PAGES[0])  # the browser's own start is nobody's page
        return [_painted(browser, url, token, page) for page in PAGES]


def _painted(browser: Browser, url: str, token: str, page: str) -> Painted:
    loads = [_load(browser, url, token, page) for _ in range(TIMES)]
    cold, warm, weights = zip(*loads, strict=True)
    return Painted(page, cold, warm, max(weights))


def _load(browser: Browser, url: str, token: str, page: str) -> tuple[float, float, int]:
    """First paint of a visitor who was never here, then of the same again; and bytes."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    host = str(urlsplit(url).hostname)
    context.add_cookies([{"name": COOKIE, "value": token, "domain": host, "path": "/dashboard"}])
    cold, weight = _once(context, url + page)
    warm, _ = _once(context, url + page)
    context.close()
    return cold, warm, weight


def _once(context: BrowserContext, address: str) -> tuple[float, int]:
    tab = context.new_page()
    tab.goto(address, wait_until="load")
    painted, weight = float(tab.evaluate(PAINTED)), int(tab.evaluate(WEIGHT))
    tab.close()
    return painted, weight


@contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield started
        started.close()
