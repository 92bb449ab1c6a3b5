"""ConvNeXt V2: with global response normalisation in place of layer scale (arXiv 2301.00808)."""

from __future__ import annotations

from tallow.models.blocks.convnext import (
    ConvNext,
    ConvNextClassification,
    ConvNextFields,
    ConvNextMaps,
)


class ConvNextV2Config(ConvNextFields):
    """Of Hugging Face's `ConvNextV2Config`."""

    global_response = True


class ConvNextV2Model(ConvNext):
    """The model without a head."""

    config_class = ConvNextV2Config
    base_model_prefix = "convnextv2"


class ConvNextV2ForImageClassification(ConvNextClassification):
    """Scores from the pooled features."""

    config_class, base_class, base_model_prefix = ConvNextV2Config, ConvNextV2Model, "convnextv2"


class ConvNextV2Backbone(ConvNextMaps):
    """The stages' features, for detectors and the like."""

    config_class = ConvNextV2Config
