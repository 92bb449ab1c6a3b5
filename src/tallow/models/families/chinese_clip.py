"""Chinese-CLIP: CLIP's pictures beside BERT's texts (arXiv 2211.01335)."""

from __future__ import annotations

from typing import Any

from tallow.models.blocks.towers import Clip, PairOutput, projected
from tallow.models.configs import Config, size
from tallow.models.outputs import BaseOutput
from tallow.models.parts import section
from tallow.models.table import FAMILIES
from tallow.tensor import Tensor


class ChineseCLIPConfig(Config):
    """Of Hugging Face's `ChineseCLIPConfig`."""

    text_config: Any = section("chinese_clip_text_model", overridden_by="text_config_dict")
    vision_config: Any = section("chinese_clip_vision_model", overridden_by="vision_config_dict")
    projection_dim: int = size(512)

    without_effect = frozenset({"logit_scale_init_value"})


class ChineseCLIPModel(Clip):
    """Both sides and their scores; a text's vector is that of its first position."""

    config_class = ChineseCLIPConfig
    base_model_prefix = "chinese_clip"

    def __init__(self, cfg: ChineseCLIPConfig) -> None:
        text_class: Any = FAMILIES["chinese_clip_text_model"].model
        vision_class: Any = FAMILIES["chinese_clip_vision_model"].model
        text = text_class(cfg.text_config, pooled=False)
        super().__init__(cfg, text, vision_class(cfg.vision_config))

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
        return self.compare(
            self.get_text_features(input_ids, attention_mask, token_type_ids, position_ids),
            self.get_image_features(pixel_values, interpolate_pos_encoding),
            return_loss,
        )
