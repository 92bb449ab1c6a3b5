"""CLIP: transformers of pictures and of texts, whose vectors are compared (arXiv 2103.00020)."""

from __future__ import annotations

from typing import Any

from tallow.models.base import Model
from tallow.models.blocks.image_heads import ImageClassification
from tallow.models.blocks.towers import (
    Clip,
    DualEncoder,
    ImageEmbedsOutput,
    TextEmbedsOutput,
    TextTower,
    Tower,
    TowerConfig,
    VisionEmbeddings,
    VisionTower,
    projected,
)
from tallow.models.configs import Config, size, token
from tallow.models.outputs import BaseOutput
from tallow.models.parts import section
from tallow.nn import LayerNorm, Linear
from tallow.tensor import Tensor

LEGACY_END = 2  # of old configs, whose texts end with the largest id instead


class CLIPTextConfig(TowerConfig):
    """Of Hugging Face's `CLIPTextConfig`."""

    vocab_size: int = size(49408, high=2**31 - 1)
    hidden_size: int = size(512)
    intermediate_size: int = size(2048)
    projection_dim: int = size(512)
    num_attention_heads: int = size(8)
    max_position_embeddings: int = size(77)
    eos_token_id: int | None = token(49407)


class CLIPVisionConfig(TowerConfig):
    """Of Hugging Face's `CLIPVisionConfig`."""

    projection_dim: int = size(512)
    num_channels: int = size(3)
    image_size: int = size(224)
    patch_size: int = size(32)


class CLIPConfig(Config):
    """Of Hugging Face's `CLIPConfig`."""

    text_config: Any = section("clip_text_model", overridden_by="text_config_dict")
    vision_config: Any = section("clip_vision_model", overridden_by="vision_config_dict")
    projection_dim: int = size(512)

    without_effect = frozenset({"logit_scale_init_value"})


class CLIPTextModel(TextTower):
    """Causal layers; the pooled output is that of the first end of text."""

    config_class = CLIPTextConfig
    causal = True

    def pool(self, x: Tensor, ids: Tensor) -> Tensor:
        """`(batch, length, size)` of the ids → `(batch, size)`."""
        end = self.config.eos_token_id
        ends = ids if end == LEGACY_END else ids.eq(-1 if end is None else end).long()
        place = ends.argmax(1).reshape(-1, 1, 1).expand(x.shape[0], 1, x.shape[2])
        return x.gather(1, place).squeeze(1)


class CLIPVisionModel(VisionTower):
    """Patches behind a class vector, which is the pooled output."""

    config_class = CLIPVisionConfig

    def __init__(self, cfg: CLIPVisionConfig) -> None:
        self.config = cfg
        width, eps = cfg.hidden_size, cfg.layer_norm_eps
        self.embeddings = VisionEmbeddings(
            cfg.num_channels, width, cfg.image_size, cfg.patch_size, classed=True
        )
        self.pre_layrnorm = LayerNorm(width, eps)  # the checkpoints' spelling
        self.encoder = Tower.of(cfg)
        self.post_layernorm = LayerNorm(width, eps)

    def encode(self, x: Tensor, mask: Tensor | None, *, output_hidden_states: bool) -> BaseOutput:
        """`(batch, 1 + patches, size)` through the layers."""
        states = self.encoder(self.pre_layrnorm(x), mask)
        # None in LLaVA's GGUF files, which take an earlier layer.
        last: LayerNorm | None = self.post_layernorm
        pooled = None if last is None else last(states[-1][:, 0])
        return BaseOutput(states[-1], pooled, tuple(states) if output_hidden_states else None)


class CLIPTextModelWithProjection(Model):
    """Texts as vectors that are compared with those of pictures."""

    config_class = CLIPTextConfig
    base_model_prefix = "text_model"

    def __init__(self, cfg: CLIPTextConfig) -> None:
        self.config = cfg
        self.text_model = CLIPTextModel(cfg)
        self.text_projection = Linear(cfg.hidden_size, cfg.projection_dim, bias=False)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> TextEmbedsOutput:
        """Token ids `(batch, length)` → vectors `(batch, projection_dim)`."""
        found = self.text_model(
            input_ids, attention_mask, position_ids, output_hidden_states=output_hidden_states
        )
        embeds = self.text_projection(found.pooler_output)
        return TextEmbedsOutput(embeds, found.last_hidden_state, found.hidden_states)


class CLIPVisionModelWithProjection(Model):
    """Pictures as vectors that are compared with those of texts."""

    config_class = CLIPVisionConfig
    base_model_prefix = "vision_model"

    def __init__(self, cfg: CLIPVisionConfig) -> None:
        self.config = cfg
        self.vision_model = CLIPVisionModel(cfg)
        self.visual_projection = Linear(cfg.hidden_size, cfg.projection_dim, bias=False)

    def forward(
        self,
        pixel_values: Tensor,
        interpolate_pos_encoding: bool | None = False,
        *,
        output_hidden_states: bool = False,
    ) -> ImageEmbedsOutput:
        """`(batch, channels, height, width)` → vectors `(batch, projection_dim)`."""
        found = self.vision_model(
            pixel_values, interpolate_pos_encoding, output_hidden_states=output_hidden_states
        )
        embeds = self.visual_projection(found.pooler_output)
        return ImageEmbedsOutput(embeds, found.last_hidden_state, found.hidden_states)


class CLIPModel(Clip, DualEncoder):
    """Both sides and their scores."""

    config_class = CLIPConfig
    base_model_prefix = "clip"

    def __init__(self, cfg: CLIPConfig) -> None:
        super().__init__(cfg, CLIPTextModel(cfg.text_config), CLIPVisionModel(cfg.vision_config))

    def text_vector(self, found: BaseOutput) -> BaseOutput:
        """Projected, `(batch, projection_dim)`."""
        return projected(found, self.text_projection)


class CLIPForImageClassification(ImageClassification):
    """Scores from the mean of the patches."""

    config_class, base_class, base_model_prefix = CLIPConfig, CLIPVisionModel, "vision_model"

    def __init__(self, cfg: CLIPConfig) -> None:
        self.config = cfg
        self.vision_model = CLIPVisionModel(cfg.vision_config)
        self.classifier = Linear(cfg.vision_config.hidden_size, cfg.num_labels)

    def pool(self, found: BaseOutput) -> Tensor:
        """`(batch, size)`."""
        return found.last_hidden_state[:, 1:].mean(1)
