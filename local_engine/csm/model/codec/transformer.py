"""Mimi's decoder transformer over rings of keys and values: each position sees a whole window."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from local_engine.csm.model.codec.tensors import Tensors
from local_engine.csm.shape import CodecShape


@dataclass(frozen=True, slots=True)
class Norm:
    """A LayerNorm's gain and offset, [width] each."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; the scale of each of its two outputs is multiplied into the last matrix."""

    attention_norm: Norm
    qkv: Tensor
    """[(heads + 2 * kv_heads) * head_size, width]"""
    out: Tensor
    """[width, heads * head_size]"""
    ffn_norm: Norm
    up: Tensor
    """[ffn, width]"""
    down: Tensor
    """[width, ffn]"""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where the T new positions of B rows stand, and what they see: the same in every layer."""

    cos: Tensor
    """[B, T, 1, head_size]"""
    sin: Tensor
    """[B, T, 1, head_size]; its first half negated, as rotating by halves needs it."""
    seen: Tensor
    """[B, 1, T, entries]: whether a position attends to an entry of the ring."""
    places: Tensor
    """[B * T]: the entries of the new positions, counted through the B rings."""
    entries: Tensor
    """[B * T]: the same counted through the rings of all slots."""


class Transformer:
    """Positions [B, T, width] in, the same out, and the keys and values to be remembered."""

    def __init__(self, shape: CodecShape, tensors: Tensors, *, ahead: int) -> None:
        self._shape = shape
        self._layers = tuple(_layer(shape, tensors, n) for n in range(shape.layers))
        device = self._layers[0].qkv.device
        self._entries = torch.arange(shape.window + ahead - 1, device=device)
        self._steps = torch.arange(ahead, device=device)
        half = torch.arange(0, shape.head_size, 2, dtype=torch.float32, device=device)
        self._frequencies = (1.0 / shape.rope.theta ** (half / shape.head_size)).repeat(2)
        self._sign = torch.ones(shape.head_size, dtype=self._layers[0].qkv.dtype, device=device)
        self._sign[: shape.head_size // 2] = -1

    def reach(self, rows: Tensor, positions: Tensor, count: int) -> Reach:
        """Place the next `count` positions of these rows [B] after `positions` [B]."""
        size = len(self._entries)
        new = positions[:, None] + self._steps[:count]
        place, last = new % size, new[:, -1:]
        held = last - (last - self._entries) % size
        oldest = (new - self._shape.window).clamp(min=-1)
        seen = (held[:, None] <= new[:, :, None]) & (held[:, None] > oldest[:, :, None])
        angles = new[:, :, None, None].float() * self._frequencies
        beside = torch.arange(len(rows), device=rows.device)[:, None] * size
        return Reach(
            cos=angles.cos().to(self._sign.dtype),
            sin=angles.sin() * self._sign,
            seen=seen[:, None],
            places=(beside + place).flatten(),
            entries=(rows[:, None] * size + place).flatten(),
        )

    def __call__(
        self, x: Tensor, rows: Tensor, ring: Tensor, reach: Reach
    ) -> tuple[Tensor, Tensor]:
        """Run all layers; the second of what is given is [layers, B * T, 2, kv_heads, head_size].

        `ring` is that of all slots, and is only read.
        """
        made = []
        for number, layer in enumerate(self._layers):
            q, new = self._project(layer, x, reach)
            held = ring[number].index_select(0, rows)
            held.flatten(0, 1).index_copy_(0, reach.places, new)
            x = x + nn.functional.linear(self._attend(q, held, reach.seen), layer.out)
            inner = nn.functional.gelu(
                nn.functional.linear(self._norm(x, layer.ffn_norm), layer.up)
            )
            x = x + nn.functional.linear(inner, layer.down)
            made.append(new)
        return x, torch.stack(made)

    def _project(self, layer: Layer, x: Tensor, reach: Reach) -> tuple[Tensor, Tensor]:
        """Make queries [B, T, heads, head_size] and what the ring takes of these positions."""
        heads, kv_heads = self._shape.heads, self._shape.kv_heads
        qkv = nn.functional.linear(self._norm(x, layer.attention_norm), layer.qkv)
        qkv = qkv.view(*x.shape[:2], heads + 2 * kv_heads, self._shape.head_size)
        turned, v = torch.split(qkv, [heads + kv_heads, kv_heads], dim=2)
        halves = turned.roll(self._shape.head_size // 2, dims=-1)
        turned = turned * reach.cos + halves * reach.sin
        q, k = torch.split(turned, [heads, kv_heads], dim=2)
        return q, torch.stack([k, v], dim=2).flatten(0, 1)

    def _attend(self, q: Tensor, held: Tensor, seen: Tensor) -> Tensor:
        k, v = held.transpose(1, 3).unbind(2)
        grouped = self._shape.heads != self._shape.kv_heads
        mixed = nn.functional.scaled_dot_product_attention(
            q.transpose(1, 2), k, v, attn_mask=seen, enable_gqa=grouped
        )
        return mixed.transpose(1, 2).flatten(2)

    def _norm(self, x: Tensor, norm: Norm) -> Tensor:
        return nn.functional.layer_norm(
            x, norm.weight.shape, norm.weight, norm.bias, self._shape.norm_epsilon
        )


def _layer(shape: CodecShape, tensors: Tensors, number: int) -> Layer:
    name, width, ffn = f"decoder_transformer.layers.{number}.", shape.width, shape.ffn
    inner, kv = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    attention = f"{name}self_attn."
    parts = [("q", inner), ("k", kv), ("v", kv)]
    out = tensors.take(f"{attention}o_proj.weight", width, inner)
    down = tensors.take(f"{name}mlp.fc2.weight", width, ffn)
    return Layer(
        attention_norm=_norm(tensors, f"{name}input_layernorm", width),
        qkv=torch.cat([tensors.take(f"{attention}{p}_proj.weight", n, width) for p, n in parts]),
        out=out * tensors.take(f"{name}self_attn_layer_scale.scale", width)[:, None],
        ffn_norm=_norm(tensors, f"{name}post_attention_layernorm", width),
        up=tensors.take(f"{name}mlp.fc1.weight", ffn, width),
        down=down * tensors.take(f"{name}mlp_layer_scale.scale", width)[:, None],
    )


def _norm(tensors: Tensors, name: str, width: int) -> Norm:
    return Norm(tensors.take(f"{name}.weight", width), tensors.take(f"{name}.bias", width))
