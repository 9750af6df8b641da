"""The official OpenAI SDK for Node, in a process of its own."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.clients.fox import FORMATS, assert_fox, audio_of, events
from tests.doubles.running import Running

NODE = Path(__file__).parent / "node"
pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(
        not (NODE / "node_modules" / "openai").is_dir(),
        reason="the Node SDK is not installed: make tests/clients/node/node_modules/.installed",
    ),
]


@dataclass(frozen=True)
class Node:
    """speak.mjs, and where it leaves its audio."""

    url: str
    key: str
    file: Path

    def speak(self, **more: object) -> dict[str, Any]:
        ran = subprocess.run(
            ["node", NODE / "speak.mjs", self.file, json.dumps(more)],
            env={"PATH": os.environ["PATH"], "BASE_URL": self.url, "API_KEY": self.key},
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert ran.returncode == 0, ran.stderr.decode()
        told: dict[str, Any] = json.loads(ran.stdout)
        return told


@pytest.fixture
def node(gateway: Running, tmp_path: Path) -> Node:
    return Node(f"{gateway.url}/v1", gateway.key, tmp_path / "fox")


@pytest.mark.parametrize("form", FORMATS)
def test_it_speaks_every_format(node: Node, form: str) -> None:
    headers = node.speak(response_format=form)["headers"]
    assert headers["x-generation-id"].startswith("gen-tts-")
    assert_fox(node.file.read_bytes(), form)


def test_it_reads_server_sent_events(node: Node) -> None:
    headers = node.speak(model="gpt-4o-mini-tts", stream_format="sse")["headers"]
    assert headers["content-type"].startswith("text/event-stream")
    assert_fox(audio_of(events(node.file.read_text())), "mp3")


def test_an_unknown_voice_is_a_bad_request_that_names_its_field(node: Node) -> None:
    told = node.speak(voice="nobody-at-all")
    assert (told["class"], told["status"], told["param"]) == ("BadRequestError", 400, "voice")
    assert told["type"] == "invalid_request_error"
    assert "nobody-at-all" in told["message"]
    assert told["requestID"].startswith("req-")
    assert not node.file.exists()


def test_a_wrong_key_is_an_authentication_error(node: Node) -> None:
    told = replace(node, key="sk-no-key-of-ours").speak()
    assert (told["class"], told["status"]) == ("AuthenticationError", 401)


def test_a_spent_budget_is_told_once_and_not_retried(
    node: Node, penniless_key: str, statuses: Callable[[str], list[int]]
) -> None:
    told = replace(node, key=penniless_key).speak(model="test/fine")
    assert (told["class"], told["status"]) == ("APIError", 402)
    assert statuses(penniless_key) == [402]
