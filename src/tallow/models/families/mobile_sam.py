"""MobileSAM: SAM with a TinyViT for the picture (arXiv 2306.14289)."""

from __future__ import annotations

from typing import Any

from tallow.models.blocks.sam import Neck, Sam, SamParts, square
from tallow.models.blocks.sam_masks import SamMaskDecoderConfig
from tallow.models.blocks.tiny_vit import TinyVit, TinyVitConfig, authors_names
from tallow.models.configs import size
from tallow.models.parts import section
from tallow.tensor import Tensor


class MobileSamVisionConfig(TinyVitConfig):
    """TinyViT whose last stage keeps the size, and the neck (arXiv 2306.14289)."""

    image_size: int = size(1024, high=1 << 14)
    num_channels: int = size(3)
    output_channels: int = size(256)
    num_pos_feats: int = size(128)

    @property
    def side(self) -> int:
        """Of the map, which patches and all stages but the first and the last halve."""
        side = self.image_size
        for _ in self.depths:
            side = (side + 1) // 2
        return side


class MobileSamMaskDecoderConfig(SamMaskDecoderConfig):
    """As its authors compute, not as transformers does."""

    layer_norm_eps: float = 1e-5


class MobileSamConfig(SamParts):
    """Of MobileSAM, whose files come without one; the defaults are theirs."""

    vision_config: Any = section(MobileSamVisionConfig)
    mask_decoder_config: Any = section(MobileSamMaskDecoderConfig)


class TinyVisionEncoder(TinyVit):
    """TinyViT for a picture of one size, neck."""

    def __init__(self, cfg: MobileSamVisionConfig) -> None:
        super().__init__(cfg, cfg.num_channels, last_stride=1)
        self.neck = Neck(cfg.embed_dims[-1], cfg.output_channels)
        self.size = cfg.image_size

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """`(batch, channels, height, width)` → `(batch, out, rows, columns)`, and the states.

        Raises:
            ShapeError: the picture is of another size.
        """
        found = self.maps(square(x, self.channels, self.size))
        return self.neck(found[-1]), [each.permute(0, 2, 3, 1) for each in found]


class MobileSamModel(Sam):
    """SAM with a picture's side of few parameters."""

    config_class = MobileSamConfig
    vision_class = TinyVisionEncoder
    vision_rules = authors_names("image_encoder.", "vision_encoder.")
    # What TinyViT was first trained with, and a table that is computed.
    ignorable = (r"vision_encoder\.(norm_)?head\..*", r".*\.attention_bias_idxs")
