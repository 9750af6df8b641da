"""Walking the dashboard as somebody does, and noting whatever a page does that none may."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

Theme = Literal["light", "dark"]
AUDIT = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations
    .filter((each) => ["serious", "critical"].includes(each.impact))
    .map((each) => `${each.id}: ${each.nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`);
}"""
OVERFLOW = """() => document.documentElement.scrollWidth - document.documentElement.clientWidth"""
SETTLED = """() => document.readyState === "complete" && !document.querySelector(".htmx-request")"""
_REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")


@dataclass
class Walker:
    """One visitor with a page before them."""

    page: Page
    url: str
    wrong: list[str] = field(default_factory=list)
    """What the console said, what failed, and who else was asked."""

    @classmethod
    @contextmanager
    def entering(
        cls, browser: Browser, url: str, key: str, theme: Theme = "light", width: int = 1280
    ) -> Iterator["Walker"]:
        """Signed in, in a context of their own."""
        context = browser.new_context(
            color_scheme=theme, viewport={"width": width, "height": 800}, bypass_csp=False
        )
        walker = cls(context.new_page(), url)
        walker.listen()
        walker.sign_in(key)
        yield walker
        context.close()

    def listen(self) -> None:
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("request", self._see)
        self.page.on("response", self._judge)

    def sign_in(self, key: str) -> None:
        self.go("/dashboard/sign-in")
        self.page.fill("#key", key)
        self.page.click("button.main")
        self.page.wait_for_url("**/dashboard")

    def go(self, path: str) -> int:
        answer = self.page.goto(self.url + path)
        assert answer is not None
        self.page.wait_for_function(SETTLED)
        return answer.status

    def overflow(self) -> int:
        """By how many pixels the page is wider than the screen."""
        found: int = self.page.evaluate(OVERFLOW)
        return found

    def audit(self, axe: str) -> list[str]:
        """Serious violations that axe finds; it is put in beside the page's policy."""
        self.page.evaluate(axe)
        found: list[str] = self.page.evaluate(AUDIT)
        return found

    def picture(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=file, full_page=True)

    def weight(self) -> int:
        """Bytes that came over the wire for the page and all that it loaded."""
        told: Any = self.page.evaluate(
            "() => [...performance.getEntriesByType('navigation'),"
            " ...performance.getEntriesByType('resource')]"
            ".reduce((sum, each) => sum + each.transferSize, 0)"
        )
        return int(told)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not _REFUSED.match(message.text):
            self.wrong.append(f"{message.type}: {message.text}")

    def _see(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob"} and parts.netloc != urlsplit(self.url).netloc:
            self.wrong.append(f"asked elsewhere: {request.url}")

    def _judge(self, response: Response) -> None:
        if response.status >= 500 or (response.status >= 400 and "/static/" in response.url):
            self.wrong.append(f"{response.status}: {response.url}")
