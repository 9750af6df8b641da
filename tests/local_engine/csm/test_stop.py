"""The stop frame: codebooks but the last all zero; and codes that no codec knows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from driving import (
    GREEDY,
    Hum,
    Request,
    runner_with,
    small_runner,
    some_text,
    speak_alone,
    spoken_audio,
    start,
    step_of,
)
from reference import SMALL, small_weights
from transformers import CsmForConditionalGeneration

from local_engine.csm.model.network import Network, build_network
from local_engine.csm.plan import Plan
from local_engine.csm.running import Codes, Prefill, Sampling

LAST = SMALL.codebooks - 1
PROMPT = some_text(7, 1)


def zero_heads(model: CsmForConditionalGeneration, codebooks: list[int]) -> None:
    """Let code 0 win in these codebooks: it comes first among equals."""
    with torch.no_grad():
        for codebook in codebooks:
            if codebook:
                model.depth_decoder.codebooks_head.weight[codebook - 1] = 0
            else:
                model.lm_head.weight.zero_()


@pytest.fixture
def stopping(request: pytest.FixtureRequest) -> tuple[CsmForConditionalGeneration, Network]:
    return prepared(request.param)


def prepared(codebooks: list[int]) -> tuple[CsmForConditionalGeneration, Network]:
    model, shape, weights = small_weights()
    zero_heads(model, codebooks)
    heads = model.depth_decoder.codebooks_head.weight.detach()
    changed = replace(weights, heads=heads, first_head=model.lm_head.weight.detach())
    return model, build_network(changed, shape, SMALL.longest)


def reference_frames(model: CsmForConditionalGeneration) -> Codes:
    ids = torch.from_numpy(PROMPT[None, :, -1].astype(np.int64))
    made = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=3,
        do_sample=False,
        depth_decoder_do_sample=False,
    )
    return made[0].numpy()


@pytest.mark.parametrize(
    ("stopping", "stops"),
    [(list(range(LAST)), True), (list(range(LAST + 1)), True), (list(range(LAST - 1)), False)],
    ids=["all but the last", "all", "all but two"],
    indirect=["stopping"],
)
def test_a_frame_of_zeros_but_in_the_last_codebook_stops(
    stopping: tuple[CsmForConditionalGeneration, Network], *, stops: bool
) -> None:
    model, network = stopping
    expected = reference_frames(model)
    assert len(expected) == (1 if stops else 3)
    runner = small_runner(network)
    start(runner, 2, Request(PROMPT))
    output = step_of(runner, [2])
    assert output.stopped.tolist() == [stops]
    np.testing.assert_array_equal(output.codes[0], expected[0])


def test_the_last_codebook_of_a_stop_frame_may_be_anything() -> None:
    model, network = prepared(list(range(LAST)))
    assert reference_frames(model)[0, LAST] != 0
    output = speak_alone(small_runner(network), Request(PROMPT, frames=1))
    assert output[0, LAST] != 0


def test_a_stopped_row_does_not_advance_until_it_begins_anew() -> None:
    _, network = prepared(list(range(LAST)))
    runner = small_runner(network)
    start(runner, 0, Request(PROMPT))
    first = step_of(runner, [0])
    runner.begin(1, GREEDY)
    again = step_of(runner, [1, 0])
    assert again.stopped.tolist()[1]
    np.testing.assert_array_equal(again.codes[1], first.codes[0])


def test_a_stopped_row_leaves_its_slot_at_the_last_heard_frame() -> None:
    """The next turn of a conversation writes its frame of zeros where the stop frame was."""
    _, network = prepared(list(range(LAST)))
    runner, fresh = small_runner(network), small_runner(network)
    start(runner, 0, Request(PROMPT))
    for _ in range(3):
        assert step_of(runner, [0]).stopped.all()
    turn = np.concatenate((spoken_audio(np.zeros((0, SMALL.codebooks))), some_text(4, 2)))
    runner.prefill([Prefill(0, len(PROMPT), turn)])
    runner.begin(0, GREEDY)
    start(fresh, 0, Request(np.concatenate((PROMPT, turn))))
    mine, whole = step_of(runner, [0]), step_of(fresh, [0])
    np.testing.assert_array_equal(mine.codes, whole.codes)


def test_a_slot_that_has_not_begun_does_not_speak() -> None:
    _, shape, weights = small_weights()
    runner = small_runner(build_network(weights, shape, SMALL.longest))
    runner.prefill([Prefill(0, 0, PROMPT)])
    assert step_of(runner, [0]).stopped.all()


def test_reserved_codes_are_fed_back_and_kept_from_the_codec() -> None:
    _, shape, weights = small_weights()
    network = build_network(weights, shape, SMALL.longest)
    hum = Hum(2, shape.frame_samples)
    runner = runner_with(network, Plan(2, SMALL.longest), hum)
    anything = Sampling(seed=3, temperature=1e6, top_k=0)
    codes = speak_alone(runner, Request(PROMPT, frames=30, sampling=anything))
    assert codes.max() >= shape.codec.codebook_size
    assert hum.highest == shape.codec.codebook_size - 1
    runner.begin(0, GREEDY)
    told = np.concatenate((PROMPT, spoken_audio(codes)[:-1]))
    expected = speak_alone(small_runner(network), Request(told, frames=1))
    np.testing.assert_array_equal(step_of(runner, [0]).codes, expected)
