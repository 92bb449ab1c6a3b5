"""ConvNeXt: stages of depthwise convolutions, pretrained on labels (arXiv 2201.03545)."""

from __future__ import annotations

from tallow.models.blocks.convnext import (
    ConvNext,
    ConvNextClassification,
    ConvNextFields,
    ConvNextMaps,
)


class ConvNextConfig(ConvNextFields):
    """Of Hugging Face's `ConvNextConfig`."""

    layer_scale_init_value: float = 1e-6


class ConvNextModel(ConvNext):
    """The model without a head."""

    config_class = ConvNextConfig
    base_model_prefix = "convnext"


class ConvNextForImageClassification(ConvNextClassification):
    """Scores from the pooled features."""

    config_class, base_class, base_model_prefix = ConvNextConfig, ConvNextModel, "convnext"


class ConvNextBackbone(ConvNextMaps):
    """The stages' features, for detectors and the like."""

    config_class = ConvNextConfig
