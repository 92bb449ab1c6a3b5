"""MobileViT: convolutions, and transformers over the pixels of patches (arXiv 2110.02178)."""

from __future__ import annotations

from typing import Any

from tallow.models.blocks.bert import Layers
from tallow.models.blocks.conv import ConvNorm
from tallow.models.blocks.mobilevit import (
    MobileStage,
    MobileViTBase,
    MobileViTClassification,
    MobileViTFields,
    MobileViTSegmentation,
    Plain,
    downsampling,
    folded,
    unfolded,
)
from tallow.models.blocks.vision import scaled
from tallow.models.blocks.vit import VitLayer
from tallow.models.configs import ratio, size, sizes
from tallow.models.fields import Fields
from tallow.nn import LayerNorm, Module
from tallow.ops import cat
from tallow.tensor import Tensor

DEPTHS = (2, 4, 3)


class MobileViTConfig(MobileViTFields):
    """Of Hugging Face's `MobileViTConfig`."""

    hidden_sizes: tuple[int, ...] = sizes(144, 192, 240, length=3)
    neck_hidden_sizes: tuple[int, ...] = sizes(16, 32, 64, 96, 128, 160, 640, length=7)
    num_attention_heads: int = size(4)
    mlp_ratio: float = ratio(2.0)
    qkv_bias: bool = True

    def check(self, fields: Fields) -> None:
        """Heads share each width."""
        super().check(fields)
        if any(width % self.num_attention_heads for width in self.hidden_sizes):
            wanted = f"a divisor of each of hidden_sizes {self.hidden_sizes}"
            raise fields.error("num_attention_heads", wanted, self.num_attention_heads)

    @property
    def stages(self) -> tuple[int, ...]:
        """Channels of the stem and each stage."""
        return self.neck_hidden_sizes[:6]

    @property
    def pooled(self) -> int:
        """Channels of the last convolution."""
        return self.neck_hidden_sizes[6]


class Stage(Module):
    """Downsampling, and a transformer between convolutions, joined with what went in."""

    def __init__(self, cfg: MobileViTConfig, number: int, dilation: int) -> None:
        channels, out = cfg.stages[number + 2 : number + 4]
        width, kernel, act = cfg.hidden_sizes[number], cfg.conv_kernel_size, cfg.hidden_act
        self.downsampling_layer = downsampling(cfg, channels, out, dilation)
        self.conv_kxk = ConvNorm(out, out, kernel, act=act)
        self.conv_1x1 = Plain(out, width)
        layers: list[Module] = [
            VitLayer(
                width,
                cfg.num_attention_heads,
                int(width * cfg.mlp_ratio),
                act,
                cfg.layer_norm_eps,
                bias=cfg.qkv_bias,
            )
            for _ in range(DEPTHS[number])
        ]
        self.transformer = Layers(layers)
        self.layernorm = LayerNorm(width, cfg.layer_norm_eps)
        self.conv_projection = ConvNorm(width, out, act=act)
        self.fusion = ConvNorm(2 * out, out, kernel, act=act)
        self.patch = cfg.patch_size

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, out, height / 2, width / 2)`."""
        x = self.downsampling_layer(x)
        found = self.attended(self.conv_1x1(self.conv_kxk(x)))
        return self.fusion(cat([x, self.conv_projection(found)], 1))

    def attended(self, x: Tensor) -> Tensor:
        """The transformer over pixels of the same place in all patches; sizes are rounded up."""
        patch, (height, width) = self.patch, x.shape[2:]
        x = unfolded(scaled(x, (height + -height % patch, width + -width % patch)), patch)
        b, size, _, _, rows, columns = x.shape
        tokens = x.permute(0, 2, 3, 4, 5, 1).reshape(b * patch * patch, rows * columns, size)
        tokens = self.layernorm(self.transformer(tokens)[-1])
        x = tokens.reshape(b, patch, patch, rows, columns, size).permute(0, 5, 1, 2, 3, 4)
        return scaled(folded(x), (height, width))


class MobileViTModel(MobileViTBase):
    """Stem, stages and a last convolution; the pooled output is the mean."""

    config_class = MobileViTConfig
    base_model_prefix = "mobilevit"

    def __init__(self, cfg: MobileViTConfig) -> None:
        super().__init__(cfg)
        self.conv_1x1_exp = ConvNorm(cfg.stages[-1], cfg.pooled, act=cfg.hidden_act)

    def make_stages(self, cfg: Any) -> list[Module]:
        """Two of convolutions, three with attention."""
        n = cfg.stages
        first = [MobileStage(cfg, n[0], n[1], 1, 1), MobileStage(cfg, n[1], n[2], 2, 3)]
        return [*first, *(Stage(cfg, i, d) for i, d in enumerate((1, *cfg.dilations)))]


class MobileViTForImageClassification(MobileViTClassification):
    """Scores from the mean."""

    config_class, base_class, base_model_prefix = MobileViTConfig, MobileViTModel, "mobilevit"


class Unexpanded(MobileViTModel):
    """Stem and stages alone, under a segmentation head."""

    def __init__(self, cfg: MobileViTConfig) -> None:
        super().__init__(cfg)
        self.conv_1x1_exp = None


class MobileViTForSemanticSegmentation(MobileViTSegmentation):
    """A score of each label at the last stage's size."""

    config_class, base_class, base_model_prefix = MobileViTConfig, Unexpanded, "mobilevit"
