"""Apertus: normalised heads, and a feed-forward with xIELU (arXiv 2411.13010)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.factories import tensor
from tallow.lazy_dataclasses import replace
from tallow.models.blocks import DecoderLayer, Rope
from tallow.models.blocks import decoder_heads as heads
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.decoder import Norms
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, decoder_attention
from tallow.models.fields import Fields
from tallow.nn import Buffer, Linear, Module, RMSNorm, param
from tallow.nn import functional as F
from tallow.ops import expm1, minimum, where
from tallow.tensor import Tensor

_XIELU = "xielu"
_ROPE = {
    "rope_type": "llama3", "rope_theta": 12000000.0, "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
}  # fmt: skip


class Config(DecoderConfig):
    """Of Hugging Face's `ApertusConfig`."""

    act: ClassVar[str] = _XIELU
    theta: ClassVar[float] = 12000000.0
    # Published files say of norms what the architecture says.
    without_effect: ClassVar[frozenset[str]] = DecoderConfig.without_effect | {
        "mlp_bias", "post_norm", "qk_norm",
    }  # fmt: skip
    defaults: ClassVar[Mapping[str, Any]] = {
        "max_position_embeddings": 65536,
        "rms_norm_eps": 1e-5,
        "pad_token_id": 3,
    }

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Without a word on rotation it is Llama 3.1's for eight times 8192 positions."""
        if fields.get("rope_parameters") is None and fields.get("rope_scaling") is None:
            given = fields.get("rope_theta")
            rope = _ROPE if given is None else {**_ROPE, "rope_theta": given}
            fields = fields.with_value("rope_parameters", rope)
        act, bias = fields.text("hidden_act", _XIELU), fields.flag("attention_bias")
        if act == _XIELU:  # which has parameters, so that it is in no table
            fields = fields.with_value("hidden_act", "linear")
        return replace(super().read(fields), hidden_act=act, qkv_bias=bias, output_bias=bias)


class Xielu(Module):
    """A parabola above 0 and an exponential below, by two numbers that are learned."""

    def __init__(self) -> None:
        self.alpha_p, self.alpha_n = param(1), param(1)
        self.beta, self.eps = Buffer(tensor(0.5)), Buffer(tensor(-1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, kept."""
        above, below = F.softplus(self.alpha_p), self.beta + F.softplus(self.alpha_n)
        curve = (expm1(minimum(x, self.eps)) - x) * below
        return where(x.gt(0), above * x * x, curve) + self.beta * x


class Mlp(Module):
    """`down(act(up(x)))`, whose activation may have parameters."""

    def __init__(self, size: int, hidden: int, act: str) -> None:
        self.up_proj = Linear(size, hidden, bias=False)
        self.down_proj = Linear(hidden, size, bias=False)
        if act == _XIELU:
            self.act_fn = Xielu()
        self._act = None if act == _XIELU else ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        up = self.up_proj(x)
        return self.down_proj(self.act_fn(up) if self._act is None else self._act(up))


_NORMS = Norms("attention_layernorm", None, "feedforward_layernorm", None)


class ApertusModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention with normalised heads, and a feed-forward of two matrices."""
        norm = partial(RMSNorm, eps=cfg.rms_norm_eps)
        q_norm, k_norm = norm(cfg.head_dim), norm(cfg.head_dim)
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope, q_norm=q_norm, k_norm=k_norm),
            mlp=Mlp(cfg.hidden_size, cfg.intermediate_size, cfg.hidden_act),
            norm=partial(norm, cfg.hidden_size),
            norms=_NORMS,
        )


define_causal(globals(), "Apertus", ApertusModel, heads.TokenClassification)
