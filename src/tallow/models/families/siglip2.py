"""SigLIP 2 with flexible resolution: patches in rows, with masks and shapes (arXiv 2502.14786)."""

from __future__ import annotations

import math
from typing import Any

from tallow.dtype import f32
from tallow.errors import expect
from tallow.factories import arange
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.image_heads import ImageClassification
from tallow.models.blocks.siglip import (
    Siglip,
    SiglipText,
    SiglipTextConfig,
    SiglipVision,
    SiglipVisionConfig,
)
from tallow.models.blocks.towers import PairOutput
from tallow.models.configs import Config, size
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput, LogitsOutput
from tallow.models.parts import section
from tallow.nn import Linear, Module
from tallow.ops import cat
from tallow.tensor import Tensor


class PatchesVisionConfig(SiglipVisionConfig):
    """Of Hugging Face's `Siglip2VisionConfig`."""

    num_patches: int = size(256)

    def check(self, fields: Fields) -> None:
        """The table of positions is square."""
        if math.isqrt(self.num_patches) ** 2 != self.num_patches:
            raise fields.error("num_patches", "a square number", self.num_patches)


class Siglip2Config(Config):
    """Of Hugging Face's `Siglip2Config`."""

    text_config: Any = section("siglip2_text_model")
    vision_config: Any = section("siglip2_vision_model")


class PatchPositions(Module):
    """Patches through a linear layer, with a square table of positions in each row's shape."""

    def __init__(self, cfg: PatchesVisionConfig) -> None:
        self.patch_embedding = Linear(cfg.num_channels * cfg.patch_size**2, cfg.hidden_size)
        self.position_embedding = Embedding(cfg.num_patches, cfg.hidden_size)
        self.side = math.isqrt(cfg.num_patches)

    def forward(self, x: Tensor, shapes: Tensor) -> Tensor:
        """`(batch, patches, pixels)`, rows and columns `(batch, 2)` → `(batch, patches, size)`."""
        wanted = f"(batch, patches, {self.patch_embedding.in_features})"
        good = x.ndim == 3 and x.shape[2] == self.patch_embedding.in_features
        expect(good, "pixel_values", wanted, tuple(x.shape))
        expect(shapes.shape == (x.shape[0], 2), "spatial_shapes", "(batch, 2)", tuple(shapes.shape))
        table = self.position_embedding(arange(self.side**2))
        return self.patch_embedding(x) + self.weights(shapes, x.shape[1]) @ table

    def weights(self, shapes: Tensor, length: int) -> Tensor:
        """How much of each position each patch takes, `(batch, length, positions)`.

        It is linear interpolation in both axes, over a wider support where it shrinks; patches
        beyond a picture take the first one's.
        """
        sizes = shapes.to(f32).unsqueeze(1)
        place = arange(length).to(f32).reshape(1, length, 1)
        across = sizes[..., 1:]
        row = (place / across).floor()
        index = cat([row, place - row * across], -1)
        index = index * place.lt(sizes[..., :1] * across).to(f32)
        scale = self.side / sizes
        center = (index + 0.5) * scale - 0.5
        distance = (arange(self.side).to(f32) - center.unsqueeze(-1)).abs()
        weights = (1 - distance / scale.clamp(min=1).unsqueeze(-1)).clamp(min=0)
        weights = weights / weights.sum(-1, keepdim=True)
        return (weights[:, :, 0].unsqueeze(-1) * weights[:, :, 1].unsqueeze(-2)).flatten(2)


class Siglip2TextModel(SiglipText):
    """Layers over a whole text; the pooled output is of the last position."""

    config_class = SiglipTextConfig


class Siglip2VisionModel(SiglipVision):
    """Patches; the pooled output is what a learned query sees of those that are kept."""

    config_class = PatchesVisionConfig

    def make_embeddings(self, cfg: Any) -> Module:
        """Patches of pictures of any shape."""
        return PatchPositions(cfg)

    def forward(
        self,
        pixel_values: Tensor,
        pixel_attention_mask: Tensor | None,
        spatial_shapes: Tensor,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """`(batch, patches, pixels)` with mask and shapes → `(batch, patches, size)`, pooled."""
        x = self.embeddings(pixel_values, spatial_shapes)
        return self.encode(x, pixel_attention_mask, output_hidden_states=output_hidden_states)


class Siglip2Model(Siglip):
    """Both sides and their scores."""

    config_class = Siglip2Config
    text_class, vision_class = Siglip2TextModel, Siglip2VisionModel

    def get_image_features(
        self, pixel_values: Tensor, pixel_attention_mask: Tensor | None, spatial_shapes: Tensor
    ) -> BaseOutput:
        """Pictures; the pooled output is their vector."""
        return self.vision_model(pixel_values, pixel_attention_mask, spatial_shapes)

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        pixel_attention_mask: Tensor | None,
        spatial_shapes: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        return_loss: bool | None = None,
    ) -> PairOutput:
        """Texts `(texts, length)` and pictures → scores of all pairs; the loss on request."""
        return self.compare(
            self.get_text_features(input_ids, attention_mask, position_ids),
            self.get_image_features(pixel_values, pixel_attention_mask, spatial_shapes),
            return_loss,
        )


class Siglip2ForImageClassification(ImageClassification):
    """Scores from the mean of the kept patches."""

    config_class, base_class, base_model_prefix = Siglip2Config, Siglip2VisionModel, "vision_model"

    def __init__(self, cfg: Siglip2Config) -> None:
        self.config = cfg
        self.vision_model = Siglip2VisionModel(cfg.vision_config)
        self.classifier = Linear(cfg.vision_config.hidden_size, cfg.num_labels)

    def forward(  # type: ignore[override]  # its inputs are others'
        self,
        pixel_values: Tensor,
        pixel_attention_mask: Tensor | None,
        spatial_shapes: Tensor,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """`(batch, patches, pixels)` with mask and shapes → scores `(batch, labels)`."""
        found = self.vision_model(
            pixel_values,
            pixel_attention_mask,
            spatial_shapes,
            output_hidden_states=output_hidden_states,
        )
        x = found.last_hidden_state
        if pixel_attention_mask is None:
            return self.finish(found, labels, x.mean(1))
        kept = pixel_attention_mask.to(f32).unsqueeze(-1)
        return self.finish(found, labels, (x * kept).sum(1) / kept.sum(1))
