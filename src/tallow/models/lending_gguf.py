"""What GGUF files of Gemma 3n and 4 call tensors and keys: words for each layer, kinds of layers.

Source: llama.cpp's `conversion/gemma.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tallow.errors import ModelError
from tallow.models.gguf_layout import Key, Kind, windows_every, write_windows

if TYPE_CHECKING:
    from tallow.models.fields import Fields
    from tallow.models.lending_decoder import LendingConfig
    from tallow.weights import WeightSource

_LAYER = "model.layers.{}."
LENDING_NAMES: Mapping[str, str] = {
    "per_layer_token_embd": "model.embed_tokens_per_layer",
    "per_layer_model_proj": "model.per_layer_model_projection",
    "per_layer_proj_norm": "model.per_layer_projection_norm",
    "blk.{}.post_attention_norm": _LAYER + "post_attention_layernorm",
    "blk.{}.ffn_norm": _LAYER + "pre_feedforward_layernorm",
    "blk.{}.post_ffw_norm": _LAYER + "post_feedforward_layernorm",
    "blk.{}.inp_gate": _LAYER + "per_layer_input_gate",
    "blk.{}.proj": _LAYER + "per_layer_projection",
    "blk.{}.post_norm": _LAYER + "post_per_layer_input_norm",
}
LENDING_KEYS = (
    Key("feed_forward_length", "intermediate_size", "arr[u32]", attribute="widths", layers=True),
    Key("attention.shared_kv_layers", "num_kv_shared_layers", default=0),
    Key("embedding_length_per_layer_input", "hidden_size_per_layer_input"),
    Key(
        "final_logit_softcapping", "final_logit_softcapping", "f32", attribute="logit_softcap",
        default=30.0,
    ),
)  # fmt: skip


def read_kinds_of(fields: Fields, source: WeightSource, period: int) -> dict[str, Any]:
    """Which layers have a window, by which bases they rotate, and how many of them borrow."""
    bases = {
        "full_attention": fields.number("rope.freq_base", 1_000_000.0),
        "sliding_attention": fields.number("rope.freq_base_swa", 10_000.0),
    }
    bound = fields.get("final_logit_softcapping")  # 0 is none, which llama.cpp takes 30 for
    return {
        **({"final_logit_softcapping": None} if bound == 0 else {}),
        **windows_every(period)(fields, source),
        "rope_parameters": {kind: {"rope_theta": base} for kind, base in bases.items()},
        "num_kv_shared_layers": fields.integer("attention.shared_kv_layers", 0, low=0),
    }


def write_kinds_of(cfg: LendingConfig) -> dict[str, tuple[Kind, Any]]:
    """The keys that `read_kinds_of` reads, but for those of `LENDING_KEYS`.

    Raises:
        ModelError: no windows, or layers that borrow from others than llama.cpp has them do.
    """
    if not cfg.sliding_windows or cfg.local_rope is None or cfg.local_rope[1] is not None:
        wanted = "layers with windows, whose rotation is not stretched, for GGUF"
        raise ModelError(f"config: expected {wanted}")
    first = cfg.lenders
    for i in range(first, cfg.num_hidden_layers):
        if cfg.lender(i) != first - (2 if cfg.window(i) else 1):
            wanted = "a layer with a window before one without as the last that make keys, for GGUF"
            raise ModelError(f"config: layer_types: expected {wanted}")
    return {**write_windows(cfg), "rope.freq_base_swa": ("f32", cfg.local_rope[0])}
