"""RWKV 7, "Goose": heads whose matrices of state are rewritten by a delta rule (2503.14456).

Folders are those of flash-linear-attention's `RWKV7ForCausalLM`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow.dtype import f32
from tallow.models.blocks.mamba_config import ENDLESS
from tallow.models.blocks.rwkv import ChannelMix, HeadNorm, RwkvLayer, RwkvModel, StepBack
from tallow.models.blocks.rwkv_gguf import GROUP_EPS, KEYS, check_eps, has_eps, shares
from tallow.models.configs import MAX_WIDTH, Config, choice, custom, layers, size
from tallow.models.fields import Fields
from tallow.models.gguf_layout import GGUFLayout, Key, Kind
from tallow.models.recurrent_model import RecurrentLM
from tallow.models.states import Recurrent
from tallow.nn import LayerNorm, Linear, Module, param
from tallow.nn.init import ones, zeros
from tallow.ops import normalize, sigmoid, tanh
from tallow.ops.state_space import linear_attention
from tallow.tensor import Tensor
from tallow.weights import NameMap, WeightSource
from tallow.weights.arrange import TensorMap, WeightConverter, cat, mapped, rename

_DECAY = -0.6065306597126334  # -exp(-1/2): no head forgets more at a step
_OTHERS = """
attn_mode fuse_norm fuse_cross_entropy fuse_linear_cross_entropy use_l2warp hidden_ratio num_heads
max_position_embeddings
"""


def _read_width(fields: Fields, name: str, default: object) -> int:
    if fields.get(name) is not None:
        return fields.integer(name, high=MAX_WIDTH)
    width = int(fields.integer("hidden_size", high=MAX_WIDTH) * fields.number("hidden_ratio", 4.0))
    return -(-width // 32) * 32


def _rank(multiple: float, by_head: bool = True) -> Any:
    """Of a product of two matrices: of the root of the width, in steps of 32."""

    def read(fields: Fields, name: str, default: object) -> int:
        width, head = fields.integer("hidden_size", 2048), fields.integer("head_dim", 64)
        root = multiple * width**0.5 * (head / 64 if by_head else 1)
        return fields.integer(name, max(32, round(root / 32) * 32), high=MAX_WIDTH)

    return custom(0, read)


class Rwkv7Config(Config):
    """Of flash-linear-attention's `RWKV7Config`; it knows no largest position."""

    without_effect = frozenset(_OTHERS.split())

    vocab_size: int = size(32000, high=2**31 - 1)
    hidden_size: int = size(2048)
    num_hidden_layers: int = layers(24)
    head_dim: int = size(64, high=1024)
    intermediate_size: int = custom(0, _read_width)
    decay_low_rank_dim: int = _rank(2.5)
    a_low_rank_dim: int = _rank(2.5)
    v_low_rank_dim: int = _rank(1.7)
    gate_low_rank_dim: int = _rank(5, by_head=False)
    norm_eps: float = 1e-5
    norm_bias: bool = choice(True)
    norm_first: bool = choice(True)
    hidden_act: str = choice("sqrelu")
    attn: None = choice(None)  # layers of attention between the others
    tie_word_embeddings: bool = False

    @property
    def context(self) -> int:
        """How many positions may be asked for."""
        return ENDLESS

    @property
    def group_eps(self) -> float:
        """What the norm of heads adds to a variance."""
        return self.head_dim * self.norm_eps

    def check(self, fields: Fields) -> None:
        """Heads are of one size, and values as wide as the model."""
        if self.hidden_size % self.head_dim:
            raise fields.error("head_dim", f"a divisor of {self.hidden_size}", self.head_dim)
        widths = fields.get("value_dim")
        widths = widths if isinstance(widths, list) else [widths]
        if any(width not in (None, self.hidden_size) for width in widths):
            raise fields.error("value_dim", f"{self.hidden_size}, as hidden_size", widths)


class LowRank(Module):
    """A matrix as a product of two, with a function between them."""

    def __init__(
        self, size: int, rank: int, bias: bool, act: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        self.lora = Module()
        setattr(self.lora, "0", Linear(size, rank, bias=False))
        setattr(self.lora, "2", Linear(rank, size, bias=bias))
        self._act = act

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        inner = getattr(self.lora, "0")(x)
        out: Tensor = getattr(self.lora, "2")(inner if self._act is None else self._act(inner))
        return out


class TimeMix(Module):
    """Receptances read a matrix of state that keys, values and rates of learning change.

    `mix` `(6, 1, size)` is how much of the step back goes into r, w, k, v, a and g.
    """

    def __init__(self, cfg: Rwkv7Config, index: int) -> None:
        width, self.head = cfg.hidden_size, cfg.head_dim
        self.mix = param(6, 1, width, init=zeros, dtype=f32, kinds="f")
        self.k_k = param(width, init=ones, dtype=f32)
        self.k_a = param(width, init=ones, dtype=f32)
        self.r_k = param(width // self.head, self.head, init=zeros, dtype=f32, kinds="f")
        for name in ("r_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, Linear(width, width, bias=False))
        self.w_lora = LowRank(width, cfg.decay_low_rank_dim, True, tanh)
        self.a_lora = LowRank(width, cfg.a_low_rank_dim, True)
        self.g_lora = LowRank(width, cfg.gate_low_rank_dim, False, sigmoid)
        self.v_lora = LowRank(width, cfg.v_low_rank_dim, True) if index else None
        self.g_norm = HeadNorm(width, cfg.group_eps)
        self.back = StepBack(width, "shift")

    @property
    def carried(self) -> dict[str, tuple[int, ...]]:
        """What a state keeps of each row: a matrix for each head."""
        return {"scan": (*self.r_k.shape, self.head)}

    def forward(
        self, x: Tensor, state: Recurrent | None, first: list[Tensor], mask: Tensor | None
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; `first` holds the values of the first layer."""
        mixed = x.unsqueeze(0) + self.back(x, state).unsqueeze(0) * self.mix.unsqueeze(1)
        xr, xw, xk, xv, xa, xg = (mixed[i] for i in range(6))
        r, k, v = self.r_proj(xr), self.k_proj(xk), self.v_proj(xv)
        if self.v_lora is None:
            first.append(v)
        else:
            v = v + (first[0] - v) * self.v_lora(xv).sigmoid()
        rate = self.a_lora(xa).sigmoid()
        decay = (self.w_lora(xw).sigmoid() * _DECAY).exp()
        removed = normalize(self._heads(k * self.k_k), dim=-1)
        k = k * (1.0 + (rate - 1.0) * self.k_a)
        r, k, v, rate, decay = (self._heads(part) for part in (r, k, v, rate, decay))
        held, counts = (None, None) if state is None else (state.held("scan"), state.counts)
        y = linear_attention(r, k, v, decay, -removed, removed * rate, state=held, counts=counts)
        own = (r * k * self.r_k).sum(-1, keepdim=True) * v
        return self.o_proj((self.g_norm(y) + own.flatten(2)) * self.g_lora(xg))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (x.shape[-1] // self.head, self.head))


def _layer(cfg: Rwkv7Config, index: int) -> RwkvLayer:
    width, hidden = cfg.hidden_size, cfg.intermediate_size
    norms = [LayerNorm(width, cfg.norm_eps) for _ in range(2 + (index == 0))]
    parts: dict[str, Module | None] = {
        "pre_norm": norms[2] if index == 0 else None,
        "attn_norm": norms[0],
        "attn": TimeMix(cfg, index),
        "ffn_norm": norms[1],
        "ffn": ChannelMix(width, hidden, ("x_k",), shape=(width,)),
    }
    return RwkvLayer(width, parts)


_LAYER = "model.layers.{}."
_ATTENTION = _LAYER + "attn."
_LOW_RANKS = {"w": "w_lora", "a": "a_lora", "v": "v_lora", "g": "g_lora"}
_RANKS = {
    "decay": "decay_low_rank_dim", "iclr": "a_low_rank_dim",
    "value_residual_mix": "v_low_rank_dim", "gate": "gate_low_rank_dim",
}  # fmt: skip


def _rules(cfg: Rwkv7Config) -> tuple[WeightConverter, ...]:
    heads = cfg.hidden_size // cfg.head_dim
    flat = TensorMap(
        lambda x: x.reshape(heads, cfg.head_dim),
        lambda x: x.flatten(),
        lambda shape: (heads, cfg.head_dim),
        lambda shape: (cfg.hidden_size,),
    )
    return (
        mapped("blk.{}.time_mix_lerp_fused.weight", _ATTENTION + "mix", shares(6)),
        mapped("blk.{}.time_mix_r_k.weight", _ATTENTION + "r_k", flat),
        rename("blk.{}.time_mix_k_k.weight", _ATTENTION + "k_k"),
        rename("blk.{}.time_mix_k_a.weight", _ATTENTION + "k_a"),
        rename("blk.{}.channel_mix_lerp_k.weight", _LAYER + "ffn.x_k"),
        *(
            rename(f"blk.{{}}.time_mix_{each}0.weight", f"{_ATTENTION}{own}.lora.2.bias")
            for each, own in _LOW_RANKS.items()
            if each != "g"
        ),
    )


def _of_file(fields: Fields, source: WeightSource) -> dict[str, Any]:
    head, eps = fields.integer("wkv.head_size"), fields.number("attention.layer_norm_epsilon")
    if not has_eps(head * eps):
        wanted = f"{GROUP_EPS / head:g} for heads of {head}"
        raise fields.error("attention.layer_norm_epsilon", wanted, eps)
    return {}


def _to_file(cfg: Rwkv7Config) -> dict[str, tuple[Kind, Any]]:
    check_eps(cfg.group_eps, f"norm_eps {GROUP_EPS / cfg.head_dim:g}")
    return {"attention.head_count": ("u32", 0)}


GGUF = GGUFLayout(
    names=NameMap(
        {
            "token_embd": "model.embeddings",
            "token_embd_norm": "model.layers.0.pre_norm",
            "output_norm": "model.norm",
            "output": "lm_head",
            "blk.{}.attn_norm": _LAYER + "attn_norm",
            "blk.{}.attn_norm_2": _LAYER + "ffn_norm",
            "blk.{}.time_mix_receptance": _ATTENTION + "r_proj",
            "blk.{}.time_mix_key": _ATTENTION + "k_proj",
            "blk.{}.time_mix_value": _ATTENTION + "v_proj",
            "blk.{}.time_mix_output": _ATTENTION + "o_proj",
            "blk.{}.time_mix_ln": _ATTENTION + "g_norm",
            "blk.{}.channel_mix_key": _LAYER + "ffn.key",
            "blk.{}.channel_mix_value": _LAYER + "ffn.value",
            **{
                f"blk.{{}}.time_mix_{each}{i + 1}": f"{_ATTENTION}{own}.lora.{2 * i}"
                for each, own in _LOW_RANKS.items()
                for i in (0, 1)
            },
        }
    ),
    keys=(
        *KEYS,
        Key("context_length", "max_position_embeddings", attribute="context"),
        Key("attention.layer_norm_epsilon", "norm_eps", "f32"),
        Key("wkv.head_size", "head_dim"),
        *(Key(f"attention.{name}_lora_rank", field) for name, field in _RANKS.items()),
    ),
    rules=_rules,
    read=_of_file,
    write=_to_file,
    required=("output.weight",),
    copies=lambda cfg: {
        f"blk.0.time_mix_v{i}.weight": f"blk.0.time_mix_a{i}.weight" for i in range(3)
    },
)


class Rwkv7Model(RwkvModel):
    """The decoder without a head."""

    config_class = Rwkv7Config
    names = ("embeddings", "norm")
    ignorable = (r"layers\.0\.attn\.v_lora\..*",)  # files have one, which nothing uses
    rules = stored = (
        cat(
            *(f"layers.{{}}.attn.x_{part}" for part in "rwkvag"),
            to="layers.{}.attn.mix",
        ),
    )

    def __init__(self, cfg: Rwkv7Config) -> None:
        every = [_layer(cfg, i) for i in range(cfg.num_hidden_layers)]
        super().__init__(cfg, every, LayerNorm(cfg.hidden_size, cfg.norm_eps))


class Rwkv7ForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class = Rwkv7Config

    def __init__(self, cfg: Rwkv7Config) -> None:
        super().__init__(cfg, Rwkv7Model(cfg))
