"""Greedy codes are those of transformers' generate, whoever joins and leaves meanwhile."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from driving import GREEDY, Request, small_runner, speak_all, spoken_audio, spoken_text
from reference import SMALL, Small, small_weights
from transformers import CsmForConditionalGeneration

from local_engine.csm.model.network import build_network
from local_engine.csm.running import Codes, Prompt

AUDIO, AUDIO_END = 258, 260

SHAPES = [
    SMALL,
    Small(seed=1, codebooks=2, kv_heads=4, depth_kv_heads=4),
    Small(seed=2, codebooks=8, head_size=24, depth_head_size=12, depth_kv_heads=2),
    Small(seed=3, codebooks=32, width=32, layers=1, heads=2, kv_heads=1, head_size=32),
]


@dataclass(frozen=True, slots=True)
class Turn:
    """A text's ids, and the frames of sound that follow it, if any."""

    text: list[int]
    frames: int = 0


def talk(seed: int) -> list[list[Turn]]:
    """Seven requests: text alone, one turn before it, two turns before it."""
    lot = np.random.default_rng(seed)
    kinds = [(0,), (3, 0), (0,), (2, 5, 0), (0,), (6, 0), (0,)]
    return [
        [Turn(lot.integers(0, 256, lot.integers(3, 14)).tolist(), frames) for frames in kind]
        for kind in kinds
    ]


def reference_codes(
    model: CsmForConditionalGeneration, turns: list[Turn], sounds: list[torch.Tensor], most: int
) -> Codes:
    ids = [
        number
        for turn in turns
        for number in (
            [256, *turn.text, 257] + ([AUDIO] * turn.frames + [AUDIO_END] if turn.frames else [])
        )
    ]
    given = {}
    if sounds:
        ends = torch.tensor([len(sound) for sound in sounds]).cumsum(0)
        given = {"input_values": torch.cat(sounds)[None, None], "input_values_cutoffs": ends[None]}
    made = model.generate(
        input_ids=torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=most,
        do_sample=False,
        depth_decoder_do_sample=False,
        **given,
    )
    return made[0].numpy()


def our_prompt(
    model: CsmForConditionalGeneration, turns: list[Turn], sounds: list[torch.Tensor]
) -> Prompt:
    """Each sound encoded alone, by transformers' codec."""
    codebooks, parts, left = model.config.num_codebooks, [], list(sounds)
    for turn in turns:
        parts.append(spoken_text([256, *turn.text, 257], codebooks))
        if turn.frames:
            codes = model.codec_model.encode(left.pop(0)[None, None]).audio_codes
            parts.append(spoken_audio(codes[0].T.numpy()))
    return np.concatenate(parts)


@pytest.mark.parametrize("small", SHAPES, ids=lambda small: f"{small.codebooks} codebooks")
@torch.no_grad()
def test_seven_requests_on_three_slots_speak_as_transformers_does(small: Small) -> None:
    model, shape, weights = small_weights(small)
    runner = small_runner(build_network(weights, shape, small.longest), slots=3)
    lot = torch.Generator().manual_seed(small.seed)
    expected, requests = [], []
    for number, turns in enumerate(talk(small.seed)):
        sounds = [
            torch.randn(turn.frames * shape.frame_samples, generator=lot) * 0.3
            for turn in turns
            if turn.frames
        ]
        most = 4 + number % 3 * 2
        expected.append(reference_codes(model, turns, sounds, most))
        prompt = our_prompt(model, turns, sounds)
        requests.append(Request(prompt, most, comes=number, sampling=GREEDY))
    clips = speak_all(runner, requests)
    for clip, codes in zip(clips, expected, strict=True):
        np.testing.assert_array_equal(np.stack(clip.codes), codes)
