"""Clips that break are gone on with at the next sentence, in one file, charged once."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from gateway.metering.prices import usd
from tests.conftest import NewDatabase
from tests.doubles.books import Books, Key, settled, until
from tests.doubles.catalogue import BILL, SOURCE, STEADY, offer, priced, provider
from tests.doubles.running import Running, running
from tests.doubles.sound import read
from tests.doubles.upstream import Upstream

FIRST, SECOND = 15_000, 30_000
"""Nano-USD per character of the first and the second provider."""
SENTENCES = (
    "The first sentence is here. ",
    "The second sentence follows it. ",
    "The third sentence comes then. ",
    "The fourth sentence is the last but one. ",
    "The fifth sentence ends it all.",
)
TEXT = "".join(SENTENCES)
ATTEMPT_SECONDS = 2
WHOLE = 1.0
"""Seconds of a sentence that is said to its end."""
HALF = 10.0
"""Seconds of one that breaks."""
BREAKS = "cut-clean"
"""Inside a sample or frame; what was sent before arrives, and so its length is known."""
LOUDEST = 20_000
"""Above what was sent; what is put together wrong is noise, and far louder."""
NAMES = ("one", "two", "three", "other", "poor")
TWO = '["test-voice", "alloy"]'


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def gateway(
    request: pytest.FixtureRequest,
    upstream: Upstream,
    new_database: NewDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("continuity")
    (data / "providers.toml").write_text(_catalogue(upstream))
    catalog = str(data / "providers.toml")
    more = {
        "GATEWAY_EMBEDDED_VOICE_ENABLED": "false",
        "GATEWAY_DEADLINES_ATTEMPT_SECONDS": str(ATTEMPT_SECONDS),
    }
    with running(
        data, new_database(request.param), GATEWAY_CATALOG=catalog, **STEADY, **more
    ) as started:
        yield started


def _catalogue(upstream: Upstream) -> str:
    """Two that speak in one voice, a third in one of its family, a stranger, and a poor one."""
    run = f'per = "run", usd = "0.01", {SOURCE}'
    models = ("talk/two", "talk/strange", "talk/poor")
    one = [*(offer(each, "15") for each in models), priced("talk/run", run)]
    two = [offer("talk/two", "30"), priced("talk/run", run.replace("0.01", "0.02"))]
    three = [offer("talk/two", "45").replace(TWO, '["en-us+f1"]'), offer("talk/poor", "45")]
    other = [offer("talk/strange", "30").replace(TWO, '["a-stranger"]')]
    other.append(offer("talk/poor", "40").replace(TWO, '["a-stranger"]'))
    poor = [offer("talk/poor", "30")]
    rows = dict(zip(NAMES, (one, two, three, other, poor), strict=True))
    for name in NAMES:
        upstream.mood[f"talks-{name}"] = "moody"
    each = [provider(f"talks-{n}", upstream.address(f"talks-{n}"), *has) for n, has in rows.items()]
    each[0] = each[0].replace("\n\n", f"\n{BILL}\n\n", 1)
    return "\n".join(each)


@dataclass(frozen=True)
class Clip:
    """What a client got."""

    id: str
    audio: bytes
    is_whole: bool
    """Whether the answer ended properly."""


def hear(client: httpx.Client, form: str = "pcm", **body: object) -> Clip:
    """Have TEXT said; each provider's moods: which sentence goes how."""
    moods = body.pop("moods", {})
    wishes = {"continuity": "sentence", "options": options(moods)} | body.pop("provider", {})  # type: ignore[operator]  # a dict
    asked = {"model": "talk/two", "input": TEXT, "response_format": form, "provider": wishes} | body
    with client.stream("POST", "/v1/audio/speech", json=asked) as response:
        assert response.status_code == 200, response.read()
        audio = b""
        try:
            for chunk in response.iter_raw():
                audio += chunk
        except httpx.RemoteProtocolError:
            return Clip(response.headers["x-generation-id"], audio, is_whole=False)
        return Clip(response.headers["x-generation-id"], audio, is_whole=True)


def options(moods: object) -> dict[str, object]:
    assert isinstance(moods, dict)
    return {f"talks-{name}": {"moods": moods.get(name, {})} for name in NAMES}


class Asked:
    """What was asked of whom since it was made."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._before = len(upstream.heard)

    def of(self, name: str) -> list[str]:
        since = self._upstream.heard[self._before :]
        return [each.text for each in since if each.behaviour == f"talks-{name}"]


@pytest.fixture
def asked(upstream: Upstream) -> Asked:
    return Asked(upstream)


def attempts(record: dict[str, object], *names: str) -> list[tuple[object, ...]]:
    responses = record["provider_responses"]
    assert isinstance(responses, list)
    return [tuple(each[name] for name in names) for each in responses]


@pytest.mark.parametrize("form", ["pcm", "mp3", "wav", "opus", "flac", "aac"])
def test_a_clip_that_breaks_goes_on_at_the_next_sentence_and_ends_well(
    mine: httpx.Client, asked: Asked, form: str
) -> None:
    clip = hear(mine, form, moods={"one": {"third": BREAKS}})
    assert clip.is_whole
    assert asked.of("one") == list(SENTENCES[:3])
    assert asked.of("two") == list(SENTENCES[3:])
    seconds = 4 * WHOLE + HALF
    heard = read(clip.audio, form)
    assert heard.seconds == pytest.approx(seconds, abs=0.001 if form in {"pcm", "wav"} else 1.2)
    assert heard.loudest < LOUDEST
    record = settled(mine, clip.id)
    assert record["audio_seconds"] == pytest.approx(heard.seconds, abs=0.1)


def test_the_record_tells_of_both_and_it_is_charged_once(
    mine: httpx.Client, key: Key, books: Books
) -> None:
    record = settled(mine, hear(mine, moods={"one": {"third": BREAKS}}).id)
    said = sum(map(len, SENTENCES[:3]))
    told = attempts(record, "provider_name", "kind", "outcome", "from_character")
    assert told == [
        ("talks-one", "first", "failed", 0),
        ("talks-two", "resume", "done", said),
    ]
    assert record["flags"] == ["resumed"]
    assert (record["status"], record["characters"]) == ("settled", len(TEXT))
    assert (record["provider_name"], record["fallbacks"]) == ("talks-one", 1)
    assert record["cost"] == usd(len(TEXT) * FIRST)
    assert record["liability"] == usd(said * FIRST + (len(TEXT) - said) * SECOND)
    assert books.charged(key.hash) == (len(TEXT) * FIRST, len(TEXT))
    books.assert_balanced(key.hash)


def test_a_sentence_that_was_never_begun_is_said_by_the_next(
    mine: httpx.Client, asked: Asked
) -> None:
    clip = hear(mine, moods={"one": {"third": "failing"}})
    assert clip.is_whole
    assert asked.of("two") == list(SENTENCES[2:])
    assert read(clip.audio, "pcm").seconds == 5 * WHOLE


def test_a_sentence_that_does_not_begin_in_time_is_said_by_the_next(
    mine: httpx.Client, asked: Asked
) -> None:
    began = time.monotonic()
    clip = hear(mine, form="mp3", moods={"one": {"third": "drip-at-start"}})
    assert time.monotonic() - began < 4 * ATTEMPT_SECONDS
    assert clip.is_whole
    assert asked.of("two") == list(SENTENCES[2:])
    assert attempts(settled(mine, clip.id), "error_type") == [("timeout",), (None,)]


def test_one_that_nobody_has_heard_of_yet_is_an_ordinary_fallback(
    mine: httpx.Client, asked: Asked
) -> None:
    record = settled(mine, hear(mine, moods={"one": {"first": "failing"}}).id)
    assert asked.of("two") == list(SENTENCES)
    assert attempts(record, "kind") == [("first",), ("fallback",)]
    assert record["flags"] == []
    assert record["cost"] == usd(len(TEXT) * SECOND)


def test_who_goes_on_may_call_the_voice_by_another_name(mine: httpx.Client) -> None:
    wishes = {"ignore": ["talks-two"], "options": options({"one": {"second": BREAKS}})}
    clip = hear(mine, voice="alloy", provider=wishes)
    assert clip.is_whole
    told = attempts(settled(mine, clip.id), "provider_name", "voice")
    assert told == [("talks-one", "alloy"), ("talks-three", "en-us+f1")]


def test_who_has_no_budget_left_is_passed_over(mine: httpx.Client, client: httpx.Client) -> None:
    budget = {"scope": "provider:talks-poor", "period": "day", "limit": "0"}
    assert client.put("/v1/budgets", json=budget).is_success
    clip = hear(mine, model="talk/poor", moods={"one": {"second": BREAKS}})
    assert clip.is_whole
    told = attempts(settled(mine, clip.id), "provider_name", "kind")
    assert told == [("talks-one", "first"), ("talks-three", "resume")]


BROKEN = {
    "not asked for": ({"one": {"third": BREAKS}}, {"provider": {"continuity": "none"}}),
    "nobody has the voice": ({"one": {"third": BREAKS}}, {"model": "talk/strange"}),
    "a second break": (
        {"one": {"second": BREAKS}, "two": {"fourth": BREAKS}},
        {"voice": "alloy"},
    ),
    "in the last sentence": ({"one": {"fifth": BREAKS}}, {}),
    "nobody else is wanted": (
        {"one": {"second": BREAKS}},
        {"provider": {"allow_fallbacks": False}},
    ),
    "silent past the deadline": (
        {"one": {"third": "hang"}},
        {"model": "talk/strange", "deadline_ms": 1500},
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_where_nobody_goes_on_the_cut_shows_and_nothing_is_charged(
    mine: httpx.Client, key: Key, books: Books, asked: Asked, case: str
) -> None:
    moods, more = BROKEN[case]
    clip = hear(mine, moods=moods, **more)
    assert not clip.is_whole
    record = settled(mine, clip.id)
    assert (record["status"], record["cost"], record["characters"]) == ("voided", "0", 0)
    assert "cut" in str(record["flags"])
    assert (record["error_type"], record["http_status"]) == ("provider_unavailable", 502)
    seconds = read(clip.audio[: len(clip.audio) & ~1], "pcm").seconds
    assert record["cut_at_seconds"] == record["audio_seconds"]
    assert float(str(record["audio_seconds"])) == pytest.approx(seconds, abs=3)
    assert asked.of("three") == []
    assert books.charged(key.hash) == (0, 0)
    books.assert_balanced(key.hash)


def test_who_leaves_in_the_middle_is_charged_in_full(
    mine: httpx.Client, key: Key, books: Books, asked: Asked
) -> None:
    wishes = {"continuity": "sentence", "options": options({"one": {"second": "endless"}})}
    body = {"model": "talk/two", "input": TEXT, "response_format": "pcm", "provider": wishes}
    with mine.stream("POST", "/v1/audio/speech", json=body) as response:
        chunks = response.iter_raw()
        next(chunks)
        until(lambda: len(asked.of("one")) == 2)
    record = settled(mine, response.headers["x-generation-id"])
    assert (record["status"], record["cancelled"]) == ("settled", True)
    assert books.charged(key.hash) == (len(TEXT) * FIRST, len(TEXT))
    assert record["liability"] == usd(len(SENTENCES[0] + SENTENCES[1]) * FIRST)
    books.assert_balanced(key.hash)


def test_what_was_gone_on_with_is_kept_whole_for_a_repeat(mine: httpx.Client, asked: Asked) -> None:
    wishes = {"continuity": "sentence", "options": options({"one": {"third": BREAKS}})}
    body = {"model": "talk/two", "input": TEXT, "response_format": "mp3", "provider": wishes}
    same = {"idempotency-key": "gone on with"}
    first, again = (mine.post("/v1/audio/speech", json=body, headers=same) for _ in range(2))
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content
    assert read(again.content, "mp3").seconds > 4 * WHOLE + HALF - 1.2
    assert len(asked.of("two")) == 2


def test_events_tell_of_a_clip_that_was_gone_on_with_as_of_any_other(mine: httpx.Client) -> None:
    clip = hear(mine, stream_format="sse", moods={"one": {"third": BREAKS}})
    assert clip.is_whole
    assert b"speech.audio.done" in clip.audio.splitlines()[-2]
    assert b'"error"' not in clip.audio


# What it may cost.


@pytest.mark.parametrize(("cap", "status"), [("0.049999999", 404), ("0.05", 200)])
def test_where_calls_are_paid_for_a_cap_must_hold_for_one_a_sentence(
    mine: httpx.Client, cap: str, status: int
) -> None:
    wishes = {"continuity": "sentence", "max_price": {"request": cap}}
    body = {"model": "talk/run", "input": TEXT, "provider": wishes}
    assert mine.post("/v1/audio/speech", json=body).status_code == status


def test_each_call_is_held_for_and_a_break_makes_it_no_cheaper(
    mine: httpx.Client, key: Key, books: Books
) -> None:
    clip = hear(mine, model="talk/run", moods={"one": {"third": BREAKS}})
    record = settled(mine, clip.id)
    [hold] = books.ask("SELECT hold_nano FROM generation WHERE id = :id", id=clip.id)
    assert int(str(hold["hold_nano"])) >= 5 * 20_000_000
    assert record["cost"] == "0.05"
    assert record["liability"] == "0.07", "three calls of the first, two of the second"
    books.assert_balanced(key.hash)


def test_what_all_calls_bill_together_is_capped(mine: httpx.Client, key: Key, books: Books) -> None:
    wishes = {
        "max_price": {"request": "0.003"},
        "options": {"talks-one": {"bill": ["x-usd: 0.001"], "moods": {}}},
    }
    record = settled(mine, hear(mine, provider=wishes).id)
    assert (record["cost"], record["liability"]) == ("0.003", "0.005")
    assert "capped" in str(record["flags"])
    assert books.charged(key.hash) == (3_000_000, len(TEXT))
    books.assert_balanced(key.hash)
