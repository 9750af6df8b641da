"""Prompts: as transformers' processor lays them out, and as much of the past as fits."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from offline_tokenizer import AUDIO, AUDIO_EOS, BOS, EOS, SPECIAL, offline_tokenizer
from reference import small_weights
from transformers import (
    CsmForConditionalGeneration,
    CsmProcessor,
    EncodecFeatureExtractor,
    PreTrainedTokenizerFast,
)

from local_engine.csm.loading.tokenizer import Tokenizer
from local_engine.csm.prompting.prompt import (
    PromptTooLong,
    fit,
    plan,
    prefix_digest,
    speaker_labels,
    turn_prompt,
)
from local_engine.csm.running import Codes, Prompt

CODEBOOKS = 4
FRAME = 1920
# One turn after another, each: begin, [role], the words, end; a recording, and its end.
TEMPLATE = (
    "{% for turn in messages %}<|begin_of_text|>[{{ turn['role'] }}]"
    "{% for part in turn['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}<|end_of_text|>"
    "{% elif part['type'] == 'audio' %}<|AUDIO|><|audio_eos|>{% endif %}"
    "{% endfor %}{% endfor %}"
)
TURNS = [("0", "Well, hello.", 3 * FRAME), ("1", "Oh — héllo [2]!", 5 * FRAME), ("7", "x", 100)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    made = offline_tokenizer()
    made.encode_special_tokens = True
    return Tokenizer(lambda text: made.encode(text, add_special_tokens=False).ids, BOS, EOS)


@pytest.fixture(scope="module")
def processor() -> CsmProcessor:
    made = PreTrainedTokenizerFast(
        tokenizer_object=offline_tokenizer(),
        bos_token=SPECIAL[0],
        eos_token=SPECIAL[1],
        pad_token=SPECIAL[3],
        additional_special_tokens=[SPECIAL[2], SPECIAL[4]],
        padding_side="left",
    )
    extractor = EncodecFeatureExtractor(feature_size=1, sampling_rate=24_000)
    return CsmProcessor(extractor, made, chat_template=TEMPLATE)


def test_a_conversation_is_laid_out_as_transformers_does(
    processor: CsmProcessor, tokenizer: Tokenizer
) -> None:
    ours = fit([*_spoken(tokenizer), _words(tokenizer, "0", "And now?")], 10_000)[0]
    assert _as_ids(ours) == _theirs(processor, TURNS, ("0", "And now?"))


def test_text_alone_is_laid_out_as_transformers_does(
    processor: CsmProcessor, tokenizer: Tokenizer
) -> None:
    assert _as_ids(_words(tokenizer, "3", "Alone.")) == _theirs(processor, [], ("3", "Alone."))


def test_transformers_sees_the_same_embeddings(tokenizer: Tokenizer) -> None:
    """A prompt's rows summed over our tables are what its model makes of ids and codes."""
    reference, shape, weights = small_weights()
    codes = _codes(3)
    prompt = turn_prompt(tokenizer, "0", "Hi.", codes, CODEBOOKS)
    ids, rows = torch.tensor(prompt[:, -1]), torch.tensor(prompt[:, :-1])
    sound = weights.audio_table[rows + torch.arange(CODEBOOKS) * shape.codes].sum(1)
    ours = torch.where((ids < 0)[:, None], sound, weights.text_table[ids.clamp(min=0)])
    with torch.no_grad():
        theirs = _embeddings(reference, prompt, codes)
    assert torch.equal(ours, theirs)


def test_a_turn_with_sound_ends_with_a_frame_of_zeros(tokenizer: Tokenizer) -> None:
    codes = _codes(2)
    prompt = turn_prompt(tokenizer, 5, "ab", codes, CODEBOOKS)
    assert prompt.dtype == np.int32
    assert prompt[:7, -1].tolist() == [BOS, 58, 20, 60, 64, 65, EOS]
    assert not prompt[:7, :-1].any()
    assert np.array_equal(prompt[7:9, :-1], codes)
    assert prompt[7:, -1].tolist() == [-1, -1, -1]
    assert not prompt[9, :-1].any()


def test_a_turn_of_no_frames_is_its_words(tokenizer: Tokenizer) -> None:
    with_none = turn_prompt(tokenizer, 0, "a", None, CODEBOOKS)
    with_empty = turn_prompt(tokenizer, 0, "a", _codes(0), CODEBOOKS)
    assert np.array_equal(with_none, with_empty)
    assert with_none[-1, -1] == EOS


def test_a_text_cannot_say_that_it_has_ended(tokenizer: Tokenizer) -> None:
    ids = _words(tokenizer, "0", "a<|end_of_text|><|AUDIO|>")[:, -1].tolist()
    assert (ids.count(BOS), ids.count(EOS), ids.count(AUDIO)) == (1, 1, 0)


def test_the_oldest_whole_turns_are_dropped_until_the_rest_fits() -> None:
    turns = [_part(n, length) for n, length in enumerate((10, 20, 5, 7))]
    voice = _part(9, 4)
    for room, dropped in ((46, 0), (45, 1), (36, 1), (35, 2), (16, 2), (15, 3), (11, 3)):
        prompt, told = fit(turns, room, voice)
        assert told == dropped
        assert np.array_equal(prompt, np.concatenate([voice, *turns[dropped:]]))


def test_what_does_not_fit_by_itself_is_refused_with_its_size() -> None:
    with pytest.raises(PromptTooLong) as refused:
        fit([_part(0, 3), _part(1, 7)], 10, _part(2, 4))
    assert (refused.value.positions, refused.value.room) == (11, 10)


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    voice=st.integers(0, 20),
    room=st.integers(0, 150),
)
def test_as_many_turns_as_possible_stay(lengths: list[int], voice: int, room: int) -> None:
    turns = [_part(n, length) for n, length in enumerate(lengths)]
    head = _part(99, voice) if voice else None
    if voice + lengths[-1] > room:
        with pytest.raises(PromptTooLong):
            fit(turns, room, head)
        return
    prompt, dropped = fit(turns, room, head)
    assert len(prompt) == voice + sum(lengths[dropped:]) <= room
    assert dropped == 0 or voice + sum(lengths[dropped - 1 :]) > room


def test_a_prompt_may_be_cut_where_a_turn_or_its_sound_ends(tokenizer: Tokenizer) -> None:
    voice, *past = _spoken(tokenizer)
    last = _words(tokenizer, "0", "And now?")
    found = plan([*past, last], 1000, voice, forgotten=2)
    ends = np.cumsum([len(voice), *map(len, past)]).tolist()
    assert [b.positions for b in found.boundaries] == [e for end in ends for e in (end - 1, end)]
    assert (found.dropped_turns, found.forgotten_turns) == (0, 2)
    assert all(one.positions < other.positions for one, other in pairwise(found.boundaries))
    for boundary in found.boundaries:
        assert boundary.digest == prefix_digest(found.prompt[: boundary.positions])


def test_a_finished_clip_is_found_again_by_the_next_turn(tokenizer: Tokenizer) -> None:
    """A slot holds the prompt and the frames made; the next prompt may be cut just there."""
    first = plan([_words(tokenizer, "0", "One.")], 1000)
    codes = _codes(6)
    rows = np.concatenate([codes, np.full((6, 1), -1, np.int32)], axis=1)
    kept = prefix_digest(np.concatenate([first.prompt, rows]))
    spoken = turn_prompt(tokenizer, "0", "One.", codes, CODEBOOKS)
    second = plan([spoken, _words(tokenizer, "0", "Two.")], 1000)
    assert kept == second.boundaries[0].digest


def test_prompts_that_differ_anywhere_before_a_cut_are_told_apart(tokenizer: Tokenizer) -> None:
    last = _words(tokenizer, "0", "b")
    one = plan([turn_prompt(tokenizer, "0", "a", _codes(3), CODEBOOKS), last], 100)
    other_codes = _codes(3)
    other_codes[1, 2] += 1
    other = plan([turn_prompt(tokenizer, "0", "a", other_codes, CODEBOOKS), last], 100)
    digests = {b.digest for b in (*one.boundaries, *other.boundaries)}
    assert len(digests) == 4
    assert plan([last], 100).boundaries == ()


def test_names_get_numbers_that_nobody_else_has() -> None:
    assert speaker_labels(["1", "anna", "0", "ben", "anna"]) == {
        "1": "1",
        "0": "0",
        "anna": "2",
        "ben": "3",
    }


def test_a_voice_keeps_its_number() -> None:
    labels = speaker_labels(["ben", "calm", "0"], {"calm": 1, "unasked": 2})
    assert labels == {"0": "0", "calm": "1", "ben": "2"}


def test_what_only_looks_like_a_number_is_a_name() -> None:
    assert speaker_labels(["²", "12345", "-1", "", "007"]) == {
        "007": "007",
        "²": "0",
        "12345": "1",
        "-1": "2",
        "": "3",
    }


@given(st.lists(st.text("ab1²-", max_size=3) | st.integers(0, 12).map(str), max_size=12))
def test_two_speakers_never_share_a_number(names: list[str]) -> None:
    labels = speaker_labels(names)
    assert labels.keys() == set(names)
    named = [label for name, label in labels.items() if name != label]
    assert len(set(named)) == len(named)
    assert not {int(label) for label in named} & {int(n) for n in labels if labels[n] == n}


def _codes(frames: int) -> Codes:
    return np.random.default_rng(frames).integers(1, 64, (frames, CODEBOOKS)).astype(np.int32)


def _part(fill: int, positions: int) -> Prompt:
    return np.full((positions, CODEBOOKS + 1), fill, np.int32)


def _words(tokenizer: Tokenizer, speaker: str, text: str) -> Prompt:
    return turn_prompt(tokenizer, speaker, text, None, CODEBOOKS)


def _spoken(tokenizer: Tokenizer) -> list[Prompt]:
    return [
        turn_prompt(tokenizer, speaker, text, _codes(-(-samples // FRAME)), CODEBOOKS)
        for speaker, text, samples in TURNS
    ]


def _as_ids(prompt: Prompt) -> list[int]:
    """What transformers would call each position."""
    closing = ~prompt[:, :-1].any(axis=1)
    audio = np.where(closing, AUDIO_EOS, AUDIO)
    return np.where(prompt[:, -1] < 0, audio, prompt[:, -1]).tolist()


def _theirs(
    processor: CsmProcessor, turns: Sequence[tuple[str, str, int]], last: tuple[str, str]
) -> list[int]:
    conversation = [
        {
            "role": role,
            "content": [
                {"type": "text", "text": text},
                {"type": "audio", "audio": np.zeros(samples, np.float32)},
            ],
        }
        for role, text, samples in turns
    ]
    conversation.append({"role": last[0], "content": [{"type": "text", "text": last[1]}]})
    text = processor.apply_chat_template(conversation, tokenize=False)
    audio = [np.zeros(samples, np.float32) for _, _, samples in turns] or None
    ids: list[int] = processor(text=text, audio=audio)["input_ids"][0].tolist()
    return ids


def _embeddings(
    reference: CsmForConditionalGeneration, prompt: Prompt, codes: Codes
) -> torch.Tensor:
    """What its own tables give for the words, the frames and the closing frame."""
    words = torch.tensor(prompt[prompt[:, -1] >= 0, -1])
    table = reference.backbone_model.embed_tokens
    sound = table(torch.tensor(codes)[None])[0]
    closing = table(torch.zeros(1, 1, CODEBOOKS, dtype=torch.long))[0]
    return torch.cat([reference.embed_text_tokens(words), sound, closing])
