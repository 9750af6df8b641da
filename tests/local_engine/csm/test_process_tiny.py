"""The real parts, `tiny-random`, in the engine: from a Submit to samples, on a CPU."""

from pathlib import Path

import numpy as np
import pytest
import torch
from engine_stage import AtOnce, Stage

from local_engine.csm.building import build
from local_engine.csm.engine import Engine, Parts
from local_engine.csm.loading.errors import LoadError
from local_engine.csm.messages import Refused, Sampling, Submit, Turn
from local_engine.csm.selftest import self_test
from local_engine.csm.settings import EngineSettings

SETTINGS = EngineSettings(
    name="tiny-random", device="cpu", slots=3, longest=512, prefill_positions=40
)


def nobody(stage: str, done: int, total: int) -> None:
    assert stage
    assert done <= total or not total


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATEWAY_ENGINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return build(SETTINGS, nobody)


class RealStage(Stage):
    def __init__(self, parts: Parts, settings: EngineSettings = SETTINGS) -> None:
        super().__init__()
        self.settings = settings
        self.engine = Engine(parts, settings, AtOnce(parts.preparer), self.clock)


def says(number: int, text: str, *context: Turn, seed: int = 1, frames: int = 6) -> Submit:
    return Submit(
        number,
        f"utterance-{number}",
        "key",
        text,
        "conversational_a",
        context=context,
        sampling=Sampling(seed=seed),
        most_frames=frames,
    )


def spoken(parts: Parts, *submits: Submit, **changed: int) -> RealStage:
    values = {name: getattr(SETTINGS, name) for name in SETTINGS.__struct_fields__}
    stage = RealStage(parts, EngineSettings(**(values | changed)))
    for submit in submits:
        stage.order(submit)
        stage.play()
    return stage


def test_the_parts_say_what_they_are(parts: Parts) -> None:
    assert (parts.ready.slots, parts.ready.longest, parts.ready.device) == (3, 512, "cpu")
    assert parts.ready.voices[0] == "conversational_a"
    assert parts.frame_rate == 12.5
    assert parts.memory() > 1 << 20


@pytest.mark.usefixtures("parts")
def test_float32_is_float32_in_an_engine_process() -> None:
    assert not torch.backends.cudnn.allow_tf32, "it is torch's default"
    assert not torch.backends.cuda.matmul.allow_tf32


def test_the_memory_that_is_told_is_that_of_the_slots_that_are_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "local_engine.csm.building")
    build(SETTINGS, nobody)
    assert [record.message for record in caplog.records if "3 slots of" in record.message]


def test_it_passes_its_self_test(parts: Parts) -> None:
    self_test(parts, SETTINGS)


def test_an_utterance_has_the_length_that_was_asked_for(parts: Parts) -> None:
    stage = spoken(parts, says(1, "Good day"))
    assert (stage.ended[1].finish, stage.ended[1].frames) == ("length", 6)
    assert len(stage.heard[1]) == 6 * 1920 * 2
    assert np.frombuffer(stage.heard[1], np.int16).any()


def test_those_who_speak_together_sound_as_if_alone(parts: Parts) -> None:
    asked = [says(n, f"I am number {n}", seed=n, frames=4 + n) for n in range(1, 6)]
    stage = RealStage(parts)
    stage.order(*asked)
    stage.play()
    for one in asked:
        alone = np.frombuffer(spoken(parts, one).heard[one.number], np.int16).astype(int)
        together = np.frombuffer(stage.heard[one.number], np.int16).astype(int)
        assert np.abs(together - alone).max() <= 1


def test_the_next_turn_goes_on_from_what_is_kept_and_sounds_the_same(parts: Parts) -> None:
    first = says(1, "Good day")
    second = says(2, "And to you", Turn("0", "Good day", utterance="utterance-1"), seed=2)
    stage = spoken(parts, first, second)
    ended = stage.ended[2]
    assert ended.reused_positions == stage.ended[1].prompt_positions + 6
    assert ended.forgotten_turns == 0
    without = spoken(parts, first, second, snapshot_megabytes=0)
    assert without.ended[2].reused_positions == 0
    assert without.ended[2].prompt_positions == ended.prompt_positions
    kept, fresh = (np.frombuffer(one.heard[2], np.int16).astype(int) for one in (stage, without))
    assert np.abs(kept - fresh).max() <= 1


def test_the_sound_of_an_earlier_turn_may_be_sent_along(parts: Parts) -> None:
    tone = (np.sin(np.arange(4800) / 10) * 9000).astype("<i2").tobytes()
    stage = spoken(parts, says(1, "And now?", Turn("7", "a tone", audio=tone)))
    words = len("[7]a tone") + 2 + len("[0]And now?") + 2
    assert stage.ended[1].prompt_positions == words + 3 + 1
    assert stage.ended[1].finish == "length"


def test_a_turn_whose_codes_are_gone_is_told_and_its_words_are_used(parts: Parts) -> None:
    stage = spoken(parts, says(1, "And now?", Turn("0", "Hello", utterance="nobody")))
    assert stage.ended[1].forgotten_turns == 1
    assert stage.ended[1].prompt_positions == len("[0]Hello") + 2 + len("[0]And now?") + 2


def test_the_oldest_turns_go_where_there_is_no_room(parts: Parts) -> None:
    turns = [Turn("1", "x" * 150) for _ in range(4)]
    stage = spoken(parts, says(1, "And now?", *turns))
    assert stage.ended[1].dropped_turns == 1
    assert stage.ended[1].finish == "length"


@pytest.mark.parametrize(
    ("text", "voice", "turn", "param"),
    [
        ("x" * 600, "0", None, "input"),
        ("Hello", "nobody", None, "voice"),
        ("Hello", "0", Turn("1", "half a sample", audio=b"\0\0\0"), "context"),
    ],
)
def test_what_cannot_be_spoken_is_refused_with_its_field(
    parts: Parts, text: str, voice: str, turn: Turn | None, param: str
) -> None:
    submit = Submit(1, "utterance-1", "key", text, voice, context=(turn,) if turn else ())
    refused = parts.preparer.prepare(submit, {})
    assert isinstance(refused, Refused)
    assert (refused.status, refused.param) == (400, param)


def test_a_text_longer_than_a_slot_holds_ends_with_its_context(parts: Parts) -> None:
    stage = spoken(parts, says(1, "x" * 495, frames=400))
    assert (stage.ended[1].finish, stage.ended[1].frames) == ("context", 12)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"longest": 2049}, "2049.*2048"),
        ({"slots": 10_000_000}, "10000000 slots of 512 positions need .* MiB"),
        ({"voices": "/no/such/voices.toml"}, "voices.toml"),
    ],
)
def test_settings_that_cannot_be_had_are_told(
    tmp_path: Path, changed: dict[str, object], why: str
) -> None:
    values = {name: getattr(SETTINGS, name) for name in SETTINGS.__struct_fields__}
    with pytest.raises(LoadError, match=why):
        build(EngineSettings(**(values | changed)), nobody)
