import logging

import numpy as np
import pytest
from engine_stage import Stage, submit

from local_engine.csm.messages import Cancel
from local_engine.csm.speaking.watermark import Pcm, WatermarkError, find


class Inverting:
    """Marks by turning the sound upside down, one frame late."""

    def __init__(self) -> None:
        self._held = np.zeros(0, np.int16)

    def push(self, samples: Pcm) -> Pcm:
        held, self._held = self._held, -samples
        return held

    def flush(self) -> Pcm:
        return self._held


class Holding(Inverting):
    """Gives nothing before the end."""

    def push(self, samples: Pcm) -> Pcm:
        self._held = np.concatenate([self._held, -samples])
        return self._held[:0]


class Breaking(Inverting):
    def push(self, samples: Pcm) -> Pcm:
        if len(self._held):
            raise RuntimeError("broken")
        return super().push(samples)


class Careless(Inverting):
    def push(self, samples: Pcm) -> list[int]:
        return [int(sample) for sample in samples]


class BreakingLate(Inverting):
    def flush(self) -> Pcm:
        raise RuntimeError("broken")


def broken() -> Inverting:
    raise RuntimeError("broken")


def bare() -> np.ndarray:
    stage = Stage()
    stage.order(submit(1, "stop=5"))
    stage.play()
    return np.frombuffer(stage.heard[1], np.int16)


def test_every_sample_goes_through_it_and_none_is_lost() -> None:
    stage = Stage(new_watermarker=Inverting)
    stage.order(submit(1, "stop=5"))
    stage.play()
    assert np.array_equal(np.frombuffer(stage.heard[1], np.int16), -bare())
    assert stage.ended[1].finish == "stop"
    assert stage.ended[1].frames == 5


def test_one_that_holds_all_back_does_not_make_its_clip_wait() -> None:
    stage = Stage(new_watermarker=Holding, lead_seconds=0.2)
    stage.order(submit(1, "stop=5"))
    stage.play()
    assert np.array_equal(np.frombuffer(stage.heard[1], np.int16), -bare())
    assert all(spoken.samples for report in stage.reports for spoken in report.spoken)


def test_each_clip_has_its_own() -> None:
    stage = Stage(new_watermarker=Inverting)
    stage.order(submit(1, "stop=5"), submit(2, "stop=9"), submit(3, "stop=0"))
    stage.play()
    assert np.array_equal(np.frombuffer(stage.heard[1], np.int16), -bare())
    assert stage.ended[3].frames == 0


@pytest.mark.parametrize("kind", [Breaking, Careless, BreakingLate, broken])
def test_unmarked_audio_never_passes(kind: type[Inverting]) -> None:
    stage = Stage(new_watermarker=kind)
    stage.order(submit(1, "stop=5"))
    stage.play()
    assert stage.ended[1].finish == "lost"
    marked = -bare()
    heard = np.frombuffer(stage.heard[1], np.int16)
    assert np.array_equal(heard, marked[: len(heard)])


def test_a_cancelled_clip_is_not_flushed() -> None:
    stage = Stage(new_watermarker=Inverting)
    stage.order(submit(1, "stop=5"))
    stage.beat(2)
    before = stage.heard[1]
    stage.order(Cancel(1))
    stage.play()
    assert stage.heard[1] == before


def test_it_is_found_by_name_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = find("test_watermark:Inverting")
    assert found is not None
    assert found().flush().size == 0
    assert "test_watermark:Inverting" in caplog.text


def test_none_is_on_by_default() -> None:
    assert find(None) is None


@pytest.mark.parametrize("name", ["no.such.module:mark", "test_watermark:nothing", "", "os:name"])
def test_a_name_that_leads_nowhere_is_told(name: str) -> None:
    with pytest.raises(WatermarkError):
        find(name)
