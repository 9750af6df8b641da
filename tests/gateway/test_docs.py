"""`/openapi.json` and `/docs`: what they say is what the gateway does, example by example."""

import html
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from gateway.app import create_app
from gateway.configuration import read_settings
from gateway.docs.document import OPERATIONS, is_served
from gateway.docs.fields import FIELDS
from gateway.docs.operation import GENERATION, HASH
from gateway.docs.routes import served
from tests.doubles.running import ROOT, Running, running

Json = dict[str, Any]
METHODS = {"get", "post", "put", "patch", "delete"}
INVISIBLE = ("/dashboard", "/docs", "/v1/model/")
"""Pages; and a spelling of `/models/` that older clients use."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway as it is shipped, whose books these tests may fill."""
    data = tmp_path_factory.mktemp("docs")
    with running(data, f"sqlite+aiosqlite:///{data}/gateway.db") as started:
        yield started


@pytest.fixture(scope="module")
def speaker(alone: Running) -> Iterator[httpx.Client]:
    with alone.client() as client:
        yield client


@pytest.fixture(scope="module")
def document(speaker: httpx.Client) -> Json:
    found: Json = speaker.get("/openapi.json").json()
    return found


@pytest.fixture
def generation(speaker: httpx.Client) -> str:
    """A request of before, whose audio is kept."""
    body = {"model": "local/espeak-ng", "input": "The quick brown fox."}
    spoken = speaker.post(
        "/v1/audio/speech", json=body, headers={"idempotency-key": f"docs-{uuid4()}"}
    )
    return str(spoken.headers["x-generation-id"])


def new_key(client: httpx.Client) -> str:
    made = client.post("/v1/keys", json={"name": "for an example", "limit": 5})
    return str(made.json()["data"]["hash"])


def operations(document: Json) -> Iterator[tuple[str, str, Json, bool]]:
    for path, at in document["paths"].items():
        for method in METHODS & at.keys():
            yield method, path, at[method], "servers" in at


def bodies(operation: Json) -> list[Json | None]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return [each["value"] for each in content.get("examples", {}).values()] or [None]


def assert_as_told(told: object, real: object, at: str) -> None:
    """Whatever an example shows is there, and of its type; a null says nothing of a type."""
    if told is None or real is None:
        return
    if isinstance(told, dict):
        assert isinstance(real, dict), at
        for name, value in told.items():
            assert name in real, f"{at}.{name}"
            assert_as_told(value, real[name], f"{at}.{name}")
    elif isinstance(told, list):
        assert isinstance(real, list), at
        if told and real:
            assert_as_told(told[0], real[0], f"{at}[]")
    elif isinstance(told, int | float) and not isinstance(told, bool):
        assert isinstance(real, int | float), at
    else:
        assert type(real) is type(told), at


def test_every_example_is_answered_as_it_is_told(
    speaker: httpx.Client, document: Json, generation: str
) -> None:
    sent = 0
    for method, path, operation, is_rooted in operations(document):
        for body in bodies(operation):
            place, query = path if is_rooted else f"/v1{path}", {}
            if operation["operationId"] == "delete_budgets":
                budget = {"scope": "project:default", "period": "month", "limit": 50}
                speaker.put("/v1/budgets", json=budget)
            for each in operation["parameters"]:
                if "example" not in each:
                    continue
                mine = {GENERATION: lambda: generation, HASH: lambda: new_key(speaker)}
                value = mine.get(each["example"], lambda told=each["example"]: told)()
                if each["in"] == "path":
                    place = place.replace(f"{{{each['name']}}}", value)
                else:
                    query[each["name"]] = value
            answer = speaker.request(method, place, params=query, json=body)
            name = operation["operationId"]
            assert str(answer.status_code) in operation["responses"], (name, answer.text)
            assert answer.is_success, (name, answer.text)
            content = operation["responses"][str(answer.status_code)]["content"]
            kind = answer.headers["content-type"]
            assert kind.split(";")[0] in {each.split(";")[0] for each in content}, name
            if example := content.get("application/json", {}).get("example"):
                assert_as_told(example, answer.json(), name)
            sent += 1
    assert sent >= len(document["paths"])


def test_the_error_that_is_told_is_the_error_that_is_answered(
    speaker: httpx.Client, document: Json
) -> None:
    told = document["components"]["responses"]["Error"]["content"]["application/json"]["example"]
    body = {"model": "auto", "input": "Hi.", "speed": 9}
    answer = speaker.post("/v1/audio/speech", json=body)
    assert answer.status_code == 400
    assert_as_told(told, answer.json(), "error")
    assert answer.json()["error"]["message"] == told["error"]["message"]


def test_every_call_on_the_page_does_what_it_says(
    alone: Running, speaker: httpx.Client, document: Json, generation: str, tmp_path: Path
) -> None:
    page = speaker.get("/docs").text
    calls = [html.unescape(each) for each in re.findall(r"data-call>(.*?)</pre>", page, re.DOTALL)]
    assert len(calls) == sum(len(bodies(each)) for _, _, each, _ in operations(document))
    budget = {"scope": "project:default", "period": "month", "limit": 50}
    speaker.put("/v1/budgets", json=budget)
    lines = [
        "set -e",
        *(
            call.replace("curl", "curl -sS -o answer -w '%{http_code}\\n'", 1)
            .replace("-o speech", "")
            .replace(GENERATION, generation)
            .replace(HASH, new_key(speaker))
            # What the other test made is there already.
            .replace('"id":"', '"id":"page-')
            for call in calls
        ),
    ]
    variables = {"GATEWAY_URL": alone.url, "GATEWAY_API_KEY": alone.key, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answered = dict(zip(calls, done.stdout.split(), strict=True))
    assert not {call for call, status in answered.items() if status not in {"200", "201"}}


# Litestar would have each parameter of a query spelled out.
@pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")
def test_every_route_of_the_api_is_told(tmp_path: Path) -> None:
    environ = {"GATEWAY_DATA": str(tmp_path), "GATEWAY_CONFIG": str(ROOT / "config")}
    known = served(create_app(read_settings(environ), environ))
    told = {
        (each.method, each.path if each.is_rooted else f"/v1{each.path}")
        for each in OPERATIONS
        if is_served(each, known)
    }
    ours = {
        (method, path)
        for method, path in known
        if method in METHODS and not path.startswith(("/api/v1", *INVISIBLE))
    }
    assert ours == told


def test_every_field_of_every_body_is_explained(document: Json) -> None:
    for name, shape in document["components"]["schemas"].items():
        unexplained = shape["properties"].keys() - FIELDS[name].keys()
        assert not unexplained, name


def test_the_document_is_whole(document: Json) -> None:
    """The structure that OpenAPI 3.1 asks for: ids told once, references that lead somewhere."""
    ids = [operation["operationId"] for _, _, operation, _ in operations(document)]
    assert len(ids) == len(set(ids))
    tags = {each["name"] for each in document["tags"]}
    assert document["openapi"] == "3.1.0"
    assert document["info"].keys() >= {"title", "version"}
    for _, path, operation, _ in operations(document):
        placed = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert placed == set(re.findall(r"{(\w+)}", path))
        assert all(each["required"] for each in operation["parameters"] if each["in"] == "path")
        assert set(operation["tags"]) <= tags
        assert all(
            "description" in each or "$ref" in each for each in operation["responses"].values()
        )
    for reference in re.findall(r'"\$ref":"#/([^"]+)"', msgspec.json.encode(document).decode()):
        found: Any = document
        for part in reference.split("/"):
            found = found[part]
        assert found


def test_the_page_asks_for_nothing_from_elsewhere(speaker: httpx.Client) -> None:
    answer = speaker.get("/docs")
    policy = answer.headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert "default-src 'none'" in policy
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', answer.text)
    assert not re.findall(r"<style|\sstyle=|\son\w+=|<script(?! src)", answer.text)
    for place in re.findall(r'(?:src|href)="(/dashboard/static[^"]+)"', answer.text):
        assert speaker.get(html.unescape(place)).status_code == 200
    assert len(answer.content) < 150_000


def test_the_documents_need_no_key_and_their_neighbours_are_not_found(alone: Running) -> None:
    with httpx.Client(base_url=alone.url) as nobody:
        assert nobody.get("/openapi.json").status_code == 200
        assert nobody.get("/docs").headers["content-type"].startswith("text/html")
        for path in ("/docs/x", "/openapi.yaml", "/schema", "/v1/docs"):
            assert nobody.get(path).status_code == 404, path
