"""From settings to the parts of an engine: model, codec, runner, voices. Here torch comes in."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from local_engine.csm.kernels import has_triton, triton_kernels
from local_engine.csm.loading.errors import LoadError
from local_engine.csm.loading.fingerprint import fingerprint
from local_engine.csm.loading.model import Model, load
from local_engine.csm.messages import Ready
from local_engine.csm.model.budget import plan_budget
from local_engine.csm.model.codec.build import build_codec
from local_engine.csm.model.exact import exact_float32
from local_engine.csm.model.fp8 import refused
from local_engine.csm.model.kernels import TORCH, Kernels
from local_engine.csm.model.network import build_network
from local_engine.csm.model.slots import kept_bytes
from local_engine.csm.model.weights import with_fp8_depth
from local_engine.csm.plan import Plan
from local_engine.csm.prompting.codes_cache import CodesCache, cache_folder
from local_engine.csm.prompting.preparer import PromptPreparer, SpokenVoice
from local_engine.csm.prompting.prompt import turn_prompt
from local_engine.csm.prompting.voices import Voice, read_voices, voice_codes
from local_engine.csm.runner import TorchRunner
from local_engine.csm.running import Codes, Prompt
from local_engine.csm.settings import EngineSettings
from local_engine.csm.shape import Shape
from local_engine.csm.speaking.engine import Parts
from local_engine.csm.speaking.life import Progress

log = logging.getLogger(__name__)

_MOST_ON_A_CPU = 8
"""Slots, unless more are asked for: more would only make everybody slow."""
_KILOBYTE = 1024
_MEGABYTE = 1 << 20


def build(settings: EngineSettings, progress: Progress) -> Parts:
    """Load the model and make all that speaks with it; LoadError and others tell why not."""
    torch.set_num_threads(settings.threads or 1)
    exact_float32()
    model = _as_asked(load(settings, progress), settings)
    device = model.weights.audio_table.device
    if device.type == "cuda":
        # Triton launches on the device that is current, and a capture waits for it.
        torch.cuda.set_device(device)
    longest = _longest(settings, model)
    slots = _slots(settings, model, longest)
    progress("codec", 0, 0)
    runner = _runner(settings, model, slots, longest)
    runner.warm(settings.graph_seconds, partial(progress, "CUDA graphs"))
    voices = read_voices(model.folder, Path(settings.voices) if settings.voices else None)
    codec = model.shape.codec
    preparer = PromptPreparer(
        model.tokenizer,
        model.shape.codebooks,
        longest,
        codec.sample_rate / codec.frame_samples,
        settings.clip_seconds,
        _spoken_voices(model, voices, runner, progress),
        runner.encode,
    )
    ready = Ready(
        settings.name,
        tuple(voices),
        codec.sample_rate,
        codec.frame_samples,
        slots,
        longest,
        str(device),
        load_seconds=0.0,
    )
    return Parts(runner, preparer, ready, _memory(device))


def _as_asked(model: Model, settings: EngineSettings) -> Model:
    """Give the model with what is to be fp8 in fp8; LoadError where the device has no fp8."""
    device = model.weights.audio_table.device
    if "fp8" not in {settings.depth_weights, settings.kv}:
        return model
    why = refused(torch.cuda.get_device_capability(device)) if device.type == "cuda" else None
    if why is not None:
        raise LoadError(f"depth_weights or kv is fp8; {why}")
    log.warning("fp8 is in use: nobody has judged how it sounds")
    weights = model.weights
    if settings.depth_weights == "fp8":
        weights = with_fp8_depth(weights)
    shape = replace(model.shape, fp8_kv=settings.kv == "fp8")
    return replace(model, weights=weights, shape=shape)


def _longest(settings: EngineSettings, model: Model) -> int:
    longest = settings.longest or model.shape.longest
    if longest > model.shape.longest:
        raise LoadError(f"longest is {longest}; the model has {model.shape.longest} positions")
    return longest


def _slots(settings: EngineSettings, model: Model, longest: int) -> int:
    """Give as many as were asked for, or as memory holds; LoadError says what is missing."""
    table = model.weights.audio_table
    free = _free(table.device, settings.memory_share)
    budget = plan_budget(model.shape, table.dtype, free, longest)
    spared = _spared_bytes(model.shape, table.dtype) * longest
    budget = replace(budget, kv=budget.kv - spared)
    wanted = settings.slots or 1
    if budget.fixed + wanted * budget.slot > free:
        needed = (budget.fixed + wanted * budget.slot) // _MEGABYTE
        raise LoadError(
            f"{wanted} slots of {longest} positions need {needed} MiB beside the weights; "
            f"{free // _MEGABYTE} MiB of {table.device} may be used: choose fewer slots, a lower "
            "longest or a higher memory_share"
        )
    most = _MOST_ON_A_CPU if table.device.type == "cpu" else budget.slots
    slots = settings.slots or min(most, budget.slots)
    log.info("memory: %s", budget.told(slots))
    return slots


def _spared_bytes(shape: Shape, kind: torch.dtype) -> int:
    """Count what a position's keys and values take less than in this type."""
    return kept_bytes(replace(shape, fp8_kv=False), kind) - kept_bytes(shape, kind)


def _free(device: torch.device, share: float) -> int:
    """Count the bytes that may still be filled: a share of all, less what is in use."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
    else:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) * _KILOBYTE for line in lines}
        free, total = sizes["MemAvailable"], sizes["MemTotal"]
    return max(0, free - int(total * (1 - share)))


def _runner(settings: EngineSettings, model: Model, slots: int, longest: int) -> TorchRunner:
    weights, shape = model.weights, model.shape
    decoder, encoder = build_codec(
        settings.codec,
        shape.codec,
        weights.codec,
        model.codec_config,
        slots=slots,
        device=weights.audio_table.device,
    )
    device = weights.audio_table.device
    network = build_network(weights, shape, longest, _kernels(settings, device))
    plan = Plan(
        slots,
        longest,
        deterministic=settings.deterministic,
        graphs=settings.graphs and device.type == "cuda",
        codec_graphs=settings.codec == "own",
    )
    return TorchRunner(network, decoder, encoder, plan)


def _kernels(settings: EngineSettings, device: torch.device) -> Kernels:
    """Give the kernels that were asked for; LoadError where they cannot run."""
    if settings.kernels == "torch" or (settings.kernels == "auto" and device.type != "cuda"):
        return TORCH
    if device.type == "cuda" and has_triton():
        return triton_kernels()
    if settings.kernels == "auto":
        log.warning("Triton is not installed: torch's kernels are used, which are slower")
        return TORCH
    raise LoadError(f"kernels is triton, which needs CUDA and Triton; the device is {device}")


def _spoken_voices(
    model: Model, voices: Mapping[str, Voice], runner: TorchRunner, progress: Progress
) -> Mapping[str, SpokenVoice]:
    """Encode the recordings of all voices, or take their codes from the cache."""
    shape = model.shape
    cache = CodesCache(
        cache_folder(os.environ), fingerprint(model.weights.codec), shape.codebooks, shape.codes
    )
    spoken = {}
    for done, (name, voice) in enumerate(voices.items()):
        progress("voices", done, len(voices))
        codes = voice_codes(voice, shape.codec.sample_rate, runner.encode, cache)
        spoken[name] = SpokenVoice(voice, None if codes is None else _turn(model, voice, codes))
    return spoken


def _turn(model: Model, voice: Voice, codes: Codes) -> Prompt:
    return turn_prompt(model.tokenizer, voice.speaker, voice.text, codes, model.shape.codebooks)


def _memory(device: torch.device) -> Callable[[], int]:
    """Give what counts the bytes of the device that this process uses."""
    if device.type == "cuda":
        return lambda: torch.cuda.memory_reserved(device)
    return _resident


def _resident() -> int:
    pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
