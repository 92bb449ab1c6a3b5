"""Mamba 2: layers of a state space with a matrix for each head (arXiv 2405.21060)."""

from __future__ import annotations

import math

from tallow.models.blocks.mamba import GatedNorm, HeadMixer, MixerLayer
from tallow.models.blocks.mamba_config import StateSpaceConfig
from tallow.models.blocks.mamba_gguf import GGUF_HEADS
from tallow.models.blocks.mamba_heads import read_limits
from tallow.models.configs import custom, size
from tallow.models.fields import Fields
from tallow.models.recurrent_model import RecurrentLM, RecurrentModel, under
from tallow.nn import RMSNorm


class Mamba2Config(StateSpaceConfig):
    """Of Hugging Face's `Mamba2Config`."""

    without_effect = StateSpaceConfig.without_effect | {"norm_before_gate", "time_step_rank"}

    num_heads: int = size(128)
    head_dim: int = size(64)
    vocab_size: int = size(32768, high=2**31 - 1)
    hidden_size: int = size(4096)
    state_size: int = size(128, high=1024)
    num_hidden_layers: int = size(64, low=0, high=4096)
    n_groups: int = size(8)
    time_step_limit: tuple[float, float] = custom(
        (0.0, math.inf), lambda fields, name, _: read_limits(fields, name)
    )
    tie_word_embeddings: bool = False

    def check(self, fields: Fields) -> None:
        """Heads share the channels, groups the heads."""
        super().check(fields)
        if self.num_heads * self.head_dim != self.inner:
            wanted = f"{self.inner} channels over head_dim {self.head_dim}"
            raise fields.error("num_heads", wanted, self.num_heads)
        if self.num_heads % self.n_groups:
            wanted = f"a divisor of num_heads {self.num_heads}"
            raise fields.error("n_groups", wanted, self.n_groups)


def _layer(cfg: Mamba2Config) -> MixerLayer:
    mixer = HeadMixer(
        cfg.hidden_size, cfg.num_heads, cfg.head_dim, state_size=cfg.state_size,
        groups=cfg.n_groups, taps=cfg.conv_kernel, bias=cfg.use_bias, conv_bias=cfg.use_conv_bias,
        norm=GatedNorm(cfg.inner, cfg.inner // cfg.n_groups, cfg.layer_norm_epsilon),
        limits=cfg.time_step_limit,
    )  # fmt: skip
    return MixerLayer(RMSNorm(cfg.hidden_size, cfg.layer_norm_epsilon), mixer)


GGUF = GGUF_HEADS


class Mamba2Model(RecurrentModel):
    """The decoder without a head."""

    config_class = Mamba2Config
    base_model_prefix = "backbone"
    names = ("embeddings", "norm_f")
    keeps_results = True

    def __init__(self, cfg: Mamba2Config) -> None:
        layers = [_layer(cfg) for _ in range(cfg.num_hidden_layers)]
        super().__init__(cfg, layers, RMSNorm(cfg.hidden_size, cfg.layer_norm_epsilon))


class Mamba2ForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class = Mamba2Config
    base_model_prefix = "backbone"
    model = under("backbone")

    def __init__(self, cfg: Mamba2Config) -> None:
        super().__init__(cfg, Mamba2Model(cfg))
