"""Depth Anything, both versions: depth from a backbone's tokens (arXiv 2401.10891, 2406.09414)."""

from __future__ import annotations

from typing import Any

from tallow.errors import UnsupportedCaseError, expect
from tallow.models.base import Model
from tallow.models.blocks.vision import Grid, as_maps
from tallow.models.configs import Config, choice, custom, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import HiddenStates, Output
from tallow.models.parts import Part, backbone
from tallow.nn import Conv2d, ConvTranspose2d, Identity, Module, ModuleList
from tallow.nn import functional as F
from tallow.tensor import Tensor


def _factors(fields: Fields, name: str, default: Any) -> tuple[float, ...]:
    value = fields.get(name)
    value = default if value is None else value
    good = isinstance(value, list | tuple) and all(
        type(each) in (int, float) and (each in range(1, 65) or 1 / 64 <= each < 1)
        for each in value
    )
    if not good:
        raise fields.error(name, "whole numbers from 1 to 64, or parts of 1", value)
    return tuple(value)


class DepthAnythingConfig(Config):
    """Of Hugging Face's `DepthAnythingConfig`."""

    backbone_config: Part = backbone(
        model_type="dinov2",
        image_size=518,
        hidden_size=384,
        num_attention_heads=6,
        out_indices=[9, 10, 11, 12],
        reshape_hidden_states=False,
    )
    patch_size: int = size(14)
    reassemble_hidden_size: int = size(384)
    reassemble_factors: tuple[float, ...] = custom((4, 2, 1, 0.5), _factors)
    neck_hidden_sizes: tuple[int, ...] = sizes(48, 96, 192, 384)
    fusion_hidden_size: int = size(64, low=2)
    head_in_index: int = size(-1, low=-64, high=63)
    head_hidden_size: int = size(32)
    depth_estimation_type: str = choice("relative", "metric")
    max_depth: float = 1.0

    without_effect = frozenset({"use_pretrained_backbone", "use_timm_backbone", "backbone_kwargs"})

    def check(self, fields: Fields) -> None:
        """The backbone gives tokens, one set for each of the neck's widths and factors."""
        if getattr(self.backbone_config.config, "reshape_hidden_states", True):
            wanted = "a backbone with reshape_hidden_states false"
            raise fields.error("backbone_config", wanted, "one that gives maps")
        count = len(self.neck_hidden_sizes)
        if len(self.reassemble_factors) != count:
            raise fields.error("reassemble_factors", f"{count} numbers", self.reassemble_factors)
        if not -count <= self.head_in_index < count:
            raise fields.error("head_in_index", f"one of {count} maps", self.head_in_index)


class Reassemble(Module):
    """Tokens as a map of some width, larger or smaller by a factor."""

    def __init__(self, size: int, out: int, factor: float) -> None:
        self.projection = Conv2d(size, out, 1)
        self.resize: Module = Identity()
        if factor > 1:
            self.resize = ConvTranspose2d(out, out, int(factor), int(factor))
        elif factor < 1:
            self.resize = Conv2d(out, out, 3, int(1 / factor), 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, rows, columns)` → `(batch, out, …)`."""
        return self.resize(self.projection(x))


class Reassembled(Module):
    """Each map of the backbone in a size of its own."""

    def __init__(self, cfg: DepthAnythingConfig) -> None:
        pairs = zip(cfg.neck_hidden_sizes, cfg.reassemble_factors, strict=True)
        size = cfg.reassemble_hidden_size
        self.layers = ModuleList([Reassemble(size, out, factor) for out, factor in pairs])

    def forward(self, tokens: tuple[Tensor, ...], grid: Grid) -> list[Tensor]:
        """Tokens behind a class token → maps."""
        pairs = zip(self.layers, tokens, strict=True)
        return [layer(as_maps(x[:, 1:], grid)) for layer, x in pairs]


class Residual(Module):
    """Two convolutions behind ReLUs, added to what goes in."""

    def __init__(self, size: int) -> None:
        self.convolution1 = Conv2d(size, size, 3, padding=1)
        self.convolution2 = Conv2d(size, size, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, rows, columns)` → the same shape."""
        return x + self.convolution2(F.relu(self.convolution1(F.relu(x))))


class Fusion(Module):
    """What came from below and a map beside it, enlarged."""

    def __init__(self, size: int) -> None:
        self.projection = Conv2d(size, size, 1)
        self.residual_layer1 = Residual(size)
        self.residual_layer2 = Residual(size)

    def forward(self, x: Tensor, side: Tensor | None, grid: Grid) -> Tensor:
        """`(batch, size, rows, columns)` → the same of `grid`."""
        if side is not None:
            if side.shape != x.shape:
                side = F.interpolate(side, x.shape[2:], mode="bilinear", align_corners=False)
            x = x + self.residual_layer1(side)
        x = self.residual_layer2(x)
        x = F.interpolate(x, grid, mode="bilinear", align_corners=True)
        return self.projection(x)


class Fusions(Module):
    """Maps from the last to the first, each added to what came before."""

    def __init__(self, cfg: DepthAnythingConfig) -> None:
        size = cfg.fusion_hidden_size
        self.layers = ModuleList([Fusion(size) for _ in cfg.neck_hidden_sizes])

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """What each step gives."""
        found: list[Tensor] = []
        turned = maps[::-1]
        for i, layer in enumerate(self.layers):
            x = found[-1] if found else turned[0]
            height, width = turned[i + 1].shape[2:] if i + 1 < len(turned) else x.shape[2:]
            grid = (height, width) if i + 1 < len(turned) else (2 * height, 2 * width)
            found.append(layer(x, turned[i] if found else None, grid))
        return found


class Neck(Module):
    """From tokens to fused maps."""

    def __init__(self, cfg: DepthAnythingConfig) -> None:
        size = cfg.fusion_hidden_size
        self.reassemble_stage = Reassembled(cfg)
        self.convs = ModuleList(
            [Conv2d(width, size, 3, padding=1, bias=False) for width in cfg.neck_hidden_sizes]
        )
        self.fusion_stage = Fusions(cfg)

    def forward(self, tokens: tuple[Tensor, ...], grid: Grid) -> list[Tensor]:
        """What each step of the fusion gives."""
        maps = self.reassemble_stage(tokens, grid)
        made = [conv(x) for conv, x in zip(self.convs, maps, strict=True)]
        return self.fusion_stage(made)


class Head(Module):
    """Depth of each pixel from one map."""

    def __init__(self, cfg: DepthAnythingConfig) -> None:
        size = cfg.fusion_hidden_size
        self.conv1 = Conv2d(size, size // 2, 3, padding=1)
        self.conv2 = Conv2d(size // 2, cfg.head_hidden_size, 3, padding=1)
        self.conv3 = Conv2d(cfg.head_hidden_size, 1, 1)
        self.act = F.relu if cfg.depth_estimation_type == "relative" else F.sigmoid
        self.most = cfg.max_depth

    def forward(self, x: Tensor, size: Grid) -> Tensor:
        """`(batch, size, rows, columns)` → `(batch, height, width)`."""
        x = F.interpolate(self.conv1(x), size, mode="bilinear", align_corners=True)
        x = self.act(self.conv3(F.relu(self.conv2(x))))
        return (x * self.most).squeeze(1)


class DepthOutput(Output):
    """`predicted_depth` (batch, height, width)."""

    predicted_depth: Tensor
    hidden_states: HiddenStates | None = None


class DepthAnythingForDepthEstimation(Model):
    """A depth of each pixel, relative or up to `max_depth`."""

    config_class = DepthAnythingConfig

    def __init__(self, cfg: DepthAnythingConfig) -> None:
        self.config = cfg
        self.backbone = cfg.backbone_config.make()
        self.neck = Neck(cfg)
        self.head = Head(cfg)

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> DepthOutput:
        """`(batch, 3, height, width)` → `(batch, height, width)`, in whole patches.

        Raises:
            ShapeError: the backbone gives another number of maps than the neck takes.
            UnsupportedCaseError: labels are given; transformers has no loss for it either.
        """
        wanted = "none, as there is no loss of depths"
        expect(labels is None, "labels", wanted, "some", UnsupportedCaseError)
        cfg, patch = self.config, self.config.patch_size
        found = self.backbone(pixel_values, output_hidden_states=output_hidden_states)
        count, have = len(cfg.neck_hidden_sizes), len(found.feature_maps)
        expect(have == count, "backbone", f"{count} feature maps", have)
        rows, columns = (n // patch for n in pixel_values.shape[2:])
        fused = self.neck(found.feature_maps, (rows, columns))
        depth = self.head(fused[cfg.head_in_index], (rows * patch, columns * patch))
        return DepthOutput(depth, found.hidden_states)
