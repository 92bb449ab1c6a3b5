"""How families stand in GGUF files: the names of their tensors, and what is fixed there."""

from __future__ import annotations

from tallow.lazy_dataclasses import dataclass
from tallow.weights import NameMap


@dataclass(frozen=True)
class GGUFLayout:
    """How a family stands in GGUF files: the names of its tensors, and what is fixed.

    `interleaved` says that the rotated pairs of queries and keys are neighbours, as ggml's plain
    rope wants them; `qkv_bias` that queries, keys and values have biases whatever the file holds.
    """

    names: NameMap
    interleaved: bool = False
    qkv_bias: bool = False


_LAYER = "model.layers.{}."
GGUF_DECODER = GGUFLayout(
    names=NameMap(
        {
            "token_embd": "model.embed_tokens",
            "output_norm": "model.norm",
            "output": "lm_head",
            "blk.{}.attn_norm": _LAYER + "input_layernorm",
            "blk.{}.attn_q": _LAYER + "self_attn.q_proj",
            "blk.{}.attn_k": _LAYER + "self_attn.k_proj",
            "blk.{}.attn_v": _LAYER + "self_attn.v_proj",
            "blk.{}.attn_output": _LAYER + "self_attn.o_proj",
            "blk.{}.attn_q_norm": _LAYER + "self_attn.q_norm",
            "blk.{}.attn_k_norm": _LAYER + "self_attn.k_norm",
            "blk.{}.ffn_norm": _LAYER + "post_attention_layernorm",
            "blk.{}.ffn_gate": _LAYER + "mlp.gate_proj",
            "blk.{}.ffn_up": _LAYER + "mlp.up_proj",
            "blk.{}.ffn_down": _LAYER + "mlp.down_proj",
        }
    ),
)
