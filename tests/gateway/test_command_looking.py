"""The commands that look at a running gateway, as a person and as a program call them."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gateway.__main__ import gateway as program
from tests.doubles.commanding import called, done
from tests.doubles.running import Running, running


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("looking")
    with running(data, f"sqlite+aiosqlite:///{data}/gateway.db") as started:
        yield started


@pytest.fixture(scope="module")
def spoken(alone: Running) -> str:
    body = {"model": "local/espeak-ng", "input": "The quick brown fox."}
    with alone.client() as client:
        client.post("/v1/audio/speech", json=body | {"voice": "nobody"})
        answer = client.post("/v1/audio/speech", json=body)
    return str(answer.headers["x-generation-id"])


def test_requests_are_listed_and_filtered(alone: Running, spoken: str) -> None:
    everything = called(alone.environ, "generations", "list")
    assert everything.exit_code == 0, everything.output
    assert spoken in everything.stdout
    assert "\x1b[" not in everything.stdout
    failed = done(alone.environ, "generations", "list", "--failed")["data"]
    assert [each["error_type"] is not None for each in failed] == [True] * len(failed)
    assert spoken not in {each["id"] for each in failed}
    words = ("generations", "list", "--provider", "local", "--status", "settled", "--json")
    mine = json.loads(called(alone.environ, *words).stdout)["data"]
    assert spoken in {each["id"] for each in mine}


def test_one_request_is_shown_as_a_tree_of_its_attempts(alone: Running, spoken: str) -> None:
    ended = called(alone.environ, "generations", "show", spoken)
    assert ended.exit_code == 0, ended.output
    for told in (
        spoken,
        "1 attempt",
        "local local/espeak-ng as en-us",
        "first audio",
        "cost 0 USD",
    ):
        assert told in ended.stdout
    record = json.loads(called(alone.environ, "generations", "show", spoken, "--json").stdout)[
        "data"
    ]
    assert record["id"] == spoken


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("providers",), "OPENAI_API_KEY is not set"),
        (("models",), "local/espeak-ng"),
        (("models", "local/espeak-ng"), "offers of local/espeak-ng"),
        (("voices", "--language", "de"), "en-us"),
        (("plan", "Hello there"), "costs at most 0 USD"),
    ],
)
def test_what_is_there_is_told_to_people_and_to_programs(
    alone: Running, words: tuple[str, ...], told: str
) -> None:
    ended = called(alone.environ, *words)
    assert ended.exit_code == 0, ended.output
    assert told in ended.stdout
    assert isinstance(json.loads(called(alone.environ, *words, "--json").stdout), dict)


def test_a_plan_that_nobody_can_carry_out_ends_with_1(alone: Running) -> None:
    ended = called(alone.environ, "plan", "hello", "--only", "openai", "--model", "openai/tts-1")
    assert ended.exit_code == 1
    assert "OPENAI_API_KEY is not set" in ended.stdout


@pytest.mark.parametrize(
    ("words", "variables", "status", "told"),
    [
        (("models",), {"GATEWAY_URL": "http://127.0.0.1:1"}, 1, "gateway serve"),
        (("models",), {"GATEWAY_URL": "nowhere"}, 2, "http://"),
        (("generations", "list"), {"GATEWAY_API_KEY": "wrong"}, 1, "key"),
        (("generations", "show", "gen-tts-none"), {}, 1, "there is no generation"),
        (("generations", "list", "-n", "0"), {}, 2, "0"),
        (("models",), {"GATEWAY_DATA": "/nowhere"}, 2, "no API key"),
        (("completions", "tcsh"), {}, 2, "tcsh"),
    ],
)
def test_what_goes_wrong_is_told_in_a_line_and_by_the_exit_status(
    alone: Running, words: tuple[str, ...], variables: dict[str, str], status: int, told: str
) -> None:
    ended = called(alone.environ, *words, **variables)
    assert ended.exit_code == status, ended.output
    assert told in ended.stderr
    assert "Traceback" not in ended.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completions(alone: Running, shell: str) -> None:
    ended = called(alone.environ, "completions", shell)
    assert ended.exit_code == 0
    assert f"_GATEWAY_COMPLETE={shell}_complete" in ended.stdout


def test_every_command_and_group_has_an_example() -> None:
    def without(command: click.Command, name: str) -> Iterator[str]:
        if "Example:\n" not in (command.help or ""):
            yield name
        if isinstance(command, click.Group):
            for inner, each in command.commands.items():
                yield from without(each, f"{name} {inner}")

    assert not list(without(program, "gateway"))


def test_the_first_start_says_what_to_do_next(alone: Running) -> None:
    said = alone.said()
    for told in (
        alone.key,
        "OPENAI_API_KEY",
        "curl ",
        f"{alone.url}/dashboard",
        f"{alone.url}/docs",
    ):
        assert told in said


def test_a_file_that_cannot_be_written_is_told(alone: Running, tmp_path: Path) -> None:
    ended = called(alone.environ, "say", "hello", "-o", str(tmp_path / "none" / "x.wav"))
    assert ended.exit_code == 1
    assert "cannot be written" in ended.stderr
