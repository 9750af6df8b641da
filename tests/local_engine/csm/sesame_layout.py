"""What Sesame's own file of a model would hold, made of the same tensors."""

from collections.abc import Mapping

from torch import Tensor

from local_engine.csm.shape import Shape

LAYER = {
    "self_attn.q_proj.weight": "attn.q_proj.weight",
    "self_attn.k_proj.weight": "attn.k_proj.weight",
    "self_attn.v_proj.weight": "attn.v_proj.weight",
    "self_attn.o_proj.weight": "attn.output_proj.weight",
    "input_layernorm.weight": "sa_norm.scale",
    "post_attention_layernorm.weight": "mlp_norm.scale",
    "mlp.gate_proj.weight": "mlp.w1.weight",
    "mlp.down_proj.weight": "mlp.w2.weight",
    "mlp.up_proj.weight": "mlp.w3.weight",
}


def as_sesame(tensors: Mapping[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """Rename, and put the rows of queries and keys in torchtune's alternating order."""
    found = {
        "text_embeddings.weight": tensors["embed_text_tokens.weight"],
        "audio_embeddings.weight": tensors["depth_decoder.model.embed_tokens.weight"],
        "projection.weight": tensors["depth_decoder.model.inputs_embeds_projector.weight"],
        "codebook0_head.weight": tensors["lm_head.weight"],
        "audio_head": tensors["depth_decoder.codebooks_head.weight"],
    }
    for ours, theirs, stack in (
        ("backbone_model.", "backbone.", shape.backbone),
        ("depth_decoder.model.", "decoder.", shape.depth),
    ):
        found[f"{theirs}norm.scale"] = tensors[f"{ours}norm.weight"]
        heads = {"attn.q_proj.weight": stack.heads, "attn.k_proj.weight": stack.kv_heads}
        for n in range(stack.layers):
            for plain, name in LAYER.items():
                tensor = tensors[f"{ours}layers.{n}.{plain}"]
                if name in heads:
                    tensor = _alternate(tensor, heads[name])
                found[f"{theirs}layers.{n}.{name}"] = tensor
    return {name: tensor.detach().clone() for name, tensor in found.items()}


def _alternate(weight: Tensor, heads: int) -> Tensor:
    rows, width = weight.shape
    return weight.view(heads, 2, rows // heads // 2, width).transpose(1, 2).reshape(rows, width)
