"""Templates: a row says where a model wants its text, its voice and what was said before."""

from pathlib import Path
from typing import Any

import pytest

from providers import WIRES, Offer, Sampling, Speech, Turn, read_catalog
from providers.templates import filled
from tests.doubles.vendors.asking import offer, provider, saying

WHOM = provider("fal", "http://127.0.0.1:1")


def model(**extra: Any) -> Offer:  # noqa: ANN401
    return offer({"wav": "WAVE"}, extra=extra, voice_ids={"v": "3"})


def wav(text: str = "Hello", **more: Any) -> Speech:  # noqa: ANN401
    return saying(text, "wav", **more)


def test_a_row_that_says_nothing_has_text_and_voice() -> None:
    assert filled(WHOM, model(), wav()) == {"text": "Hello", "voice": "3"}
    assert filled(WHOM, model(cfg=0.5), wav()) == {"text": "Hello", "voice": "3", "cfg": 0.5}


def test_words_are_filled_in_at_any_depth_and_with_their_kind() -> None:
    extra = {"a": [{"b": ["{text}", 1]}], "n": "{speaker}", "f": "{format}", "t": True}
    assert filled(WHOM, model(**extra), wav()) == {
        "a": [{"b": ["Hello", 1]}],
        "n": 3,
        "f": "WAVE",
        "t": True,
    }


@pytest.mark.parametrize("text", ["{voice}", "{turn.audio}", "{}", '"}', "{text}"])
def test_a_text_is_never_taken_for_a_template(text: str) -> None:
    assert filled(WHOM, model(prompt="{text}"), wav(text)) == {"prompt": text}


def test_what_nobody_asked_for_is_left_out() -> None:
    extra = {"prompt": "{text}", "heat": "{temperature}", "seed": "{seed}", "how": "{instructions}"}
    assert filled(WHOM, model(**extra), wav(instructions="")) == {"prompt": "Hello"}
    speech = wav(sampling=Sampling(seed=0), instructions="softly")
    assert filled(WHOM, model(**extra), speech) == {"prompt": "Hello", "seed": 0, "how": "softly"}


def test_other_braces_are_what_they_are() -> None:
    extra = {"prompt": "{text}", "json": "{a}", "said": "say {text}"}
    assert filled(WHOM, model(**extra), wav()) == {**extra, "prompt": "Hello"}


def test_options_replace_no_field_of_the_row() -> None:
    whom = provider("fal", "http://127.0.0.1:1", extra={"tier": "low"})
    speech = wav(options={"text": "Free", "tier": "high", "cfg": 1})
    assert filled(whom, model(), speech) == {"text": "Hello", "voice": "3", "tier": "low", "cfg": 1}


def test_speakers_are_numbered_apart() -> None:
    turns = [Turn(who, who, b"RIFF") for who in ("a", "0", "b", "v", "a", "12345", "1")]
    extra = {"prompt": "{text}", "said": [{"by": "{turn.speaker}"}]}
    told = filled(WHOM, model(**extra), wav(context=tuple(turns)))
    assert told["said"] == [{"by": each} for each in (2, 0, 4, 3, 2, 5, 1)]


ROW = """
[[provider]]
name = "fal"
wire = "fal"
address = "https://queue.fal.run"

[[provider.offer]]
model = "sesame/csm-1b"
upstream = "fal-ai/csm-1b"
voices = ["conversational_a", "conversational_b", "other"]
formats = { wav = "wav" }
price = { per = "free" }

[provider.offer.extra]
scene = [{ text = "{text}", speaker_id = 0 }]

[[provider.offer.extra.context]]
"{voice}" = { conversational_a = { prompt = "A?", audio_url = "https://a", speaker_id = 0 } }

[[provider.offer.extra.context]]
prompt = "{turn.text}"
speaker_id = "{turn.speaker}"
"""


@pytest.mark.parametrize(
    ("voice", "heard_first"),
    [
        ("conversational_a", [{"prompt": "A?", "audio_url": "https://a", "speaker_id": 0}]),
        ("other", []),
    ],
)
def test_a_voice_may_be_a_sound_that_the_row_names(
    tmp_path: Path, voice: str, heard_first: list[object]
) -> None:
    (tmp_path / "providers.toml").write_text(ROW)
    catalog = read_catalog([tmp_path / "providers.toml"], {}, frozenset(WIRES))
    [of] = catalog.models["sesame/csm-1b"]
    speech = wav(voice=voice, context=(Turn("5", "And I.", b"RIFF"),))
    told = filled(catalog.providers["fal"], of, speech)
    said_before = {"prompt": "And I.", "speaker_id": 5}
    assert told["context"] == [*heard_first, said_before]
    assert told["scene"] == [{"text": "Hello", "speaker_id": 0}]
