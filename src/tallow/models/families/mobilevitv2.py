"""MobileViT v2: attention that is linear in the number of patches (arXiv 2206.02680)."""

from __future__ import annotations

from typing import Any

from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.conv import ConvNorm, divisible
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
from tallow.models.configs import activation, ratio, size, sizes
from tallow.nn import GroupNorm, Module, ModuleList
from tallow.nn import functional as F
from tallow.tensor import Tensor

WIDTHS = (64, 128, 256, 384, 512)


class MobileViTV2Config(MobileViTFields):
    """Of Hugging Face's `MobileViTV2Config`."""

    expand_ratio: float = ratio(2.0)
    hidden_act: str = activation("swish")
    aspp_out_channels: int = size(512)
    n_attn_blocks: tuple[int, ...] = sizes(2, 4, 3, length=3, high=256)
    base_attn_unit_dims: tuple[int, ...] = sizes(128, 192, 256, length=3)
    width_multiplier: float = ratio(1.0)
    ffn_multiplier: int = size(2)

    @property
    def stages(self) -> tuple[int, ...]:
        """Channels of the stem and each stage."""
        by = self.width_multiplier
        stem = divisible(max(16, min(64, 32 * by)), 8, 16)
        return (stem, divisible(WIDTHS[0] * by, 16), *(divisible(n * by) for n in WIDTHS[1:]))

    @property
    def pooled(self) -> int:
        """Channels of the last stage."""
        return self.stages[-1]


class LinearAttention(Module):
    """One score a pixel; what they choose of the keys is multiplied with the values."""

    def __init__(self, size: int) -> None:
        self.qkv_proj = Plain(size, 1 + 2 * size, bias=True)
        self.out_proj = Plain(size, size, bias=True)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, pixels, patches)` → the same shape."""
        both = self.qkv_proj(x)
        scores = F.softmax(both[:, :1], -1)
        context = (both[:, 1 : 1 + self.size] * scores).sum(-1, keepdim=True)
        return self.out_proj(F.relu(both[:, 1 + self.size :]) * context)


class FeedForward(Module):
    """Two convolutions of each pixel."""

    def __init__(self, size: int, hidden: int, act: str) -> None:
        self.conv1 = Plain(size, hidden, bias=True)
        self.conv2 = Plain(hidden, size, bias=True)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, pixels, patches)` → the same shape."""
        return self.conv2(self.act(self.conv1(x)))


class Layer(Module):
    """Attention and feed-forward, each normalised before over all but the batch."""

    def __init__(self, size: int, hidden: int, act: str, eps: float) -> None:
        self.layernorm_before = GroupNorm(1, size, eps)
        self.attention = LinearAttention(size)
        self.layernorm_after = GroupNorm(1, size, eps)
        self.ffn = FeedForward(size, hidden, act)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, pixels, patches)` → the same shape."""
        x = x + self.attention(self.layernorm_before(x))
        return x + self.ffn(self.layernorm_after(x))


class Transformer(Module):
    """Layers under the name `layer`."""

    def __init__(self, layers: list[Layer]) -> None:
        self.layer = ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, pixels, patches)` → the same shape."""
        for layer in self.layer:
            x = layer(x)
        return x


class Stage(Module):
    """Downsampling, and a transformer between convolutions."""

    def __init__(self, cfg: MobileViTV2Config, number: int, dilation: int) -> None:
        channels, out = cfg.stages[number + 2 : number + 4]
        width = divisible(cfg.base_attn_unit_dims[number] * cfg.width_multiplier)
        self.downsampling_layer = downsampling(cfg, channels, out, dilation)
        self.conv_kxk = ConvNorm(out, out, cfg.conv_kernel_size, groups=out, act=cfg.hidden_act)
        self.conv_1x1 = Plain(out, width)
        hidden = cfg.ffn_multiplier * width // 16 * 16
        self.transformer = Transformer(
            [
                Layer(width, hidden, cfg.hidden_act, cfg.layer_norm_eps)
                for _ in range(cfg.n_attn_blocks[number])
            ]
        )
        self.layernorm = GroupNorm(1, width, cfg.layer_norm_eps)
        self.conv_projection = ConvNorm(width, out)
        self.patch = cfg.patch_size

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, out, height / 2, width / 2)`."""
        x = self.conv_1x1(self.conv_kxk(self.downsampling_layer(x)))
        patch, (height, width) = self.patch, x.shape[2:]
        below, beside = height % patch, width % patch  # pixels that belong to no patch become 0
        parts = unfolded(x[:, :, : height - below, : width - beside], patch)
        tokens = self.transformer(parts.reshape(*parts.shape[:2], patch * patch, -1))
        x = folded(self.layernorm(tokens).reshape(parts.shape))
        if below or beside:
            x = F.pad(x, (0, beside, 0, below))
        return self.conv_projection(x)


class MobileViTV2Model(MobileViTBase):
    """Stem and stages; the pooled output is the mean."""

    config_class = MobileViTV2Config
    base_model_prefix = "mobilevitv2"

    def make_stages(self, cfg: Any) -> list[Module]:
        """Two of convolutions, three with attention."""
        n = cfg.stages
        first = [MobileStage(cfg, n[0], n[1], 1, 1), MobileStage(cfg, n[1], n[2], 2, 2)]
        return [*first, *(Stage(cfg, i, d) for i, d in enumerate((1, *cfg.dilations)))]


class MobileViTV2ForImageClassification(MobileViTClassification):
    """Scores from the mean."""

    config_class, base_class = MobileViTV2Config, MobileViTV2Model
    base_model_prefix = "mobilevitv2"


class MobileViTV2ForSemanticSegmentation(MobileViTSegmentation):
    """A score of each label at the last stage's size."""

    config_class, base_class = MobileViTV2Config, MobileViTV2Model
    base_model_prefix = "mobilevitv2"
