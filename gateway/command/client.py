"""The running gateway, as commands ask it over HTTP: where it is, with which key, what it said."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import click
import httpx

from gateway.configuration import read_settings
from gateway.settings import Settings

KEYS = ("GATEWAY_API_KEY", "GATEWAY_KEY")
"""Variables that an API key may stand in; the second is the older name."""
_WAIT = httpx.Timeout(5, read=60)


def client_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--url` and `--key`, as every command has them that asks a running gateway."""
    command = click.option(
        "--key", envvar=KEYS, help="API key; GATEWAY_API_KEY, else data/admin.key."
    )(command)
    return click.option(
        "--url", envvar="GATEWAY_URL", help="The gateway; GATEWAY_URL, else the configured address."
    )(command)


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway and a key for it."""

    url: str
    key: str

    @classmethod
    def of(cls, url: str | None, key: str | None) -> "Place":
        """What the options say, and what the settings say where they say nothing."""
        settings = read_settings()
        server = settings.server
        host = f"[{server.host}]" if ":" in server.host else server.host
        address = (url or f"http://{host}:{server.port}").rstrip("/")
        if not address.startswith(("http://", "https://")):
            raise click.UsageError(f"--url: {address!r} does not begin with http:// or https://")
        return cls(address, _plain(key or _own_key(settings)))

    def request(self, method: str, path: str, **sent: Any) -> httpx.Request:  # noqa: ANN401  # httpx's own
        """A request of `path` under the gateway's address, with the key."""
        headers = {"authorization": f"Bearer {self.key}"}
        extensions = {"timeout": _WAIT.as_dict()}
        try:
            return httpx.Request(
                method, self.url + path, headers=headers, extensions=extensions, **sent
            )
        except httpx.InvalidURL as error:
            raise click.UsageError(f"--url: {error}") from None

    def ask(self, path: str, **query: str | int | None) -> dict[str, Any]:
        """The JSON at `path`; what is None is not asked."""
        params = {name: value for name, value in query.items() if value is not None}
        return read_json(self._answer(self.request("GET", path, params=params)))

    def tell(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """The JSON that `path` answers to a body."""
        return read_json(self._answer(self.request("POST", path, json=dict(body))))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        try:
            with httpx.Client() as client:
                response = client.send(request)
        except httpx.TransportError as error:
            raise self.unreachable(error) from None
        if not response.is_success:
            raise refused(response)
        return response

    def unreachable(self, error: httpx.TransportError) -> click.ClickException:
        """What to say of a gateway that does not answer, and what to do."""
        wrong = f"no gateway answers at {self.url}; start one with `gateway serve`"
        if isinstance(error, httpx.TimeoutException):
            wrong = f"the gateway at {self.url} does not answer in time"
        elif not isinstance(error, httpx.ConnectError):
            wrong = f"the connection to {self.url} broke off"
        return click.ClickException(wrong)


def segment(name: str) -> str:
    """A name as a part of a path; its slashes stay, for models have them."""
    return quote(name, safe="/:")


def refused(response: httpx.Response) -> click.ClickException:
    """The gateway's own words for what it did not do."""
    try:
        message = str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = f"the gateway answered {response.status_code}"
    return click.ClickException(message)


def read_json(response: httpx.Response) -> dict[str, Any]:
    try:
        told = response.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise click.ClickException(
            f"what answers at {response.url.host} is no gateway of this kind"
        )
    return told


def _own_key(settings: Settings) -> str:
    file = settings.data / "admin.key"
    if settings.admin_key:
        return settings.admin_key
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        readable = "cannot be read" if os.path.lexists(file) else "is not there"
        wrong = f"no API key: give --key or GATEWAY_API_KEY; {file} {readable}"
        raise click.UsageError(wrong) from None


def _plain(key: str) -> str:
    """A header takes no more than printable ASCII."""
    if not key.isascii() or not key.isprintable():
        raise click.UsageError("--key: it holds characters that no API key has")
    return key
