"""RWKV 5, "Eagle", and 6, "Finch": matrices of state that decay, by the text in 6 (2404.05892).

Folders are those of the `Rwkv5ForCausalLM` and `Rwkv6ForCausalLM` beside published checkpoints.
"""

from __future__ import annotations

from typing import Any

from tallow.dtype import f32
from tallow.models.blocks.mamba_config import ENDLESS
from tallow.models.blocks.rwkv import ChannelMix, HeadNorm, RwkvLayer, RwkvModel, StepBack
from tallow.models.blocks.rwkv_gguf import IN_F32, KEYS, ROW, TURNED, check_eps, shares
from tallow.models.configs import MAX_WIDTH, Config, custom, layers, size
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUFLayout, Key, Kind
from tallow.models.recurrent_model import RecurrentLM, under
from tallow.models.states import Recurrent
from tallow.nn import LayerNorm, Linear, Module, param
from tallow.nn.init import zeros
from tallow.ops import silu, tanh
from tallow.ops.state_space import linear_attention
from tallow.tensor import Tensor
from tallow.weights import NameMap
from tallow.weights.arrange import WeightConverter, cat, mapped, rename, transpose


def _read_width(fields: Fields, name: str, default: object) -> int:
    if fields.get(name) is not None:
        return fields.integer(name, high=MAX_WIDTH)
    return int(fields.integer("hidden_size", 2048, high=MAX_WIDTH) * 3.5) // 32 * 32


def _rank(usual: int) -> Any:
    """Of a product of two matrices: twice the usual one in models as wide as the 7B."""

    def read(fields: Fields, name: str, default: object) -> int:
        wide = fields.get("hidden_size") == 4096
        return fields.integer(name, usual * (1 + wide), high=MAX_WIDTH)

    return custom(usual, read)


class EagleConfig(Config):
    """Of the `Rwkv5Config` beside the checkpoints; it knows no largest position.

    `halve_every` is of GGUF files: after so many layers what comes out is halved, for which later
    weights were divided. The published code does so with the weights of folders while it runs.
    """

    without_effect = frozenset({"rescale_every", "context_length", "num_attention_heads"})

    vocab_size: int = size(65536, high=2**31 - 1)
    hidden_size: int = size(2048)
    num_hidden_layers: int = layers(24)
    head_size: int = size(64, high=1024)
    head_size_divisor: int = size(8, high=1024)
    intermediate_size: int = custom(0, _read_width)
    layer_norm_epsilon: float = 1e-5
    halve_every: int = size(0, low=0)
    tie_word_embeddings: bool = False

    @property
    def context(self) -> int:
        """How many positions may be asked for."""
        return ENDLESS

    @property
    def group_eps(self) -> float:
        """What the norm of heads adds to a variance."""
        return float(1e-5 * self.head_size_divisor**2)

    def check(self, fields: Fields) -> None:
        """Heads are of one size, and attention as wide as the model."""
        width = self.hidden_size
        if width % self.head_size:
            raise fields.error("head_size", f"a divisor of {width}", self.head_size)
        if fields.get("attention_hidden_size") not in (None, width):
            found = fields.get("attention_hidden_size")
            raise fields.error("attention_hidden_size", f"{width}, as hidden_size", found)


class FinchConfig(EagleConfig):
    """Of the `Rwkv6Config` beside the checkpoints, and ranks that GGUF files say."""

    time_mix_extra_dim: int = _rank(32)
    time_decay_extra_dim: int = _rank(64)


class TimeMix(Module):
    """What both versions have: five matrices, a bonus of the present, a norm of heads."""

    def __init__(self, cfg: EagleConfig) -> None:
        width, self.head = cfg.hidden_size, cfg.head_size
        self.time_faaaa = param(width // self.head, self.head, init=zeros, dtype=f32, kinds="f")
        for name in ("receptance", "key", "value", "gate", "output"):
            setattr(self, name, Linear(width, width, bias=False))
        self.ln_x = HeadNorm(width, cfg.group_eps)
        self.back = StepBack(width, "shift")

    def read(self, mixed: tuple[Tensor, ...], decay: Tensor, state: Recurrent | None) -> Tensor:
        """What r, k, v and g of inputs, `(batch, n, size)`, read off the state: that shape."""
        r, k, v, g = mixed
        r, k, v = (
            self.heads(part(x))
            for part, x in ((self.receptance, r), (self.key, k), (self.value, v))
        )
        held, counts = (None, None) if state is None else (state.held("scan"), state.counts)
        y = linear_attention(r, k, v, decay, bonus=self.time_faaaa, state=held, counts=counts)
        out: Tensor = self.output(self.ln_x(y) * silu(self.gate(g)))
        return out

    @property
    def carried(self) -> dict[str, tuple[int, ...]]:
        """What a state keeps of each row: a matrix for each head."""
        return {"scan": (*self.time_faaaa.shape, self.head)}

    def heads(self, x: Tensor) -> Tensor:
        """`(batch, n, size)` → `(batch, n, heads, head size)`."""
        return x.unflatten(-1, (x.shape[-1] // self.head, self.head))


class EagleMix(TimeMix):
    """Version 5: constant decays. `mix` is how much of the present goes into k, v, r and g."""

    def __init__(self, cfg: EagleConfig) -> None:
        super().__init__(cfg)
        heads = cfg.hidden_size // self.head
        self.mix = param(4, 1, cfg.hidden_size, init=zeros, dtype=f32, kinds="f")
        self.time_decay = param(heads, self.head, init=zeros, dtype=f32, kinds="f")

    def forward(
        self, x: Tensor, state: Recurrent | None, first: list[Tensor], mask: Tensor | None
    ) -> Tensor:
        """`(batch, n, size)` → the same shape."""
        mixed = x.unsqueeze(0) + self.back(x, state).unsqueeze(0) * (1.0 - self.mix).unsqueeze(1)
        k, v, r, g = (mixed[i] for i in range(4))
        decay = (-self.time_decay.exp()).exp()
        return self.read((r, k, v, g), decay.expand(*x.shape[:2], *decay.shape), state)


class FinchMix(TimeMix):
    """Version 6: what goes in, and decays, depend on the text.

    `mix` is how much of the step back goes into w, k, v, r and g.
    """

    def __init__(self, cfg: FinchConfig) -> None:
        super().__init__(cfg)
        width, rank, fading = cfg.hidden_size, cfg.time_mix_extra_dim, cfg.time_decay_extra_dim
        self.mix = param(5, 1, width, init=zeros, dtype=f32, kinds="f")
        for name, shape in (
            ("time_maa_x", (1, 1, width)), ("time_maa_w1", (width, 5 * rank)),
            ("time_maa_w2", (5, rank, width)), ("time_decay", (1, 1, width)),
            ("time_decay_w1", (width, fading)), ("time_decay_w2", (fading, width)),
        ):  # fmt: skip
            setattr(self, name, param(*shape, init=zeros, dtype=f32, kinds="f"))

    def forward(
        self, x: Tensor, state: Recurrent | None, first: list[Tensor], mask: Tensor | None
    ) -> Tensor:
        """`(batch, n, size)` → the same shape."""
        b, n, width = x.shape
        back = self.back(x, state)
        inner = tanh((x + back * self.time_maa_x) @ self.time_maa_w1)
        inner = inner.reshape(b * n, 5, -1).transpose(0, 1) @ self.time_maa_w2
        shares = (inner + self.mix).reshape(5, b, n, width)
        mixed = x.unsqueeze(0) + back.unsqueeze(0) * shares
        w, k, v, r, g = (mixed[i] for i in range(5))
        decay = self.time_decay + tanh(w @ self.time_decay_w1) @ self.time_decay_w2
        return self.read((r, k, v, g), self.heads((-decay.exp()).exp()), state)


def _layer(cfg: EagleConfig, index: int) -> RwkvLayer:
    width, eps = cfg.hidden_size, cfg.layer_norm_epsilon
    finch = isinstance(cfg, FinchConfig)
    names = ("time_maa_k", "time_maa_r") if finch else ("time_mix_key", "time_mix_receptance")
    parts: dict[str, Module | None] = {
        "pre_ln": None if index else LayerNorm(width, eps),
        "ln1": LayerNorm(width, eps),
        "attention": FinchMix(cfg) if isinstance(cfg, FinchConfig) else EagleMix(cfg),
        "ln2": LayerNorm(width, eps),
        "feed_forward": ChannelMix(
            width, cfg.intermediate_size, names, shape=(1, 1, width), of_new=not finch
        ),
    }
    halved = bool(cfg.halve_every) and (index + 1) % cfg.halve_every == 0
    return RwkvLayer(width, parts, halved)


_LAYER = "rwkv.layers.{}."
_ATTENTION, _FEED = _LAYER + "attention.", _LAYER + "feed_forward."


def _rules(cfg: FinchConfig) -> tuple[WeightConverter, ...]:
    rows = {
        "time_mix_lerp_x": _ATTENTION + "time_maa_x",
        "time_mix_decay": _ATTENTION + "time_decay",
        "channel_mix_lerp_k": _FEED + "time_maa_k",
        "channel_mix_lerp_r": _FEED + "time_maa_r",
    }
    matrices = {
        "time_mix_w1": "time_maa_w1",
        "time_mix_decay_w1": "time_decay_w1",
        "time_mix_decay_w2": "time_decay_w2",
    }
    return (
        mapped("blk.{}.time_mix_lerp_fused.weight", _ATTENTION + "mix", shares(5)),
        mapped("blk.{}.time_mix_w2.weight", _ATTENTION + "time_maa_w2", TURNED),
        mapped("blk.{}.time_mix_first.weight", _ATTENTION + "time_faaaa", IN_F32),
        *(mapped(f"blk.{{}}.{name}.weight", own, ROW) for name, own in rows.items()),
        *(transpose(f"blk.{{}}.{a}.weight", _ATTENTION + b) for a, b in matrices.items()),
    )


def _to_file(cfg: FinchConfig) -> dict[str, tuple[Kind, Any]]:
    check_eps(cfg.group_eps, "head_size_divisor 8")
    return {"attention.head_count": ("u32", 0)}


GGUF_RWKV6 = GGUFLayout(
    names=NameMap(
        {
            "token_embd": "rwkv.embeddings",
            "token_embd_norm": "rwkv.layers.0.pre_ln",
            "output_norm": "rwkv.ln_out",
            "output": "lm_head",
            "blk.{}.attn_norm": _LAYER + "ln1",
            "blk.{}.attn_norm_2": _LAYER + "ln2",
            "blk.{}.time_mix_ln": _ATTENTION + "ln_x",
            **{
                f"blk.{{}}.time_mix_{part}": _ATTENTION + part
                for part in ("receptance", "key", "value", "gate", "output")
            },
            **{
                f"blk.{{}}.channel_mix_{part}": _FEED + part
                for part in ("receptance", "key", "value")
            },
        }
    ),
    keys=(
        *KEYS,
        Key("context_length", "context_length", attribute="context"),
        Key("attention.layer_norm_epsilon", "layer_norm_epsilon", "f32"),
        Key("wkv.head_size", "head_size"),
        Key("time_mix_extra_dim", "time_mix_extra_dim"),
        Key("time_decay_extra_dim", "time_decay_extra_dim"),
        Key("rescale_every_n_layers", "halve_every"),
    ),
    architecture="rwkv6",
    rules=_rules,
    write=_to_file,
    required=("output.weight",),
)


class EagleModel(RwkvModel):
    """The decoder of version 5 without a head."""

    config_class = EagleConfig
    base_model_prefix = "rwkv"
    names = ("embeddings", "ln_out")
    rules = stored = (
        rename("blocks.{}.*", "layers.{}.*"),
        cat(
            *(
                f"layers.{{}}.attention.time_mix_{part}"
                for part in ("key", "value", "receptance", "gate")
            ),
            to="layers.{}.attention.mix",
        ),
    )

    def __init__(self, cfg: EagleConfig) -> None:
        every = [_layer(cfg, i) for i in range(cfg.num_hidden_layers)]
        super().__init__(cfg, every, LayerNorm(cfg.hidden_size, cfg.layer_norm_epsilon))


class FinchModel(EagleModel):
    """The decoder of version 6 without a head."""

    config_class = FinchConfig
    rules = stored = (
        rename("blocks.{}.*", "layers.{}.*"),
        cat(
            *(f"layers.{{}}.attention.time_maa_{part}" for part in "wkvrg"),
            to="layers.{}.attention.mix",
        ),
    )


class Eagle(RecurrentLM):
    """Version 5 with the scores of the next token."""

    config_class = EagleConfig
    base_model_prefix = "rwkv"
    model = under("rwkv")
    rules = stored = (rename("head.*", "lm_head.*"),)

    def __init__(self, cfg: EagleConfig) -> None:
        super().__init__(cfg, EagleModel(cfg))


class Finch(RecurrentLM):
    """Version 6 with the scores of the next token."""

    config_class = FinchConfig
    base_model_prefix = "rwkv"
    model = under("rwkv")
    rules = stored = (rename("head.*", "lm_head.*"),)

    def __init__(self, cfg: FinchConfig) -> None:
        super().__init__(cfg, FinchModel(cfg))
