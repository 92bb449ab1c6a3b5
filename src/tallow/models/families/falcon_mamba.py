"""Falcon Mamba: Mamba with norms without weights on time steps, B and C (arXiv 2410.05355)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallow.models.blocks.mamba import MixerLayer, ScanMixer
from tallow.models.blocks.mamba_config import ScanConfig
from tallow.models.blocks.mamba_gguf import GGUF_SCAN, read_mixers, write_sizes
from tallow.models.fields import Fields
from tallow.models.gguf_layout import Kind
from tallow.models.recurrent_model import RecurrentLM, RecurrentModel, under
from tallow.nn import Module, RMSNorm
from tallow.ops import rms_norm
from tallow.tensor import Tensor
from tallow.weights import WeightSource


class FalconMambaConfig(ScanConfig):
    """Of Hugging Face's `FalconMambaConfig`."""

    mixer_rms_eps: float = 1e-6


class UnitNorm(Module):
    """RMS norm without a weight."""

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return rms_norm(x, None, self.eps)


def _layer(cfg: FalconMambaConfig) -> MixerLayer:
    mixer = ScanMixer(
        cfg.hidden_size, cfg.inner, state_size=cfg.state_size, rank=cfg.rank,
        taps=cfg.conv_kernel, bias=cfg.use_bias, conv_bias=cfg.use_conv_bias,
        norms=[UnitNorm(cfg.mixer_rms_eps) for _ in range(3)],
    )  # fmt: skip
    return MixerLayer(RMSNorm(cfg.hidden_size, cfg.layer_norm_epsilon), mixer)


def _norms(fields: Fields, source: WeightSource) -> Mapping[str, Any]:
    """Files hold one epsilon, which llama.cpp takes for all norms."""
    epsilon = fields.number("attention.layer_norm_rms_epsilon", 1e-5)
    return {**read_mixers(fields, source), "mixer_rms_eps": epsilon}


def _sizes(cfg: FalconMambaConfig) -> dict[str, tuple[Kind, Any]]:
    """The norms of time steps, B and C are a flag in files of Mamba."""
    return {**write_sizes(cfg), "ssm.dt_b_c_rms": ("bool", True)}


GGUF = GGUF_SCAN.but(read=_norms, write=_sizes)


class FalconMambaModel(RecurrentModel):
    """The decoder without a head."""

    config_class = FalconMambaConfig
    base_model_prefix = "backbone"
    names = ("embeddings", "norm_f")
    keeps_results = True

    def __init__(self, cfg: FalconMambaConfig) -> None:
        layers = [_layer(cfg) for _ in range(cfg.num_hidden_layers)]
        super().__init__(cfg, layers, RMSNorm(cfg.hidden_size, cfg.layer_norm_epsilon))


class FalconMambaForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class = FalconMambaConfig
    base_model_prefix = "backbone"
    model = under("backbone")

    def __init__(self, cfg: FalconMambaConfig) -> None:
        super().__init__(cfg, FalconMambaModel(cfg))
