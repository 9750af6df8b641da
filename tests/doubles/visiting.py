"""Somebody at the dashboard without JavaScript: signed in, reading pages and sending forms."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape

import httpx

from tests.doubles.browsing import form_token, visitor
from tests.doubles.running import Running


@dataclass(frozen=True)
class Visit:
    """A signed-in client, and the token that its forms carry."""

    client: httpx.Client
    token: str

    def page(self, path: str, **query: str | int) -> str:
        answer = self.client.get(path, params=query or None)
        assert answer.status_code == 200, answer.text
        return answer.text

    def send(
        self, path: str, fields: Mapping[str, str | list[str]] | None = None
    ) -> httpx.Response:
        """Send a form of our own."""
        return self.client.post(path, data={"csrf": self.token, **(fields or {})})

    def field(self, path: str, name: str) -> str:
        """What a field of a page's form has been filled in with."""
        return field_of(self.page(path), name)


@contextmanager
def visiting(gateway: Running, key: str | None = None) -> Iterator[Visit]:
    with visitor(gateway, key or gateway.key) as client:
        yield Visit(client, form_token(client))


def field_of(page: str, name: str) -> str:
    for tag in re.findall("<input[^>]*>", page):
        if f' name="{name}"' in tag and (found := re.search(' value="([^"]*)"', tag)):
            return unescape(found[1])
    raise AssertionError(f"no field {name!r}")


def words_of(page: str) -> str:
    """A page as it is read: without its tags, each stretch of space as one."""
    return " ".join(unescape(re.sub("<[^>]*>", " ", page)).split())
