"""What a frame costs by arithmetic: multiplications and bytes that no implementation can spare.

Measured times are held against these to tell how much of a device is used. Left out as small: norms
and activations, the attention within a frame (0.1 % of the depth decoder), whatever lies
between.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from local_engine.csm.shape import CodecShape, Shape, Stack


@dataclass(frozen=True, slots=True)
class Work:
    """Of one step: floating-point operations, and bytes that must come from memory."""

    flop: float
    bytes: float


@dataclass(frozen=True, slots=True)
class Peak:
    """What a device reaches at best: bytes per second, and bfloat16 operations per second."""

    bytes: float
    flop: float


PEAKS = {"H100": Peak(bytes=3.0e12, flop=790e12)}
"""By a word of the device's name; section 5 of the engine's reference has no other."""


def peak_of(device: str) -> Peak | None:
    """Find what is known of a device."""
    return next((peak for word, peak in PEAKS.items() if word in device), None)


def floor_ms(work: Work, peak: Peak) -> float:
    """Give the milliseconds that the device needs at least."""
    return 1000 * max(work.bytes / peak.bytes, work.flop / peak.flop)


def stack_parameters(stack: Stack) -> int:
    """Count a transformer's parameters, its tables and heads not included."""
    queries, keys = stack.heads * stack.head_size, stack.kv_heads * stack.head_size
    attention = stack.width * 2 * (queries + keys)
    layer = attention + 3 * stack.width * stack.ffn + 2 * stack.width
    return stack.layers * layer + stack.width


def parameters(shape: Shape) -> int:
    """Count the language model's parameters, its shared table once."""
    tables = shape.text_vocabulary + shape.codebooks * shape.codes
    projector = shape.backbone.width * shape.depth.width
    first_head = shape.backbone.width * shape.codes
    stacks = stack_parameters(shape.backbone) + stack_parameters(shape.depth)
    return stacks + tables * shape.backbone.width + projector + first_head + _heads(shape)


def kv_bytes(stack: Stack, itemsize: int) -> int:
    """Give the bytes of one position's keys and values."""
    return 2 * stack.layers * stack.kv_heads * stack.head_size * itemsize


def backbone_work(shape: Shape, itemsize: int, batch: int, context: int) -> Work:
    """One position for each row, which attends to `context` positions."""
    stack = shape.backbone
    count = stack_parameters(stack)
    row = 2 * count + _attention_flop(stack, context)
    kept = batch * context * kv_bytes(stack, itemsize)
    if shape.fp8_kv:
        kept = batch * context * 2 * stack.layers * stack.kv_heads * (stack.head_size + 4)
    return Work(batch * row, count * itemsize + kept)


def depth_work(shape: Shape, itemsize: int, batch: int, *, fp8: bool = False) -> Work:
    """All codebooks of one frame for each row: the weights are read for every codebook but one.

    With fp8 the layers have a byte for each number.
    """
    stack, passes = shape.depth, shape.codebooks - 1
    count = stack_parameters(stack) + shape.backbone.width * stack.width
    first_head = shape.backbone.width * shape.codes
    flop = 2 * (shape.codebooks * count + _heads(shape) + first_head)
    weights = (passes * count + _heads(shape) + first_head) * itemsize
    if fp8:
        weights -= passes * stack_parameters(stack) * (itemsize - 1)
    positions = sum(range(2, shape.codebooks + 1))
    read = weights + batch * positions * kv_bytes(stack, itemsize)
    return Work(batch * flop, read)


def sampler_work(shape: Shape, itemsize: int, batch: int) -> Work:
    """Every score of a frame looked at once; what a filter costs beyond that is its own affair."""
    scores = batch * shape.codebooks * shape.codes
    return Work(scores, scores * itemsize)


def codec_work(codec: CodecShape, itemsize: int, batch: int) -> Work:
    """One frame of codes to samples for each row."""
    steps = codec.upsample_stride
    heads = codec.heads * codec.head_size
    keys = codec.kv_heads * codec.head_size
    stack = codec.layers * 2 * codec.width * (heads + keys + codec.ffn)
    seanet = list(_seanet(codec))
    projections = 2 * codec.codebook_width * codec.width
    attention = 4 * codec.layers * heads * codec.window * steps
    flop = 2 * (steps * stack + sum(count * times for count, times in seanet) + projections)
    weights = stack + sum(count for count, _ in seanet) + projections
    row = codec_kv_bytes(codec, itemsize) + codec.codebooks * codec.codebook_width * itemsize
    return Work(batch * (flop + attention), weights * itemsize + batch * row)


def codec_kv_bytes(codec: CodecShape, itemsize: int) -> int:
    """Give the bytes of one row's keys and values: a window, and one position more."""
    entries = codec.window + codec.upsample_stride - 1
    return 2 * codec.layers * codec.kv_heads * codec.head_size * entries * itemsize


def prefill_work(shape: Shape, itemsize: int, positions: int) -> Work:
    """So many positions of one prompt, from its beginning."""
    count = stack_parameters(shape.backbone)
    attention = _attention_flop(shape.backbone, positions) * (positions + 1) / 2
    written = positions * kv_bytes(shape.backbone, itemsize)
    return Work(2 * count * positions + attention, count * itemsize + written)


def _attention_flop(stack: Stack, positions: int) -> int:
    return 4 * stack.layers * stack.heads * stack.head_size * positions


def _heads(shape: Shape) -> int:
    return (shape.codebooks - 1) * shape.depth.width * shape.codes


def _seanet(codec: CodecShape) -> Iterator[tuple[int, int]]:
    """Give each convolution's weights, and how often a frame uses them."""
    channels, steps = codec.filters * 2 ** len(codec.ratios), codec.upsample_stride
    yield codec.kernel * codec.width * channels, steps
    for ratio in codec.ratios:
        half = channels // 2
        hidden = half // codec.compress
        yield channels * half * 2 * ratio, steps
        steps *= ratio
        yield codec.residual_layers * (codec.residual_kernel + 1) * half * hidden, steps
        channels = half
    yield codec.last_kernel * codec.filters, steps
