"""A model's measurements, as its config.json gives them: frozen, and free of torch.

Source: CsmConfig and MimiConfig of transformers 5.23; SesameAILabs/csm models.py.
"""

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary positions; `factor` 1 is plain, otherwise scaled as Llama 3 does."""

    theta: float
    factor: float = 1.0
    low: float = 1.0
    high: float = 4.0
    original: int = 8192
    """The positions that the unscaled frequencies were made for."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A transformer of Llama's kind: RMS norms, grouped queries, SwiGLU, no biases."""

    layers: int
    width: int
    ffn: int
    heads: int
    kv_heads: int
    head_size: int
    norm_epsilon: float
    rope: Rope


@dataclass(frozen=True, slots=True)
class CodecShape:
    """Mimi. Its decoder half: codebooks, up-sampling by two, transformer, SEANet."""

    codebooks: int
    """How many of its quantizers are used, the semantic ones first."""
    codebook_size: int
    codebook_width: int
    semantic: int
    width: int
    layers: int
    ffn: int
    heads: int
    kv_heads: int
    head_size: int
    norm_epsilon: float
    rope: Rope
    window: int
    """How many positions, its own included, a position of the transformer attends to."""
    filters: int
    ratios: tuple[int, ...]
    kernel: int
    last_kernel: int
    residual_kernel: int
    residual_layers: int
    dilation_growth: int
    compress: int
    upsample_stride: int = 2
    sample_rate: int = 24_000

    @property
    def frame_samples(self) -> int:
        """Samples that one frame of codes becomes: 1920 in the real one."""
        return prod(self.ratios) * self.upsample_stride


@dataclass(frozen=True, slots=True)
class Shape:
    """Everything about a CSM model but its weights."""

    backbone: Stack
    depth: Stack
    codebooks: int
    codes: int
    """Codes of one codebook, the reserved ones included: 2051 in the real one."""
    text_vocabulary: int
    longest: int
    """Positions of the backbone: prompt and generated frames together."""
    bos: int
    eos: int
    """Of a turn's text: begin and end."""
    codec: CodecShape
    stop_code: int = 0
    """A frame whose codebooks but the last are all this ends the clip."""
    fp8_kv: bool = False
    """Whether the backbone's keys and values are kept in fp8: no config.json's, but a setting."""

    @property
    def frame_samples(self) -> int:
        return self.codec.frame_samples
