"""BitNet b1.58: weights of three values, and activations rounded to 8 bits (arXiv 2402.17764)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.dtype import bf16, f32, tq2_0
from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import Attention, DecoderLayer, GatedMlp, Rope
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.kept import Kept
from tallow.models.causal_lm import define_causal
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, decoder_attention
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_DECODER, Kind
from tallow.nn import Linear, Module, RMSNorm
from tallow.ops import linear
from tallow.tensor import Tensor


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of Hugging Face's `BitNetConfig`.

    `rounding` is empty where nothing is rounded, `offline` where activations are, and `online`
    where weights are, too, which files have as they are trained.
    """

    act: ClassVar[str] = "relu2"
    theta: ClassVar[float] = 500000.0
    defaults: ClassVar[Mapping[str, Any]] = {"num_key_value_heads": 5, "rms_norm_eps": 1e-5}

    rounding: str = ""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`quantization_config` says what is rounded; packed weights are read by `weights`."""
        rounding, bias = _rounding(fields), fields.flag("attention_bias")
        cfg = super().read(fields.with_value("quantization_config", None))
        return replace(cfg, qkv_bias=bias, output_bias=bias, rounding=rounding)


def _rounding(fields: Fields) -> str:
    given = fields.get("quantization_config")
    if given is None:
        return ""
    if not isinstance(given, dict) or given.get("quant_method") != "bitnet":
        raise fields.error("quantization_config", "none, or one of bitnet", given)
    scope = fields.scope("quantization_config")
    if scope.flag("use_rms_norm"):
        raise scope.error("use_rms_norm", "false (not supported)", True)
    left = scope.get("modules_to_not_convert")
    if left not in (None, [], ["lm_head"]):
        raise scope.error("modules_to_not_convert", "none, or lm_head alone", left)
    mode = scope.text("quantization_mode", "offline")
    if mode not in ("offline", "online"):
        raise scope.error("quantization_mode", "offline or online", mode)
    packed = scope.text("linear_class", "bitlinear") == "bitlinear"
    return "offline" if packed else mode


def _to_file(cfg: Config) -> dict[str, tuple[Kind, Any]]:
    """llama.cpp has silu and the words for a head in its code."""
    if cfg.hidden_act not in ("silu", "swish"):
        wanted = "silu in a BitNet for GGUF"
        raise ModelError(f"config: hidden_act: expected {wanted}, found {cfg.hidden_act}")
    if not cfg.tie_word_embeddings:
        wanted = "true in a BitNet for GGUF"
        raise ModelError(f"config: tie_word_embeddings: expected {wanted}, found false")
    return {}


GGUF = GGUF_DECODER.but(
    names={
        "blk.{}.attn_sub_norm": "model.layers.{}.self_attn.attn_sub_norm",
        "blk.{}.ffn_sub_norm": "model.layers.{}.mlp.ffn_sub_norm",
    },
    constants={"hidden_act": "silu"},
    write=_to_file,
    biases=(),
)


def _rounded(x: Tensor) -> Tensor:
    """`x` with each row rounded to 255 values; gradients pass as if it were not."""
    scale = 127 / x.abs().amax(-1, keepdim=True).clamp(min=1e-5)
    found = (x * scale).round().clamp(-128, 127) / scale
    return found.detach() + (x - x.detach()) if x.requires_grad else found


class RoundedLinear(Linear):
    """A linear layer of rounded inputs; `online` rounds the weight to -s, 0 and s as well.

    In block dtypes of three values, unless `exact`, kernels round inputs once more, to 8-bit blocks
    of 32.
    """

    def __init__(self, size: int, out: int, *, bias: bool, online: bool) -> None:
        super().__init__(size, out, bias=bias)
        self._online, self._codes, self._step = online, Kept(), Kept()
        if online:
            self.quantizable = False  # whose mean would be another

    def forward(self, input: Tensor) -> Tensor:
        """`(..., in_features)` → `(..., out_features)`."""
        x = _rounded(input)
        if not self._online:
            return linear(x, self.weight, self.bias, exact=self.exact)
        step = self._step.get(self._mean, self.weight)
        codes = self._codes.get(self._rounded_weight, self.weight)
        out = linear(x, codes, exact=self.exact) * step
        return out if self.bias is None else out + self.bias

    def _mean(self) -> Tensor:
        return self.weight.to(f32).abs().mean().clamp(min=1e-5).detach()

    def _rounded_weight(self) -> Tensor:
        """-1, 0 and 1; in two bits where nothing has to flow back and rows divide into blocks."""
        whole, step = self.weight.to(f32), self._mean()
        found = (whole / step).round().clamp(-1, 1)
        if whole.requires_grad:
            whole = whole / step
            return found.detach() + (whole - whole.detach())
        return found.to(bf16 if self.in_features % tq2_0.block else tq2_0)


def with_rounding(part: Module, online: bool) -> Module:
    """`part` with a `RoundedLinear` in the place of each linear layer."""
    for name, inner in list(part.named_children()):
        if type(inner) is Linear:
            size, out, bias = inner.in_features, inner.out_features, inner.bias is not None
            setattr(part, name, RoundedLinear(size, out, bias=bias, online=online))
        else:
            with_rounding(inner, online)
    return part


class BitNetAttention(Attention):
    """Attention with a norm before its last projection."""

    attn_sub_norm: Module

    def finished(self, merged: Tensor) -> Tensor:
        """The output of what all heads gave."""
        return super().finished(self.attn_sub_norm(merged))


class BitNetMlp(GatedMlp):
    """A gated feed-forward with a norm before its last projection."""

    def __init__(self, size: int, hidden: int, act: Callable[[Tensor], Tensor], eps: float) -> None:
        super().__init__(size, hidden)
        self.ffn_sub_norm = RMSNorm(hidden, eps)
        self._inner = act

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return self.down_proj(self.ffn_sub_norm(self._inner(self.gate_proj(x)) * self.up_proj(x)))


class BitNetModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention and a gated feed-forward, each with a norm of its own within."""
        attention = decoder_attention(cfg, index, rope, kind=BitNetAttention)
        width = cfg.num_attention_heads * cfg.head_dim
        attention.attn_sub_norm = RMSNorm(width, cfg.rms_norm_eps)
        act, sizes = ACTIVATIONS[cfg.hidden_act], (cfg.hidden_size, cfg.intermediate_size)
        layer = DecoderLayer(
            self_attn=attention,
            mlp=BitNetMlp(*sizes, act, cfg.rms_norm_eps),
            norm=partial(RMSNorm, cfg.hidden_size, cfg.rms_norm_eps),
        )
        return with_rounding(layer, cfg.rounding == "online") if cfg.rounding else layer


define_causal(globals(), "BitNet", BitNetModel)
