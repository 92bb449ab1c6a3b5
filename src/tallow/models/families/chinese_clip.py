"""Chinese-CLIP: CLIP's pictures beside BERT's texts (arXiv 2211.01335)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tallow.models.base import Model
from tallow.models.blocks.towers import PairOutput, contrastive, paired, projected
from tallow.models.configs import Config, size
from tallow.models.outputs import BaseOutput
from tallow.models.parts import section
from tallow.models.table import FAMILIES
from tallow.nn import Linear, param
from tallow.nn.init import zeros
from tallow.tensor import Tensor


@dataclass(frozen=True, kw_only=True)
class ChineseCLIPConfig(Config):
    """Of Hugging Face's `ChineseCLIPConfig`."""

    text_config: Any = section("chinese_clip_text_model", overridden_by="text_config_dict")
    vision_config: Any = section("chinese_clip_vision_model", overridden_by="vision_config_dict")
    projection_dim: int = size(512)

    without_effect = frozenset({"logit_scale_init_value"})


class ChineseCLIPModel(Model):
    """Both sides and their scores; a text's vector is that of its first position."""

    config_class = ChineseCLIPConfig
    base_model_prefix = "chinese_clip"

    def __init__(self, cfg: ChineseCLIPConfig) -> None:
        self.config = cfg
        text, vision, width = cfg.text_config, cfg.vision_config, cfg.projection_dim
        text_class: Any = FAMILIES["chinese_clip_text_model"].model
        vision_class: Any = FAMILIES["chinese_clip_vision_model"].model
        self.text_model = text_class(text, pooled=False)
        self.vision_model = vision_class(vision)
        self.visual_projection = Linear(vision.hidden_size, width, bias=False)
        self.text_projection = Linear(text.hidden_size, width, bias=False)
        self.logit_scale = param(init=zeros)

    def get_text_features(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> BaseOutput:
        """Texts `(batch, length)`; the pooled output is projected, `(batch, projection_dim)`."""
        found = self.text_model(input_ids, attention_mask, token_type_ids, position_ids)
        return projected(found, self.text_projection, found.last_hidden_state[:, 0])

    def get_image_features(
        self, pixel_values: Tensor, interpolate_pos_encoding: bool = False
    ) -> BaseOutput:
        """Pictures; the pooled output is projected, `(batch, projection_dim)`."""
        found = self.vision_model(pixel_values, interpolate_pos_encoding)
        return projected(found, self.visual_projection)

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        return_loss: bool | None = None,
        interpolate_pos_encoding: bool = False,
    ) -> PairOutput:
        """Texts `(texts, length)` and pictures → scores of all pairs; the loss on request."""
        return paired(
            self.get_text_features(input_ids, attention_mask, token_type_ids, position_ids),
            self.get_image_features(pixel_values, interpolate_pos_encoding),
            self.logit_scale,
            None,
            contrastive if return_loss else None,
        )
