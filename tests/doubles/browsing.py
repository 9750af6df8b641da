"""Visiting the dashboard over HTTP as a browser does: a form, a cookie, pages."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from gateway.dashboard.sessions import COOKIE
from tests.doubles.running import Running

SIGN_IN = "/dashboard/sign-in"


@contextmanager
def visitor(gateway: Running, key: str | None = None) -> Iterator[httpx.Client]:
    """Somebody without a bearer, signed in where a key is given."""
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        if key is not None:
            answer = sign_in(client, key)
            assert answer.status_code == 303, answer.text
        yield client


def sign_in(client: httpx.Client, key: str, **more: str) -> httpx.Response:
    return client.post(SIGN_IN, data={"key": key, **more})


def carrying(gateway: Running, cookie: str) -> httpx.Client:
    """Somebody with a cookie of their own making."""
    return httpx.Client(base_url=gateway.url, cookies={COOKIE: cookie}, timeout=30)


def form_token(client: httpx.Client) -> str:
    """What the forms of this visitor's pages carry."""
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/dashboard").text)
    assert found is not None
    return found[1]


def is_signed_out(client: httpx.Client) -> bool:
    answer = client.get("/dashboard")
    return answer.status_code == 303 and answer.headers["location"].startswith(SIGN_IN)
