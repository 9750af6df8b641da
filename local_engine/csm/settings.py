"""What one engine process is told at start: which model, on what, for how many at once."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

TINY_RANDOM = "tiny-random"
"""A model that is made in memory: it babbles, and runs the same code as the real one."""
REAL_RANDOM = "real-random"
"""Likewise, as large as CSM-1B: what is measured where its files are not."""

Count = Annotated[int, Meta(ge=1)]
OrAuto = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]


class EngineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model. A value of 0 or `auto` is chosen at start, and told."""

    name: str
    """What clients call it."""
    source: str = ""
    """A folder, a hub id or `tiny-random`; empty: the name itself."""
    revision: str | None = None
    """Of the hub's repository."""
    tokenizer: str | None = None
    """A tokenizer.json, or the hub id of one, where the model brings none (Sesame's layout)."""
    codec_source: str | None = None
    """A folder, a file or a hub id of Mimi, where the model brings none (Sesame's layout)."""
    codec: Literal["own", "moshi"] = "own"
    voices: str | None = None
    """A voices.toml of named prompts."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the language model; auto is bfloat16 on CUDA and float32 on a CPU. Mimi stays float32."""
    depth_weights: Literal["auto", "fp8"] = "auto"
    """Of the depth decoder's layers; auto is `dtype`. fp8 is half the bytes, unjudged by ear."""
    kv: Literal["auto", "fp8"] = "auto"
    """Keys and values of the slots, likewise: with fp8 nearly twice as many fit."""
    slots: OrAuto = 0
    """Utterances at once; 0 takes what memory allows."""
    longest: OrAuto = 0
    """Positions of a slot, prompt and frames; 0 takes the model's own."""
    waiting: OrAuto = 64
    """Requests that may wait for a slot; the next one is answered 429."""
    per_key: OrAuto = 0
    """Slots that one key may have at once; 0 means all."""
    prefill_positions: Count = 2048
    """Prompt positions computed in one step at most, so that nobody who speaks has to wait."""
    lead_seconds: Seconds = 20.0
    """How far a clip may be ahead of its listener before it pauses."""
    clip_seconds: Seconds = 90.0
    """The longest clip."""
    silence_seconds: Seconds = 4.0
    """A clip that has been silent for so long is ended as a runaway."""
    snapshot_megabytes: OrAuto = 1024
    """Of prompts that are kept computed, for voices and conversations."""
    codes_megabytes: OrAuto = 64
    """Of codes that are kept for later turns of a conversation."""
    watermark: str | None = None
    """`module:function`, which gives a watermarker for each clip; none by default."""
    deterministic: bool = False
    """One batch size for every step, so that a clip's bits do not depend on its neighbours."""
    kernels: Literal["auto", "torch", "triton"] = "auto"
    """auto is Triton's on CUDA, where Triton is installed, and torch's otherwise."""
    graphs: bool = True
    """Steps and prompts as CUDA graphs: hundreds of launches become one. They mean nothing on a
    CPU."""
    graph_seconds: Annotated[float, Meta(ge=0)] = 30.0
    """For capturing them at start; those for which there is no time are captured when they are
    first needed, and whoever speaks waits for it."""
    threads: OrAuto = 0
    """Of torch on a CPU; 0 is one, so that the server beside it has air."""
    memory_share: Annotated[float, Meta(gt=0, le=1)] = 0.9
    """Of a device's memory that slots may fill."""
