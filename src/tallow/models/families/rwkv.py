"""RWKV 4: a mean of the values before, weighed by keys and age, in each channel (2305.13048)."""

from __future__ import annotations

from tallow.dtype import f32, i64
from tallow.factories import arange, zeros
from tallow.models.blocks.mamba_config import ENDLESS
from tallow.models.blocks.rwkv import ChannelMix, RwkvLayer, RwkvModel, StepBack
from tallow.models.configs import MAX_WIDTH, Config, custom, layers, size
from tallow.models.fields import Fields
from tallow.models.recurrent_model import RecurrentLM, under
from tallow.models.states import Recurrent
from tallow.nn import LayerNorm, Linear, Module, init, param
from tallow.ops import cat, maximum, where
from tallow.ops.scan import cummax
from tallow.ops.state_space import gated_recurrence
from tallow.tensor import Tensor
from tallow.weights.arrange import cat as join
from tallow.weights.arrange import rename

_LEAST = -1e30  # a logarithm of no weight at all


def _read_width(fields: Fields, name: str, default: object) -> int:
    width = fields.integer("hidden_size", 4096, high=MAX_WIDTH)
    return fields.integer(name, 4 * width, high=MAX_WIDTH)


class RwkvConfig(Config):
    """Of Hugging Face's `RwkvConfig`; any number of positions is possible.

    `rescale_every` is for weights in f16: transformers divides some while it runs.
    """

    without_effect = frozenset({"rescale_every", "context_length"})

    vocab_size: int = size(50277, high=2**31 - 1)
    hidden_size: int = size(4096)
    num_hidden_layers: int = layers(32)
    intermediate_size: int = custom(0, _read_width)
    layer_norm_epsilon: float = 1e-5
    tie_word_embeddings: bool = False

    @property
    def context(self) -> int:
        """How many positions may be asked for."""
        return ENDLESS

    def check(self, fields: Fields) -> None:
        """Attention is as wide as the model."""
        found = fields.get("attention_hidden_size")
        if found not in (None, self.hidden_size):
            wanted = f"{self.hidden_size}, as hidden_size"
            raise fields.error("attention_hidden_size", wanted, found)


class AgingMean(Module):
    """The mixer of times. `mix` `(3, 1, size)` is how much of the present goes into k, v and r.

    A state keeps the sum of weighed values, that of weights, and the logarithm that both are
    divided by, so that no weight is too large.
    """

    def __init__(self, width: int) -> None:
        self.mix = param(3, 1, width, init=init.zeros, dtype=f32, kinds="f")
        self.time_decay = param(width, init=init.zeros, dtype=f32)
        self.time_first = param(width, init=init.zeros, dtype=f32)
        for name in ("key", "value", "receptance", "output"):
            setattr(self, name, Linear(width, width, bias=False))
        self.back = StepBack(width, "shift")
        self.width = width

    @property
    def carried(self) -> dict[str, tuple[int, ...]]:
        """What a state keeps of each row."""
        return dict.fromkeys(("values", "weights", "top"), (self.width,))

    def forward(
        self, x: Tensor, state: Recurrent | None, first: list[Tensor], mask: Tensor | None
    ) -> Tensor:
        """`(batch, n, size)` → the same shape."""
        mixed = x.unsqueeze(0) + self.back(x, state).unsqueeze(0) * (1.0 - self.mix).unsqueeze(1)
        k, v, r = self.key(mixed[0]), self.value(mixed[1]), self.receptance(mixed[2]).sigmoid()
        if mask is not None:
            k = where(mask.ne(0).unsqueeze(-1), k, _LEAST)
        fade = -self.time_decay.exp()
        held = [None if state is None else state.held(name) for name in self.carried]
        old = [zeros(x.shape[0], self.width) if each is None else each.clone() for each in held]
        tops = self._tops(k.detach(), where(old[1] > 0, old[2], _LEAST), fade.detach())
        before, after = tops[:, :-1], tops[:, 1:]
        decay, weight = (before + fade - after).exp(), (k - after).exp()
        counts = None if state is None else state.counts
        sums = [
            cat([old[i].unsqueeze(1), gated_recurrence(decay, each, held[i], counts)[:, :-1]], 1)
            for i, each in enumerate((weight * v, weight))
        ]
        if held[2] is not None and counts is not None:
            last = counts.clamp(0, x.shape[1]).reshape(-1, 1, 1).expand(-1, 1, self.width)
            held[2].copy_(tops.gather(1, last).squeeze(1))
        present = k + self.time_first
        most = maximum(before, present.detach())
        past, now = (before - most).exp(), (present - most).exp()
        mean = (past * sums[0] + now * v) / (past * sums[1] + now)
        return self.output(r * mean)

    def _tops(self, k: Tensor, top: Tensor, fade: Tensor) -> Tensor:
        """The largest logarithm of a weight before each position and behind the last."""
        ages = arange(k.shape[1] + 1, dtype=i64).to(f32).unsqueeze(-1) * fade
        return cummax(cat([top.unsqueeze(1), k], 1) - ages, 1).values + ages


def _layer(cfg: RwkvConfig, index: int) -> RwkvLayer:
    width, eps = cfg.hidden_size, cfg.layer_norm_epsilon
    names = ("time_mix_key", "time_mix_receptance")
    parts: dict[str, Module | None] = {
        "pre_ln": None if index else LayerNorm(width, eps),
        "ln1": LayerNorm(width, eps),
        "attention": AgingMean(width),
        "ln2": LayerNorm(width, eps),
        "feed_forward": ChannelMix(
            width, cfg.intermediate_size, names, shape=(1, 1, width), of_new=True
        ),
    }
    return RwkvLayer(width, parts)


class PileModel(RwkvModel):
    """The decoder without a head."""

    config_class = RwkvConfig
    base_model_prefix = "rwkv"
    names = ("embeddings", "ln_out")
    rules = stored = (
        rename("blocks.{}.*", "layers.{}.*"),
        join(
            *(f"layers.{{}}.attention.time_mix_{part}" for part in ("key", "value", "receptance")),
            to="layers.{}.attention.mix",
        ),
    )

    def __init__(self, cfg: RwkvConfig) -> None:
        every = [_layer(cfg, i) for i in range(cfg.num_hidden_layers)]
        super().__init__(cfg, every, LayerNorm(cfg.hidden_size, cfg.layer_norm_epsilon))


class RwkvForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class = RwkvConfig
    base_model_prefix = "rwkv"
    model = under("rwkv")
    rules = stored = (rename("head.*", "lm_head.*"),)

    def __init__(self, cfg: RwkvConfig) -> None:
        super().__init__(cfg, PileModel(cfg))
