"""GPT-Neo: GPT-2 without a scale of scores, every second layer with a window (EleutherAI, 2021)."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import replace
from tallow.models.blocks import DecoderLayer, DecoderNames, LayerNames, Mlp, Norms, Rope
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.causal_lm import CausalLM
from tallow.models.config import DecoderConfig
from tallow.models.decoder_model import decoder_attention
from tallow.models.fields import Fields
from tallow.models.gpt_model import LearnedPositionsModel
from tallow.nn import LayerNorm, Module
from tallow.tensor import Tensor

_NAMES = {
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "hidden_act": "activation_function",
    "rms_norm_eps": "layer_norm_epsilon",
}


class Config(DecoderConfig):
    """Of Hugging Face's `GPTNeoConfig`."""

    act: ClassVar[str] = "gelu_new"
    without_effect: ClassVar[frozenset[str]] = frozenset(
        {*DecoderConfig.without_effect, "attention_layers", "resid_dropout", "embed_dropout",
         "attention_dropout", "summary_type", "summary_use_proj", "summary_activation",
         "summary_proj_to_labels", "summary_first_dropout"}
    )  # fmt: skip

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`attention_types` are pairs of a list of kinds and how often it is repeated."""
        fields = fields.with_defaults(
            tie_word_embeddings=True, hidden_size=2048, num_layers=24, num_heads=16,
            layer_norm_epsilon=1e-5,
        )  # fmt: skip
        fields = fields.called(_NAMES)
        width = fields.integer("hidden_size")
        cfg = super().read(fields.with_default("intermediate_size", 4 * width))
        kinds = _kinds(fields, cfg.num_hidden_layers)
        window = fields.integer("window_size", 256)
        return replace(
            cfg, output_bias=True, mlp_bias=True, query_scale=1.0,
            sliding_windows=tuple(window if kind == "local" else 0 for kind in kinds),
            rope_layers=(False,) * cfg.num_hidden_layers,
        )  # fmt: skip


def _kinds(fields: Fields, layers: int) -> list[str]:
    given = fields.get("attention_types")
    if given is None:
        given = [[["global", "local"], layers // 2]]
    found: list[str] = []
    try:
        for kinds, times in given:
            good = set(kinds) <= {"global", "local"} and type(times) is int and times <= layers
            found += list(kinds) * times if good else ["?"]
    except (TypeError, ValueError):
        found = []
    if len(found) != layers or "?" in found:
        wanted = f"pairs of a list of global and local and a number, for {layers} layers in all"
        raise fields.error("attention_types", wanted, given)
    return found


class InnerAttention(Module):
    """The attention, which stands one level deeper in checkpoints."""

    def __init__(self, attention: Module) -> None:
        self.attention = attention

    def forward(self, x: Tensor, **given: Any) -> Tensor:
        """As of `Attention`."""
        found: Tensor = self.attention(x, **given)
        return found


class GPTNeoModel(LearnedPositionsModel):
    """The decoder without a head."""

    config_class = Config
    part_names = DecoderNames("wte", "h", "ln_f")
    ignorable = (r"h\.\d+\.attn\.attention\.(masked_)?bias",)

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention whose output alone has a bias."""
        act, names = ACTIVATIONS[cfg.hidden_act], ("c_fc", "c_proj")
        return DecoderLayer(
            self_attn=InnerAttention(decoder_attention(cfg, index, None, out_name="out_proj")),
            mlp=Mlp(cfg.hidden_size, cfg.intermediate_size, act, names=names),
            norm=partial(LayerNorm, cfg.hidden_size, cfg.rms_norm_eps),
            norms=Norms("ln_1", None, "ln_2", None),
            names=LayerNames("attn"),
        )


class GPTNeoForCausalLM(CausalLM):
    """A decoder with the scores of the next token."""

    config_class = Config
    model_class = GPTNeoModel
    base_model_prefix = "transformer"
