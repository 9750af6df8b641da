"""A hub on the loopback: repositories held in memory, one of them gated."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

TOKEN = "hf_canary0123456789"
STALE_TOKEN = "hf_stale0123456789"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
Files = Mapping[str, bytes]


@dataclass
class FakeHub:
    """What it has, where it is, and what it was asked for."""

    repositories: Mapping[str, Files]
    gated: frozenset[str] = frozenset()
    private_until: str | None = None
    """The token that opens gated repositories."""
    address: str = ""
    broken: bool = False
    fetched: list[str] = field(default_factory=list)


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    class Handler(_Handler):
        told = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    told: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if self.told.broken:
            return self._send(500, b"{}", {})
        if self.headers.get("Authorization") == f"Bearer {STALE_TOKEN}":
            why = "Invalid credentials in Authorization header"
            return self._send(401, b"{}", {"X-Error-Message": why})
        for name, files in self.told.repositories.items():
            if path.startswith((f"/api/models/{name}/", f"/{name}/resolve/")):
                return self._of_repository(name, files, path)
            if path == f"/api/models/{name}":
                return self._json({"id": name, "sha": COMMIT, "siblings": []})
        return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _of_repository(self, name: str, files: Files, path: str) -> None:
        if path.startswith(f"/api/models/{name}/revision/"):
            if path.rsplit("/", 1)[1] not in {"main", COMMIT}:
                return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return self._json({"id": name, "sha": COMMIT, "siblings": []})
        if path.startswith(f"/api/models/{name}/tree/"):
            return self._json([_listed(file, content) for file, content in files.items()])
        return self._file(name, files, path.removeprefix(f"/{name}/resolve/").partition("/")[2])

    def _file(self, name: str, files: Files, file: str) -> None:
        sent = self.headers.get("Authorization", "")
        if name in self.told.gated and sent != f"Bearer {self.told.private_until}":
            status = 403 if sent else 401
            return self._send(status, b"{}", {"X-Error-Code": "GatedRepo"})
        if file not in files:
            return self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
        if self.command == "GET":
            self.told.fetched.append(file)
        digest = hashlib.sha1(files[file], usedforsecurity=False).hexdigest()
        return self._send(200, files[file], {"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT})

    def _json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _listed(file: str, content: bytes) -> dict[str, object]:
    digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return {"type": "file", "path": file, "size": len(content), "oid": digest}
