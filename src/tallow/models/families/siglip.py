"""SigLIP: pictures and texts whose pairs are told one by one (arXiv 2303.15343)."""

from __future__ import annotations

from typing import Any

from tallow.models.blocks.image_heads import ResizedClassification
from tallow.models.blocks.siglip import (
    Siglip,
    SiglipText,
    SiglipTextConfig,
    SiglipVision,
    SiglipVisionConfig,
)
from tallow.models.blocks.towers import DualEncoder, VisionEmbeddings, VisionTower
from tallow.models.configs import Config, size
from tallow.models.outputs import BaseOutput
from tallow.models.parts import section
from tallow.nn import Linear
from tallow.tensor import Tensor


class FixedVisionConfig(SiglipVisionConfig):
    """Of Hugging Face's `SiglipVisionConfig`."""

    image_size: int = size(224)


class SiglipConfig(Config):
    """Of Hugging Face's `SiglipConfig`."""

    text_config: Any = section("siglip_text_model")
    vision_config: Any = section("siglip_vision_model")


class SiglipTextModel(SiglipText):
    """Layers over a whole text; the pooled output is of the last position."""

    config_class = SiglipTextConfig


class SiglipVisionModel(SiglipVision, VisionTower):
    """Patches; the pooled output is what a learned query sees."""

    config_class = FixedVisionConfig

    def make_embeddings(self, cfg: Any) -> VisionEmbeddings:
        """Patches of pictures of one size."""
        return VisionEmbeddings(
            cfg.num_channels, cfg.hidden_size, cfg.image_size, cfg.patch_size, classed=False
        )


class SiglipModel(Siglip, DualEncoder):
    """Both sides and their scores."""

    config_class = SiglipConfig
    text_class, vision_class = SiglipTextModel, SiglipVisionModel


class SiglipForImageClassification(ResizedClassification):
    """Scores from the mean of the patches."""

    config_class, base_class, base_model_prefix = SiglipConfig, SiglipVisionModel, "vision_model"

    def __init__(self, cfg: SiglipConfig) -> None:
        self.config = cfg
        self.vision_model = SiglipVisionModel(cfg.vision_config)
        self.classifier = Linear(cfg.vision_config.hidden_size, cfg.num_labels)

    def pool(self, found: BaseOutput) -> Tensor:
        """`(batch, size)`."""
        return found.last_hidden_state.mean(1)
