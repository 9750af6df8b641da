"""On a device: the engine is transformers' model there, in every form that it is run in."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from driving import GREEDY, Request, Rounded, as_type, some_text, speak_all, start, step_of
from reference import Small, small_weights
from test_kernels_frame import placed
from transformers import CsmForConditionalGeneration

from local_engine.benching.options import read_options
from local_engine.benching.serving.server import measure_server
from local_engine.benching.times import Budget
from local_engine.csm.kernels import triton_kernels
from local_engine.csm.model.codec.decoder import MimiDecoder
from local_engine.csm.model.depth import first_logits
from local_engine.csm.model.exact import exact_float32
from local_engine.csm.model.kernels import TORCH
from local_engine.csm.model.network import Network, build_network
from local_engine.csm.model.weights import with_fp8_depth
from local_engine.csm.plan import Plan
from local_engine.csm.runner import TorchRunner
from local_engine.csm.running import Codes, OutOfMemory, Prefill

DEVICE = torch.device("cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="it needs a CUDA device"),
]
SMALL = Small(seed=2, codebooks=8, head_size=24, depth_head_size=12, depth_kv_heads=2)
KERNELS = {"torch": lambda: TORCH, "triton": triton_kernels}
FORMS = [(kernels, graphs) for kernels in KERNELS for graphs in (False, True)]
SLOTS = 3


@pytest.fixture(autouse=True)
def _exact() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    exact_float32()
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def network_of(kernels: str = "torch", *, bfloat16: bool = False, fp8: bool = False) -> Network:
    _, shape, weights = small_weights(SMALL)
    if bfloat16:
        weights = as_type(weights, torch.bfloat16)
    weights = placed(weights)
    weights = replace(weights, codec={name: placed(one) for name, one in weights.codec.items()})
    if fp8:
        weights, shape = with_fp8_depth(weights), replace(shape, fp8_kv=True)
    return build_network(weights, shape, SMALL.longest, KERNELS[kernels]())


def runner_of(network: Network, *, graphs: bool = False) -> TorchRunner:
    shape = network.shape
    decoder = MimiDecoder(shape.codec, network.weights.codec, slots=SLOTS, device=DEVICE)
    encoder = Rounded(shape.codebooks, shape.frame_samples)
    return TorchRunner(network, decoder, encoder, Plan(SLOTS, SMALL.longest, graphs=graphs))


def talk() -> list[Request]:
    """Seven on three slots: whoever comes finds others at other places."""
    return [
        Request(some_text(5 + 9 * n, n, 8), frames=5 + n % 3, comes=n, sampling=GREEDY)
        for n in range(7)
    ]


@torch.no_grad()
def transformers_codes(model: CsmForConditionalGeneration, request: Request) -> Codes:
    ids = torch.tensor([request.prompt[:, -1].tolist()], device=DEVICE)
    made = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=request.frames,
        do_sample=False,
        depth_decoder_do_sample=False,
    )
    return made[0].cpu().numpy()


@pytest.fixture(scope="module")
def expected() -> list[Codes]:
    """What transformers speaks on this device, each request alone."""
    exact_float32()
    model, _, _ = small_weights(SMALL)
    model = model.to(DEVICE)
    return [transformers_codes(model, request) for request in talk()]


@pytest.mark.parametrize(("kernels", "graphs"), FORMS)
def test_greedy_codes_in_float32_are_those_of_transformers(
    expected: list[Codes], kernels: str, *, graphs: bool
) -> None:
    clips = speak_all(runner_of(network_of(kernels), graphs=graphs), talk())
    for clip, codes in zip(clips, expected, strict=True):
        np.testing.assert_array_equal(np.stack(clip.codes), codes)


def hidden_of(network: Network) -> torch.Tensor:
    """After a prompt of 60 positions; [1, width]."""
    runner = runner_of(network)
    start(runner, 0, Request(some_text(58, 1, 8)))
    return runner._slots.hidden[:1].clone()  # noqa: SLF001 - what a frame is drawn from


@pytest.mark.parametrize("kernels", KERNELS)
def test_bfloat16_is_near_float32(kernels: str) -> None:
    """Within 5 %: the small model's weights are so large that it makes errors larger."""
    whole, halved = network_of(), network_of(kernels, bfloat16=True)
    exact, near = hidden_of(whole), hidden_of(halved)
    assert near.dtype == torch.bfloat16
    assert float((near.float() - exact).norm() / exact.norm()) < 0.05
    logits, theirs = first_logits(halved, near).float(), first_logits(whole, exact)
    assert float((logits - theirs).norm() / theirs.norm()) < 0.05


def test_a_codec_that_is_run_frame_by_frame_is_the_one_that_decodes_at_once() -> None:
    model, shape, _ = small_weights(SMALL)
    codes = torch.randint(0, 64, (2, 60, 8), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        double = model.codec_model.double()
        expected = double.decode(codes.transpose(1, 2)).audio_values[:, 0].to(DEVICE)
    weights = network_of().weights.codec
    decoder, rows = (
        MimiDecoder(shape.codec, weights, slots=SLOTS, device=DEVICE),
        placed(torch.tensor([2, 0])),
    )
    with torch.inference_mode():
        samples = torch.cat([decoder.decode(rows, one) for one in placed(codes).unbind(1)], dim=1)
    far = (samples.double() - expected).abs().max() / expected.abs().max()
    assert float(far) < 1e-5


@pytest.mark.parametrize("fp8", [False, True])
@pytest.mark.parametrize(("kernels", "graphs"), FORMS)
def test_nothing_of_a_slot_that_is_not_in_use_is_heard(
    kernels: str, *, graphs: bool, fp8: bool
) -> None:
    spoken = []
    for poison in (False, True):
        runner = runner_of(network_of(kernels, fp8=fp8), graphs=graphs)
        if poison:
            with torch.inference_mode():
                for kept in (runner._slots.k, runner._slots.v):  # noqa: SLF001 - nobody's
                    kept[:, [0, 2]] = 0xFF if fp8 else torch.nan
        start(runner, 1, Request(some_text(30, 3, 8)))
        spoken.append(np.stack([step_of(runner, [1]).codes[0] for _ in range(8)]))
    np.testing.assert_array_equal(*spoken)


@pytest.mark.parametrize("kernels", KERNELS)
def test_fp8_replayed_is_fp8_run_eagerly_bit_for_bit(kernels: str) -> None:
    spoken = [
        [np.stack(clip.codes) for clip in speak_all(runner_of(network, graphs=graphs), talk())]
        for network in [network_of(kernels, bfloat16=True, fp8=True)]
        for graphs in (False, True)
    ]
    for eager, replayed in zip(*spoken, strict=True):
        np.testing.assert_array_equal(replayed, eager)


def test_a_step_without_memory_has_changed_nothing_and_succeeds_when_there_is_some() -> None:
    runner = runner_of(network_of("triton"), graphs=True)
    request = Request(some_text(20, 4, 8), frames=6)
    runner.prefill([Prefill(0, 0, request.prompt)])
    runner.begin(0, GREEDY)
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved() / total)
    try:
        with pytest.raises(OutOfMemory):  # a capture needs a pool of its own
            runner.launch([0])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    codes = [step_of(runner, [0]).codes[0] for _ in range(request.frames)]
    (clip,) = speak_all(runner_of(network_of("triton"), graphs=True), [request])
    np.testing.assert_array_equal(np.stack(codes), np.stack(clip.codes))


def test_a_server_on_the_device_speaks_and_ends_what_is_hung_up_on() -> None:
    pytest.importorskip("granian", reason="the server's packages are not here")
    words = ["--model", "tiny-random", "--server", "--clients", "4", "--frames", "8"]
    run, budget = replace(read_options(words).run, load_seconds=1.0), Budget(100)
    found = measure_server(run, budget, 1.0)
    assert budget.dropped == []
    assert found is not None
    assert [one.failed for one in found.levels] == [0]
    assert found.cancel is not None
    assert found.cancel.samples == 16
    assert found.cancel.p95 < 1000
