"""DETR: a post-norm transformer from the features of a picture to boxes (arXiv 2005.12872)."""

from __future__ import annotations

from dataclasses import dataclass

from tallow.models.blocks.detector import (
    ORIGINAL,
    DetectorConfig,
    DetectorModel,
    ObjectDetection,
)
from tallow.models.blocks.detr import Residual, post_norm
from tallow.weights.arrange import rename


@dataclass(frozen=True, kw_only=True)
class DetrConfig(DetectorConfig):
    """Of Hugging Face's `DetrConfig`."""


class DetrModel(DetectorModel):
    """Backbone, encoder and decoder, each layer normalised behind its sums."""

    config_class = DetrConfig
    rules = (rename("backbone.position_embedding.*", "position_embedding.*"), *ORIGINAL)

    def residual(self) -> Residual:
        """Behind each."""
        return post_norm


class DetrForObjectDetection(ObjectDetection):
    """Labels and boxes."""

    config_class, base_class = DetrConfig, DetrModel
