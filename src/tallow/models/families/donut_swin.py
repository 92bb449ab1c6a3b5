"""Donut's encoder: Swin without a last norm (arXiv 2111.15664)."""

from __future__ import annotations

from tallow.models.blocks.swin import (
    SwinBase,
    SwinClassification,
    SwinConfig,
    SwinEncoder,
    swin_encoder,
)
from tallow.models.configs import choice
from tallow.nn import Identity


class DonutSwinConfig(SwinConfig):
    """Of Hugging Face's `DonutSwinConfig`."""

    use_absolute_embeddings: bool = choice(False)  # the reference's table has a row too many


class DonutSwinModel(SwinBase):
    """Embeddings and stages; the pooled output is the mean."""

    config_class = DonutSwinConfig
    base_model_prefix = "donut"

    def __init__(self, cfg: DonutSwinConfig) -> None:
        super().__init__(cfg)
        self.layernorm = Identity()

    def make_encoder(self, cfg: SwinConfig) -> SwinEncoder:
        """Stages with learned biases."""
        return swin_encoder(cfg)


class DonutSwinForImageClassification(SwinClassification):
    """Scores from the mean."""

    config_class, base_class, base_model_prefix = DonutSwinConfig, DonutSwinModel, "donut"
