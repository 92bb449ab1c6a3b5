"""Mamba: layers of a selective state space alone, without attention (arXiv 2312.00752)."""

from __future__ import annotations

from tallow.models.blocks.mamba import MixerLayer, ScanMixer
from tallow.models.blocks.mamba_config import ScanConfig
from tallow.models.blocks.mamba_gguf import GGUF_SCAN
from tallow.models.configs import size
from tallow.models.recurrent_model import RecurrentLM, RecurrentModel, under
from tallow.nn import RMSNorm


class MambaConfig(ScanConfig):
    """Of Hugging Face's `MambaConfig`."""

    num_hidden_layers: int = size(32, "n_layer")


def _layer(cfg: MambaConfig) -> MixerLayer:
    mixer = ScanMixer(
        cfg.hidden_size, cfg.inner, state_size=cfg.state_size, rank=cfg.rank,
        taps=cfg.conv_kernel, bias=cfg.use_bias, conv_bias=cfg.use_conv_bias,
    )  # fmt: skip
    return MixerLayer(RMSNorm(cfg.hidden_size, cfg.layer_norm_epsilon), mixer)


GGUF = GGUF_SCAN


class MambaModel(RecurrentModel):
    """The decoder without a head."""

    config_class = MambaConfig
    base_model_prefix = "backbone"
    names = ("embeddings", "norm_f")
    keeps_results = True

    def __init__(self, cfg: MambaConfig) -> None:
        layers = [_layer(cfg) for _ in range(cfg.num_hidden_layers)]
        super().__init__(cfg, layers, RMSNorm(cfg.hidden_size, cfg.layer_norm_epsilon))


class MambaForCausalLM(RecurrentLM):
    """A decoder with the scores of the next token."""

    config_class = MambaConfig
    base_model_prefix = "backbone"
    model = under("backbone")

    def __init__(self, cfg: MambaConfig) -> None:
        super().__init__(cfg, MambaModel(cfg))
