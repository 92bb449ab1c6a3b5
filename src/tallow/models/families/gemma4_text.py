"""Gemma 4, the decoder of text: heads of two sizes, words for each layer, and experts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

from tallow.dtype import f32
from tallow.factories import ones as ones_of
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import SANDWICH, Rope
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.gemma import ACT
from tallow.models.blocks.lent import LendingAttention, Lent
from tallow.models.blocks.mlp import GatedMlp
from tallow.models.blocks.moe import Choice, Experts, by_softmax, joined_experts
from tallow.models.causal_lm import define_causal
from tallow.models.config import every, read_kinds
from tallow.models.fields import Fields
from tallow.models.gemma4_gguf import LAYOUT, PERIOD
from tallow.models.lending_decoder import LendingConfig, LendingDecoder
from tallow.models.moe_config import MAX_EXPERTS
from tallow.models.states import KeyValue
from tallow.nn import Linear, Module, RMSNorm, param
from tallow.nn.init import ones
from tallow.nn.parameter import Buffer
from tallow.ops import linear
from tallow.tensor import Tensor

_SHARE = 0.25  # of the frequencies that turn heads of layers without a window


@dataclass(frozen=True)
class Config(LendingConfig):
    """Of Hugging Face's `Gemma4TextConfig`.

    Layers without a window have heads of `global_head_dim`, `global_kv_heads` of keys and values,
    and no matrix for values if `keys_are_values`. `num_experts` is 0 where there are none.
    """

    period: ClassVar[int] = PERIOD
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 4,
        "max_position_embeddings": 131072,
        "rope_parameters": {
            "full_attention": {"rope_type": "proportional", "partial_rotary_factor": _SHARE}
        },
    }

    global_head_dim: int = 512
    global_kv_heads: int = 0
    keys_are_values: bool = False
    num_experts: int = 0
    num_experts_per_tok: int = 0
    moe_intermediate_size: int = 0

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The last layer has no window; layers that borrow may have twice the width."""
        both_ways = fields.get("use_bidirectional_attention")
        if both_ways not in (None, "vision"):  # the latter is of pictures alone
            wanted = "null or vision (others are not supported)"
            raise fields.error("use_bidirectional_attention", wanted, both_ways)
        fields = fields.with_value("use_bidirectional_attention", None)
        if fields.has("hidden_size_per_layer_input"):
            given = fields.get("hidden_size_per_layer_input")
            fields = fields.with_value("hidden_size_per_layer_input", given or 0)
        layers = fields.integer("num_hidden_layers", high=4096)
        kinds = read_kinds(fields, every(cls.period, layers))
        cfg = super().read(fields.with_value("layer_types", [*kinds[:-1], "full_attention"]))
        if cfg.hidden_size_per_layer_input and cfg.vocab_size_per_layer_input:
            found = cfg.vocab_size_per_layer_input
            raise fields.error("vocab_size_per_layer_input", f"the {cfg.vocab_size} words", found)
        wide = 1 + fields.flag("use_double_wide_mlp")
        lenders, rest = cfg.lenders, cfg.num_kv_shared_layers
        width = cfg.intermediate_size
        cfg = replace(
            cfg,
            vocab_size_per_layer_input=0,
            widths=(width,) * lenders + (width * wide,) * rest,
            keys_are_values=fields.flag("attention_k_eq_v"),
        )
        size, kv_heads = _read_whole(fields, cfg)
        if size % 2 or cfg.num_attention_heads % kv_heads:
            wanted = f"an even size, and a divisor of the {cfg.num_attention_heads} heads"
            raise fields.error("global_head_dim", wanted, (size, kv_heads))
        return replace(cfg, global_head_dim=size, global_kv_heads=kv_heads, **_read_experts(fields))

    @property
    def every_key_heads(self) -> tuple[int, ...]:
        """Heads of keys and values of each layer."""
        return tuple(self.key_heads(i) for i in range(self.num_hidden_layers))

    def head_size(self, layer: int) -> int:
        """The size of a layer's heads."""
        return self.head_dim if self.window(layer) else self.global_head_dim

    def key_heads(self, layer: int) -> int:
        """The number of a layer's heads of keys and values."""
        return self.num_key_value_heads if self.window(layer) else self.global_kv_heads

    def turned(self, local: bool = False) -> int:
        """How many elements of a head are rotated; `local` ones are of layers with a window."""
        return self.head_dim if local else self.global_head_dim


def _read_whole(fields: Fields, cfg: Config) -> tuple[int, int]:
    """Size and number of heads of keys of layers without a window, from any of two places."""
    each = fields.get("per_layer_config")
    if each is None:
        size = fields.integer("global_head_dim", 512, high=65536)
        found = fields.get("num_global_key_value_heads")
        if found is None or not cfg.keys_are_values:
            return size, cfg.num_key_value_heads
        return size, fields.integer("num_global_key_value_heads", high=65536)
    usual = {"head_dim": cfg.head_dim, "num_key_value_heads": cfg.num_key_value_heads}
    given = each.items() if isinstance(each, Mapping) else ()
    rows = {str(key): value for key, value in given if isinstance(value, Mapping)}
    layers = [str(i) for i in range(cfg.num_hidden_layers)]
    whole = [rows.get(layers[i], {}) for i in range(len(layers)) if not cfg.window(i)]
    first = {**usual, **whole[0]}
    same = all({**usual, **row} == first for row in whole)
    local = all(not rows.get(layers[i]) for i in range(len(layers)) if cfg.window(i))
    good = same and local and first.keys() == usual.keys() and len(rows) == len(each)
    if not good or not all(type(n) is int and 0 < n <= 65536 for n in first.values()):
        wanted = "the same head_dim and num_key_value_heads for all layers without a window alone"
        raise fields.error("per_layer_config", wanted, each)
    return first["head_dim"], first["num_key_value_heads"]


def _read_experts(fields: Fields) -> dict[str, Any]:
    names = ("num_experts", "top_k_experts", "moe_intermediate_size")
    given = [fields.get(name) for name in names]  # asked for, that they count as known
    if not fields.flag("enable_moe_block"):
        return {}
    assert len(given) == len(names)
    experts = fields.integer("num_experts", high=MAX_EXPERTS)
    return {
        "num_experts": experts,
        "num_experts_per_tok": fields.integer("top_k_experts", high=experts),
        "moe_intermediate_size": fields.integer("moe_intermediate_size"),
    }


class Gemma4Router(Module):
    """The experts that a token takes, and what they are worth, by its normalised state."""

    def __init__(self, size: int, experts: int, chosen: int, eps: float) -> None:
        self.norm = RMSNorm(size, eps, elementwise_affine=False)
        self.proj = Linear(size, experts, bias=False)
        self.proj.quantizable = False  # a rounded score may choose another expert
        self.scale = param(size, init=ones)
        self.per_expert_scale = param(experts, init=ones, dtype=f32)
        self._choose, self._root = by_softmax(chosen, renormalise=True), size**-0.5

    def forward(self, x: Tensor) -> Choice:
        """`(tokens, size)` → experts and their worth, both `(tokens, chosen)`."""
        scaled = self.norm(x) * self.scale * self._root
        ids, worth = self._choose(linear(scaled, self.proj.weight, exact=True))
        return ids, worth * self.per_expert_scale[ids]


class Gemma4Layer(Module):
    """Attention and feed-forward between norms, experts beside the latter, and the layer's words.

    The result is multiplied by `layer_scalar`.
    """

    def __init__(self, cfg: Config, index: int, rope: Rope) -> None:
        size, eps, whole = cfg.hidden_size, cfg.rms_norm_eps, not cfg.window(index)
        norm, act = partial(RMSNorm, size, eps), ACTIVATIONS[ACT]
        self.self_attn = LendingAttention(
            size, cfg.num_attention_heads, cfg.key_heads(index), cfg.head_size(index), eps=eps,
            rope=rope, bias=cfg.qkv_bias, window=cfg.window(index), borrows=index >= cfg.lenders,
            own_values=not (whole and cfg.keys_are_values),
        )  # fmt: skip
        self.mlp = GatedMlp(size, cfg.widths[index], act=act)
        for name in filter(None, SANDWICH):
            setattr(self, name, norm())
        self.layer_scalar = Buffer(ones_of(1))
        self.words, self.sparse = cfg.hidden_size_per_layer_input, bool(cfg.num_experts)
        if self.words:
            self.per_layer_input_gate = Linear(size, self.words, bias=False)
            self.per_layer_projection = Linear(self.words, size, bias=False)
            self.post_per_layer_input_norm = norm()
        if self.sparse:
            self.router = Gemma4Router(size, cfg.num_experts, cfg.num_experts_per_tok, eps)
            self.experts = Experts(cfg.num_experts, size, cfg.moe_intermediate_size, act=act)
            self.post_feedforward_layernorm_1 = norm()
            self.pre_feedforward_layernorm_2 = norm()
            self.post_feedforward_layernorm_2 = norm()

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor,
        mask: Tensor | None = None,
        state: KeyValue | None = None,
        lent: Lent | None = None,
        more: Tensor | None = None,
    ) -> tuple[Tensor, Lent]:
        """`(batch, n, size)` → the same shape, and what it attended to."""
        attended, held = self.self_attn(
            self.input_layernorm(x), positions=positions, mask=mask, state=state, lent=lent
        )
        x = x + self.post_attention_layernorm(attended)
        x = x + self.post_feedforward_layernorm(self._fed(x))
        if more is not None:
            gated = ACTIVATIONS[ACT](self.per_layer_input_gate(x)) * more
            x = x + self.post_per_layer_input_norm(self.per_layer_projection(gated))
        return x * self.layer_scalar, held

    def _fed(self, x: Tensor) -> Tensor:
        fed: Tensor = self.mlp(self.pre_feedforward_layernorm(x))
        if not self.sparse:
            return fed
        rows = x.reshape(-1, x.shape[-1])
        found = self.experts(self.pre_feedforward_layernorm_2(rows), *self.router(rows))
        found = self.post_feedforward_layernorm_2(found).view(*x.shape)
        return self.post_feedforward_layernorm_1(fed) + found


GGUF = LAYOUT


class Gemma4TextModel(LendingDecoder):
    """The decoder without a head."""

    config_class = Config
    rules = stored = joined_experts("layers.{}.experts.")

    @classmethod
    def make_layer(cls, cfg: Any, index: int, rope: Rope | None) -> Module:
        """The layer at `index`."""
        assert rope is not None, "all layers rotate"
        return Gemma4Layer(cfg, index, rope)


define_causal(globals(), "Gemma4", Gemma4TextModel)
