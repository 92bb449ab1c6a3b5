"""Gemma 3n, the decoder of text: four streams of hidden states, one of which layers work on.

Source: AltUp (arXiv 2301.13310), LAuReL (arXiv 2411.07501).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from statistics import NormalDist
from typing import Any, ClassVar, Self

from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.blocks import SANDWICH, Rope
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.gemma import ACT
from tallow.models.blocks.lent import LendingAttention, Lent
from tallow.models.blocks.mlp import GatedMlp
from tallow.models.causal_lm import define_causal
from tallow.models.fields import Fields
from tallow.models.gemma3n_gguf import LAYOUT, PERIOD, SPARSE_LAYERS, SPARSITY
from tallow.models.lending_decoder import LendingConfig, LendingDecoder
from tallow.models.states import KeyValue
from tallow.nn import Linear, Module, ModuleList, RMSNorm, param
from tallow.nn import functional as F
from tallow.nn.init import zeros
from tallow.ops import cat
from tallow.ops import stack as stacked
from tallow.tensor import Tensor

_SMALLEST = 1e-5  # mean square of a stream that is divided by


@dataclass(frozen=True)
class Config(LendingConfig):
    """Of Hugging Face's `Gemma3nTextConfig`.

    There are `altup_num_inputs` streams, of which layers work on `altup_active_idx`. `sparsity` is
    the share of a layer's gates that a normal distribution would set to 0.
    """

    # What training alone asks for.
    without_effect: ClassVar[frozenset[str]] = LendingConfig.without_effect | {"altup_coef_clip"}
    period: ClassVar[int] = PERIOD
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "vocab_size_per_layer_input": 262144,
        "num_kv_shared_layers": 15,
        "final_logit_softcapping": 30.0,
    }

    altup_num_inputs: int = 4
    altup_active_idx: int = 0
    altup_correct_scale: bool = True
    laurel_rank: int = 64
    sparsity: tuple[float, ...] = ()

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`intermediate_size` may be a list, one number a layer."""
        layers, widths = fields.integer("num_hidden_layers"), fields.get("intermediate_size")
        if isinstance(widths, list):
            good = all(type(each) is int and 0 < each < 1 << 20 for each in widths)
            if not good or len(widths) != layers:
                raise fields.error("intermediate_size", f"{layers} integers", widths)
            fields = fields.with_value("intermediate_size", widths[0])
        cfg = super().read(fields)
        streams = fields.integer("altup_num_inputs", 4, low=2, high=64)
        if cfg.vocab_size_per_layer_input > cfg.vocab_size:
            wanted = f"at most the {cfg.vocab_size} words"
            raise fields.error("vocab_size_per_layer_input", wanted, cfg.vocab_size_per_layer_input)
        return replace(
            cfg,
            widths=tuple(widths) if isinstance(widths, list) else cfg.widths,
            altup_num_inputs=streams,
            altup_active_idx=fields.integer("altup_active_idx", 0, low=0, high=streams - 1),
            altup_correct_scale=fields.flag("altup_correct_scale", True),
            laurel_rank=fields.integer("laurel_rank", 64, high=1 << 16),
            sparsity=_read_sparsity(fields, layers),
        )


def _read_sparsity(fields: Fields, layers: int) -> tuple[float, ...]:
    given = fields.get("activation_sparsity_pattern")
    if given is None:
        sparse = SPARSE_LAYERS if layers > SPARSE_LAYERS else 0
        return (SPARSITY,) * sparse + (0.0,) * (layers - sparse)
    good = isinstance(given, list) and len(given) == layers
    if not good or not all(type(each) in (int, float) and 0 <= each < 1 for each in given):
        raise fields.error("activation_sparsity_pattern", f"{layers} numbers in [0, 1)", given)
    return tuple(float(each) for each in given)


class SparseGates(GatedMlp):
    """A gated feed-forward network whose gates lose what is not far above their mean.

    Only what exceeds the mean by `bound` standard deviations is left (None: all).
    """

    def __init__(self, size: int, hidden: int, sparsity: float) -> None:
        bound = NormalDist().inv_cdf(sparsity) if sparsity else None
        act = ACTIVATIONS[ACT]
        super().__init__(
            size, hidden, act=act if bound is None else lambda x: act(far_above(x, bound))
        )


def far_above(x: Tensor, bound: float) -> Tensor:
    """What of `(..., n)` exceeds the mean by more than `bound` standard deviations, else 0."""
    mean = x.mean(-1, keepdim=True)
    spread = (x - mean).square().mean(-1, keepdim=True).sqrt()
    return F.relu(x - (mean + spread * bound))


class Laurel(Module):
    """A residual connection with a part of low rank (arXiv 2411.07501)."""

    def __init__(self, size: int, rank: int, eps: float) -> None:
        self.linear_left = Linear(size, rank, bias=False)
        self.linear_right = Linear(rank, size, bias=False)
        self.post_laurel_norm = RMSNorm(size, eps)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, n, size)` → the same shape."""
        return x + self.post_laurel_norm(self.linear_right(self.linear_left(x)))


class AltUp(Module):
    """Streams of hidden states that follow the one that a layer works on (arXiv 2301.13310).

    Streams are `(batch, n, streams, size)`.
    """

    def __init__(self, size: int, streams: int, active: int, eps: float) -> None:
        self.size, self.streams, self.active = size, streams, active
        self.correct_output_scale = param(size, init=zeros)
        self.correction_coefs = Linear(streams, streams, bias=False)
        self.prediction_coefs = Linear(streams, streams * streams, bias=False)
        self.modality_router = Linear(size, streams, bias=False)
        self.router_norm = RMSNorm(size, eps)
        for part in (self.correction_coefs, self.prediction_coefs, self.modality_router):
            part.quantizable = False  # they are small, and weigh whole streams

    def predict(self, x: Tensor) -> Tensor:
        """What streams are expected to be behind the layer, by the active one."""
        weights = self.prediction_coefs(self._routed(x[:, :, self.active]))
        return weights.unflatten(-1, (self.streams, self.streams)) @ x + x

    def correct(self, predicted: Tensor, found: Tensor) -> Tensor:
        """Predictions with what was `found` of the active one, `(batch, n, size)`."""
        weights = self.correction_coefs(self._routed(found)) + 1
        error = found - predicted[:, :, self.active]
        return predicted + error.unsqueeze(2) * weights.unsqueeze(-1)

    def _routed(self, x: Tensor) -> Tensor:
        return self.modality_router(self.router_norm(x) * self.size**-1.0).tanh()


class Gemma3nLayer(Module):
    """Attention beside a residual of low rank, and a feed-forward network, on one stream."""

    def __init__(self, cfg: Config, index: int, rope: Rope) -> None:
        size, eps = cfg.hidden_size, cfg.rms_norm_eps
        self.self_attn = LendingAttention(
            size, cfg.num_attention_heads, cfg.num_key_value_heads, cfg.head_dim, eps=eps,
            rope=rope, bias=cfg.qkv_bias, window=cfg.window(index), borrows=index >= cfg.lenders,
        )  # fmt: skip
        self.mlp = SparseGates(size, cfg.widths[index], cfg.sparsity[index])
        norm = partial(RMSNorm, size, eps)
        for name in filter(None, SANDWICH):
            setattr(self, name, norm())
        self.altup = AltUp(size, cfg.altup_num_inputs, cfg.altup_active_idx, eps)
        self.laurel = Laurel(size, cfg.laurel_rank, eps)
        width = cfg.hidden_size_per_layer_input
        self.per_layer_input_gate = Linear(size, width, bias=False)
        self.per_layer_projection = Linear(width, size, bias=False)
        self.post_per_layer_input_norm = norm()
        self.scales = cfg.altup_correct_scale

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor,
        more: Tensor,
        mask: Tensor | None = None,
        state: KeyValue | None = None,
        lent: Lent | None = None,
    ) -> tuple[Tensor, Lent]:
        """Streams `(batch, n, streams, size)` → the same shape, and what it attended to."""
        streams = self.altup.predict(x)
        active = streams[:, :, self.altup.active]
        inner = self.input_layernorm(active)
        attended, held = self.self_attn(
            inner, positions=positions, mask=mask, state=state, lent=lent
        )
        both = active + self.post_attention_layernorm(attended) + self.laurel(inner)
        both = both * 0.5**0.5
        fed = self.mlp(self.pre_feedforward_layernorm(both))
        streams = self.altup.correct(streams, both + self.post_feedforward_layernorm(fed))
        first = streams[:, :, self.altup.active]
        if self.scales:
            first = first * self.altup.correct_output_scale
        first = ACTIVATIONS[ACT](self.per_layer_input_gate(first)) * more
        first = self.post_per_layer_input_norm(self.per_layer_projection(first))
        return cat([streams[:, :, :1], streams[:, :, 1:] + first.unsqueeze(2)], 2), held


GGUF = LAYOUT


class Gemma3nTextModel(LendingDecoder):
    """The decoder without a head."""

    config_class = Config
    config: Config

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg)
        size, others = cfg.hidden_size, range(cfg.altup_num_inputs - 1)
        self.altup_projections = ModuleList([Linear(size, size, bias=False) for _ in others])
        self.altup_unembed_projections = ModuleList(
            [Linear(size, size, bias=False) for _ in others]
        )

    @classmethod
    def make_layer(cls, cfg: Any, index: int, rope: Rope | None) -> Module:
        """The layer at `index`."""
        assert rope is not None, "all layers rotate"
        return Gemma3nLayer(cfg, index, rope)

    def without_ids(self, made: Tensor) -> Tensor:
        """What layers are given where there are embeddings alone, of which `made` was made."""
        return made

    def spread(self, x: Tensor) -> Tensor:
        """Embeddings `(batch, n, size)` as streams, all as large as they are."""
        return self._streams(x, [each(x) for each in self.altup_projections])

    def _streams(self, x: Tensor, others: list[Tensor]) -> Tensor:
        size = x.square().mean(-1, keepdim=True).sqrt()
        squares = (each.square().mean(-1, keepdim=True).clamp(min=_SMALLEST) for each in others)
        scaled = [each * size / square.sqrt() for each, square in zip(others, squares, strict=True)]
        return stacked([x, *scaled], 2)

    def shown(self, x: Tensor) -> Tensor:
        """Streams as `hidden_states` have them, `(streams, batch, n, size)`."""
        return x.permute(2, 0, 1, 3)

    def finished(self, x: Tensor, seen: list[Tensor] | None) -> Tensor:
        """The mean of the streams, as large as the first, behind the norm."""
        if seen is not None:
            seen.append(self.shown(x))
        every = enumerate(self.altup_unembed_projections, 1)
        others = [each(x[:, :, i]) for i, each in every]
        return self.last_norm(self._streams(x[:, :, 0], others).mean(2))


define_causal(globals(), "Gemma3n", Gemma3nTextModel)
