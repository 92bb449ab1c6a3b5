"""ViT: a pre-norm encoder of image patches (arXiv 2010.11929)."""

from __future__ import annotations

from tallow.models.blocks.vit import VitClassification, VitConfig, VitModel


class ViTConfig(VitConfig):
    """Of Hugging Face's `ViTConfig`."""


class ViTModel(VitModel):
    """The encoder."""

    config_class = ViTConfig
    base_model_prefix = "vit"


class ViTForImageClassification(VitClassification):
    """Scores from the class token."""

    config_class, base_class, base_model_prefix = ViTConfig, ViTModel, "vit"
