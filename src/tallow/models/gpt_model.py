"""What GPT-2's relatives share: names of sizes in configs, and LayerNorm behind the layers."""

from __future__ import annotations

from typing import Any

from tallow.models.blocks.embedding import Embedding
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.nn import LayerNorm, Module
from tallow.tensor import Tensor

_NAMES = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "max_position_embeddings": "n_positions",
    "intermediate_size": "n_inner",
    "hidden_act": "activation_function",
    "rms_norm_eps": "layer_norm_epsilon",
}


def gpt_fields(fields: Fields, **defaults: int) -> Fields:
    """The fields under the names of other decoders; `defaults` are the family's own.

    The feed-forward layers are four times as wide unless said.
    """
    fields = fields.with_defaults(layer_norm_epsilon=1e-5, **defaults)
    width = fields.get("n_embd")
    if fields.get("n_inner") is None and type(width) is int:
        fields = fields.with_value("n_inner", 4 * width)
    return fields.called(_NAMES)


class LayerNormModel(DecoderModel):
    """A decoder without a head whose last norm is a LayerNorm."""

    base_model_prefix = "transformer"

    @staticmethod
    def make_norm(cfg: Any) -> Module:
        """The norm behind the layers."""
        return LayerNorm(cfg.hidden_size, cfg.rms_norm_eps)


class LearnedPositionsModel(LayerNormModel):
    """The same with learned positions, `wpe`, beside the words."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.wpe = Embedding(cfg.max_position_embeddings, cfg.hidden_size)

    def embed(self, ids: Tensor | None, embeds: Tensor | None, positions: Tensor) -> Tensor:
        """Words and their positions."""
        found: Tensor = super().embed(ids, embeds, positions) + self.wpe(positions)
        return found
