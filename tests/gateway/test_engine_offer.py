"""The CSM engine as an offer: what it is told beyond the text, and who speaks in its place."""

import base64
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import NewDatabase
from tests.doubles.books import Key, new_key, settled, until
from tests.doubles.catalogue import STEADY, offer, provider
from tests.doubles.running import ROOT, Running, running
from tests.doubles.sound import clip, read
from tests.doubles.upstream import Upstream
from tests.doubles.upstream.exchange import Heard

CSM = "sesame/csm-1b"
ENGINES = ("local-csm", "local-csm-2")
KNOWS = 'capabilities = ["context"]'
WAV = base64.b64encode(clip("wav", 0.2)).decode()
SAID = {"speaker": "ann", "text": "Who is there?"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def gateway(
    request: pytest.FixtureRequest,
    upstream: Upstream,
    new_database: NewDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """Two engines run elsewhere, and a remote offer of the same model."""
    data = tmp_path_factory.mktemp("engines")
    (data / "providers.toml").write_text(_remote(upstream))
    with running(
        data,
        new_database(request.param),
        GATEWAY_CATALOG=str(data / "providers.toml"),
        GATEWAY_ENGINE_ADDRESS=",".join(upstream.address(name) for name in ENGINES),
        GATEWAY_EMBEDDED_VOICE_ENABLED="false",
        **STEADY,
    ) as started:
        yield started


def _remote(upstream: Upstream) -> str:
    return provider("remote", upstream.address("fine"), offer(CSM, "15", KNOWS))


@pytest.fixture(autouse=True)
def _well(upstream: Upstream) -> None:
    """Each engine answers under the header lines that a request's own options ask for."""
    upstream.mood |= dict.fromkeys(ENGINES, "billing")


@pytest.fixture
def text() -> str:
    """One that nobody else says."""
    return f"Good morning {secrets.token_hex(4)}."


def speak(
    client: httpx.Client, text: str, only: str = "", refused: int = 0, **more: object
) -> httpx.Response:
    """Whichever engine speaks calls it `utt-` and the text's own last word.

    refused: the status that an engine in the mood `scripted` answers instead.
    """
    answer = {"status": refused, "headers": ["retry-after: 1"]}
    named = {"bill": [f"x-utterance-id: utt-{text.rsplit(maxsplit=1)[-1]}"], "answer": answer}
    options = {"options": dict.fromkeys(ENGINES, named)}
    whom = options | ({"only": [only]} if only else {})
    body = {"model": CSM, "input": text, "response_format": "pcm", "provider": whom}
    return client.post("/v1/audio/speech", json=body | more)


def heard(upstream: Upstream, text: str) -> Heard:
    [one] = upstream.said(text)
    return one


def spoken(client: httpx.Client, text: str, only: str) -> str:
    """The id of a generation that has been spoken."""
    answer = speak(client, text, only)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-generation-id"]


def test_each_address_is_a_row_and_has_a_breaker_of_its_own(client: httpx.Client) -> None:
    rows = client.get("/api/v1/providers").json()["data"]
    on = [row["slug"] for row in rows if row["off"] is None and CSM in row["models"]]
    assert on == [*ENGINES, "remote"]


def test_the_engine_hears_what_was_said_before(
    client: httpx.Client, upstream: Upstream, text: str
) -> None:
    context = [SAID, {"speaker": 1, "text": "It is I.", "audio": WAV}]
    answer = speak(client, text, context=context)
    assert (answer.status_code, answer.headers["x-provider"]) == (200, "local-csm")
    assert heard(upstream, text).body["context"] == [
        SAID,
        {"speaker": "1", "text": "It is I.", "audio": WAV},
    ]
    assert settled(client, answer.headers["x-generation-id"])["cost"] == "0"


def test_a_speed_that_the_engine_does_not_know_is_not_sent(
    client: httpx.Client, upstream: Upstream, text: str
) -> None:
    assert speak(client, text, speed=1.5, top_p=0.9).status_code == 200
    said = heard(upstream, text).body
    assert ("speed" in said, said["top_p"]) == (False, 0.9)


def test_a_server_of_the_same_wire_that_knows_no_context_is_sent_none(
    client: httpx.Client, upstream: Upstream, text: str
) -> None:
    assert speak(client, text, "remote", context=[SAID]).status_code == 200
    assert not heard(upstream, text).body.keys() & {"context", "user"}


def test_a_generation_goes_on_from_what_its_own_engine_has_kept(
    mine: httpx.Client, upstream: Upstream, text: str
) -> None:
    first = spoken(mine, f"{text} one", "local-csm")
    named = {"text": f"{text} one", "generation_id": first}
    assert speak(mine, f"{text} two", "local-csm", context=[SAID, named]).status_code == 200
    [_, turn] = heard_turns(upstream, f"{text} two")
    voice = settled(mine, first)["voice"]
    assert turn == {"speaker": voice, "text": f"{text} one", "utterance_id": "utt-one"}


def heard_turns(upstream: Upstream, text: str) -> list[dict[str, str]]:
    turns = heard(upstream, text).body["context"]
    assert isinstance(turns, list)
    return turns


def test_elsewhere_a_generation_is_its_words_and_the_audio_that_came_with_it(
    mine: httpx.Client, upstream: Upstream, text: str
) -> None:
    named = {"speaker": "bob", "text": f"{text} one", "audio": WAV}
    given = {"generation_id": spoken(mine, f"{text} one", "local-csm")}
    assert speak(mine, f"{text} two", "local-csm-2", context=[named | given]).status_code == 200
    assert heard_turns(upstream, f"{text} two") == [named]


@pytest.mark.parametrize("form", ["pcm", "wav", "mp3"])
def test_where_its_audio_is_kept_everybody_hears_it(
    mine: httpx.Client, upstream: Upstream, text: str, form: str
) -> None:
    body = {"model": CSM, "input": f"{text} one", "response_format": form}
    once = {"Idempotency-Key": text}
    first = mine.post("/v1/audio/speech", json=body, headers=once)
    generation = first.headers["x-generation-id"]
    named = {"speaker": "bob", "text": f"{text} one", "generation_id": generation}
    settled(mine, generation)
    assert speak(mine, f"{text} two", "local-csm-2", context=[named]).status_code == 200
    [turn] = heard_turns(upstream, f"{text} two")
    assert turn.keys() == {"speaker", "text", "audio"}
    sound = base64.b64decode(turn["audio"])
    assert int.from_bytes(sound[4:8], "little") == len(sound) - 8
    assert read(sound, "wav").seconds == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/audio/speech/plan"])
def test_another_keys_generation_is_as_unknown_as_one_that_never_was(
    client: httpx.Client, mine: httpx.Client, path: str, text: str
) -> None:
    others = spoken(client, text, "local-csm")
    told = [
        mine.post(path, json={"model": CSM, "input": text, "context": [SAID, turn]})
        for turn in ({"text": "x", "generation_id": id_} for id_ in (others, f"{others[:-1]}-"))
    ]
    assert [each.status_code for each in told] == [400, 400]
    errors = [each.json()["error"] for each in told]
    assert {each["param"] for each in errors} == {"context.1.generation_id"}
    assert len({each["message"] for each in errors}) == 1


def test_a_generation_that_nobody_spoke_has_no_speaker(mine: httpx.Client, text: str) -> None:
    lost = speak(mine, text, voice="no-such-voice")
    assert lost.status_code == 400
    turn = {"text": text, "generation_id": lost.headers["x-generation-id"]}
    refused = speak(mine, text, context=[turn])
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "context.0.speaker")
    assert speak(mine, text, context=[turn | {"speaker": "ann"}]).status_code == 200


def test_the_engine_tells_keys_apart_without_knowing_them(
    client: httpx.Client, gateway: Running, upstream: Upstream, text: str
) -> None:
    keys = [new_key(client), new_key(client)]
    users = [_users(gateway, upstream, each, f"{text} {n}") for n, each in enumerate(keys)]
    assert [len(each) for each in users] == [1, 1]
    assert users[0] != users[1]
    for key, [user] in zip(keys, users, strict=True):
        assert re.fullmatch("[0-9a-f]{32}", str(user))
        assert str(user) not in key.plain + key.hash


def _users(gateway: Running, upstream: Upstream, key: Key, text: str) -> set[object]:
    """What the engine was told of whose request it is, by two of the key's own."""
    with gateway.client(key.plain) as client:
        for number in range(2):
            assert speak(client, f"{text} {number}").status_code == 200
    return {heard(upstream, f"{text} {number}").body["user"] for number in range(2)}


@pytest.mark.parametrize("status", [429, 503])
def test_a_full_engine_is_spoken_for_by_the_next_and_then_by_a_remote_offer(
    client: httpx.Client, upstream: Upstream, text: str, status: int
) -> None:
    _rested(client)
    upstream.mood["local-csm"] = "scripted"
    answer = speak(client, f"{text} one", refused=status)
    assert (answer.status_code, answer.headers["x-provider"]) == (200, "local-csm-2")
    upstream.mood["local-csm-2"] = "scripted"
    answer = speak(client, f"{text} two", refused=status)
    assert (answer.status_code, answer.headers["x-provider"]) == (200, "remote")
    asked = [each.behaviour for each in upstream.said(f"{text} two")]
    assert asked[-2:] == ["local-csm-2", "fine"]


def _rested(client: httpx.Client) -> None:
    """Until no engine rests any more, as it does for the seconds that it asked for."""

    def all_awake() -> bool:
        told = client.get("/health/ready", params={"verbose": ""}).json()
        return not told["resting"].keys() & set(ENGINES)

    until(all_awake, 20)


def test_what_the_engine_costs_stands_in_its_row(
    tmp_path: Path, new_database: NewDatabase, upstream: Upstream, text: str
) -> None:
    shipped = (ROOT / "config" / "providers.toml").read_text()
    before, row = shipped.split('name = "local-csm"', 1)
    dear = '{ per = "second", usd = "0.0001", source = "test", as_of = "2026-11-22" }'
    row = row.replace('{ per = "free" }', dear, 1)
    config = tmp_path / "config"
    config.mkdir()
    for name in ("gateway.toml", "tasks.toml"):
        (config / name).write_text((ROOT / "config" / name).read_text())
    (config / "providers.toml").write_text(f'{before}name = "local-csm"{row}')
    environ = {
        "GATEWAY_CONFIG": str(config),
        "GATEWAY_ENGINE_ADDRESS": upstream.address("local-csm"),
        "GATEWAY_EMBEDDED_VOICE_ENABLED": "false",
    }
    with running(tmp_path / "data", new_database("sqlite"), **environ) as own, own.client() as by:
        answer = speak(by, text)
        assert len(answer.content) == 48_000
        record = settled(by, answer.headers["x-generation-id"])
    assert (record["provider_name"], record["audio_seconds"]) == ("local-csm", 1.0)
    assert (record["cost"], record["liability"]) == ("0.0001", "0.0001")
