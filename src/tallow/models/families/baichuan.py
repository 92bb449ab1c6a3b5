"""Baichuan 1 and 2: Llama with one matrix for queries, keys and values (arXiv 2309.10305)."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

from tallow.dtype import f32
from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import DecoderLayer, Rope
from tallow.models.blocks.alibi import alibi_slopes
from tallow.models.blocks.kept import Kept
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import DecoderModel, Layers, decoder_attention, gated_mlp
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUF_LLAMA, Kind
from tallow.nn import Module, RMSNorm
from tallow.ops import cat
from tallow.tensor import Tensor
from tallow.weights import WeightSource
from tallow.weights.arrange import TensorMap, WeightConverter, mapped, split

_ROTARY, _BIASED = "max_position_embeddings", "model_max_length"
_WORDS_OF_2 = 125696  # of both sizes of Baichuan 2


@dataclass(frozen=True)
class Config(DecoderConfig):
    """Of the `BaichuanConfig` beside the published checkpoints."""

    without_effect: ClassVar[frozenset[str]] = DecoderConfig.without_effect | {
        "_from_model_config", "z_loss_weight", "model_max_length", "gradient_checkpointing",
    }  # fmt: skip

    unit_head: bool = False  # rows of the head are scaled to length 1

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The 7B's configs have `max_position_embeddings`; the 13B's, without rotation, have not.

        Version 2, whose head is of unit rows, is told by its vocabulary or by `z_loss_weight`.
        """
        rotated, length = fields.get(_ROTARY) is not None, fields.get(_BIASED)
        if not rotated and length is None:
            wanted = f"a number, or {_BIASED} where biases take the place of positions"
            raise fields.error(_ROTARY, wanted, None)
        fields = fields if rotated else fields.with_value(_ROTARY, length)
        cfg = super().read(fields)
        return replace(
            cfg,
            rope_layers=() if rotated else (False,) * cfg.num_hidden_layers,
            unit_head=cfg.vocab_size == _WORDS_OF_2 or "z_loss_weight" in fields,
        )


def _of_file(fields: Fields, source: WeightSource) -> dict[str, Any]:
    """Files do not say which of both it is: for llama.cpp the number of layers does."""
    layers = fields.integer("block_count")
    if layers not in (32, 40):
        raise fields.error("block_count", "32 layers that rotate, or 40 with biases", layers)
    length = fields.integer("context_length", 4096)
    return {_ROTARY: length if layers == 32 else None, _BIASED: length}


def _to_file(cfg: Config) -> dict[str, tuple[Kind, Any]]:
    layers = 32 if cfg.rotates(0) else 40
    if cfg.num_hidden_layers != layers:
        wanted = f"{layers} layers with {'rotation' if layers == 32 else 'biases'}"
        found = f"{cfg.num_hidden_layers}, of which llama.cpp cannot tell what they are"
        raise ModelError(f"config: expected {wanted} in a Baichuan for GGUF, found {found}")
    return {"rope.dimension_count": ("u32", cfg.head_dim)}


def _lengths(weight: Tensor) -> Tensor:
    """Of the rows of a matrix, a part at a time, for it may be large and in blocks."""
    rows, parts = weight.shape[0], []
    for first in range(0, rows, 4096):
        part = weight.narrow(0, first, min(4096, rows - first)).to(f32)
        parts.append(part.square().sum(-1).sqrt().clamp(min=1e-12))
    return cat(parts) if len(parts) > 1 else parts[0]


def _head_rules(cfg: Config) -> tuple[WeightConverter, ...]:
    """Unit rows are written as such, as llama.cpp does not scale them."""
    if not cfg.unit_head:
        return ()
    unit = TensorMap(lambda x: x, lambda x: x / _lengths(x).unsqueeze(-1), values=True)
    return (mapped("output.weight", "lm_head.weight", unit),)


GGUF = replace(
    GGUF_LLAMA,
    architecture="baichuan",
    rules=_head_rules,
    read=_of_file,
    write=_to_file,
    biases=(),
    required=("output.weight",),
)


class BaichuanModel(DecoderModel):
    """The decoder without a head."""

    config_class = Config
    ignorable = (r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq", r".*future_mask", r"alibi_mask")

    def sized_rules(self) -> tuple[WeightConverter, ...]:
        """All queries stand above all keys and all values in one matrix of checkpoints."""
        parts = (f"layers.{{}}.self_attn.{role}_proj.weight" for role in "qkv")
        return (split("layers.{}.self_attn.W_pack.weight", *parts),)

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Without rotation, scores fall with distance."""
        slopes = [] if cfg.rotates(index) else alibi_slopes(cfg.num_attention_heads)
        return DecoderLayer(
            self_attn=decoder_attention(cfg, index, rope, slopes=slopes),
            mlp=gated_mlp(cfg),
            norm=partial(RMSNorm, cfg.hidden_size, cfg.rms_norm_eps),
        )


class Baichuan(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = BaichuanModel
    config: Config

    def __init__(self, cfg: Config, layer: Layers | None = None) -> None:
        super().__init__(cfg, layer)
        self._lengths = Kept()

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)` in float32 of hidden states `(…, size)`."""
        logits = super().head(hidden)
        if not self.config.unit_head:
            return logits
        weight = self.lm_head.weight
        return logits / self._lengths.get(lambda: _lengths(weight), weight)
