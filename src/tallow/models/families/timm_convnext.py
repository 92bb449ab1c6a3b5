"""timm's ConvNeXt, versions 1 and 2 (arXiv 2201.03545, 2301.00808)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tallow.models.blocks.activation import ACTIVATIONS, linear_then
from tallow.models.blocks.conv import LayerNorm2d, divisible, pointwise
from tallow.models.blocks.convnext import ResponseNorm
from tallow.models.blocks.vision import pictures
from tallow.models.configs import activation, choice, size, sizes
from tallow.models.fields import Fields
from tallow.models.timm import TimmConfig, TimmModel, pool
from tallow.nn import Conv2d, LayerNorm, Linear, Module, Sequential, param
from tallow.nn.init import ones
from tallow.tensor import Tensor

_KINDS = {  # depths, width of the first stage
    "atto": ((2, 2, 6, 2), 40), "femto": ((2, 2, 6, 2), 48), "pico": ((2, 2, 6, 2), 64),
    "nano": ((2, 2, 8, 2), 80), "tiny": ((3, 3, 9, 3), 96), "small": ((3, 3, 27, 3), 96),
    "base": ((3, 3, 27, 3), 128), "large": ((3, 3, 27, 3), 192), "xlarge": ((3, 3, 27, 3), 256),
    "huge": ((3, 3, 27, 3), 352), "xxlarge": ((3, 4, 30, 3), 384),
}  # fmt: skip
_NAME = re.compile(r"convnext(v2)?_([a-z]+)(_ols|_mlp|_hnf)?")


class TimmConvNextConfig(TimmConfig):
    """Arguments of timm's `ConvNeXt`."""

    global_pool: str = choice("avg", "max", "avgmax")
    output_stride: int = choice(32)
    depths: tuple[int, ...] = sizes(3, 3, 9, 3, length=4, high=256)
    dims: tuple[int, ...] = sizes(96, 192, 384, 768, length=4)
    kernel_sizes: tuple[int, ...] = sizes(7, 7, 7, 7, length=4, high=31)
    ls_init_value: float | None = 1e-6
    stem_type: str = choice("patch", "overlap", "overlap_tiered")
    patch_size: int = choice(4)
    head_norm_first: bool = False
    head_hidden_size: int = size(0, low=0)
    conv_mlp: bool = False
    conv_bias: bool = True
    use_grn: bool = False
    act_layer: str = activation("gelu")
    norm_layer: str | None = choice(None)
    norm_eps: float = 1e-6

    without_effect = TimmConfig.without_effect | {"head_init_scale"}

    @classmethod
    def variant(cls, name: str) -> Mapping[str, Any] | None:
        """Its arguments."""
        found = _NAME.fullmatch(name)
        if found is None or found[2] not in _KINDS:
            return None
        second, kind, more = found.groups()
        depths, width = _KINDS[kind]
        small = kind in ("atto", "femto", "pico", "nano")
        if more and more != {"tiny": "_hnf", "large": "_mlp"}.get(kind, "_ols" if small else ""):
            return None
        tiered = "overlap" if kind == "nano" else "overlap_tiered"
        return {
            "depths": list(depths), "dims": [width << i for i in range(4)],
            "conv_mlp": small or more == "_hnf", "head_norm_first": more == "_hnf",
            "stem_type": tiered if more == "_ols" else "patch",
            "head_hidden_size": width << 3 if more == "_mlp" else 0,
            "norm_eps": 1e-5 if kind == "xxlarge" else 1e-6,
            **({"use_grn": True, "ls_init_value": None} if second else {}),
        }  # fmt: skip

    def check(self, fields: Fields) -> None:
        """Kernels keep the size; what is hidden has its norm before."""
        if any(kernel % 2 == 0 for kernel in self.kernel_sizes):
            raise fields.error("kernel_sizes", "odd numbers", list(self.kernel_sizes))
        if self.head_norm_first and self.head_hidden_size:
            wanted = "none beside head_norm_first"
            raise fields.error("head_hidden_size", wanted, self.head_hidden_size)


class Pointwise(Conv2d):
    """A pointwise convolution of channels that stand last."""

    def __init__(self, size: int, out: int) -> None:
        super().__init__(size, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → `(..., out)`."""
        return pointwise(x, self)


class Mlp(Module):
    """`fc2(grn(act(fc1(x))))`, of channels that stand last."""

    def __init__(self, cfg: TimmConvNextConfig, size: int) -> None:
        make = Pointwise if cfg.conv_mlp else Linear
        self.fc1: Module = make(size, 4 * size)
        self.grn = ResponseNorm(4 * size, flat=True) if cfg.use_grn else None
        self.fc2: Module = make(4 * size, size)
        self.act = ACTIVATIONS[cfg.act_layer]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, height, width, size)`, kept."""
        x = linear_then(self.fc1, x, self.act)
        return self.fc2(x if self.grn is None else self.grn(x))


class Block(Module):
    """A depthwise convolution, norm and MLP."""

    def __init__(self, cfg: TimmConvNextConfig, size: int, kernel: int) -> None:
        around = kernel // 2
        self.conv_dw = Conv2d(size, size, kernel, padding=around, groups=size, bias=cfg.conv_bias)
        self.norm = LayerNorm(size, cfg.norm_eps)
        self.mlp = Mlp(cfg, size)
        self.gamma = None if cfg.ls_init_value is None else param(size, init=ones)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)`, kept."""
        out: Tensor = self.mlp(self.norm(self.conv_dw(x).permute(0, 2, 3, 1)))
        out = out if self.gamma is None else out * self.gamma
        return x + out.permute(0, 3, 1, 2)


class Stage(Module):
    """Blocks of one width, behind a norm and convolution that lead to it."""

    def __init__(self, cfg: TimmConvNextConfig, index: int) -> None:
        size, out = cfg.dims[max(index - 1, 0)], cfg.dims[index]
        self.downsample = None
        if index:
            lead = Conv2d(size, out, 2, 2, bias=cfg.conv_bias)
            self.downsample = Sequential(LayerNorm2d(size, cfg.norm_eps), lead)
        kernel = cfg.kernel_sizes[index]
        self.blocks = Sequential(*(Block(cfg, out, kernel) for _ in range(cfg.depths[index])))

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        return self.blocks(x if self.downsample is None else self.downsample(x))


def stem(cfg: TimmConvNextConfig) -> Sequential:
    """Patches or two convolutions, and a norm."""
    width, bias = cfg.dims[0], cfg.conv_bias
    norm = LayerNorm2d(width, cfg.norm_eps)
    if cfg.stem_type == "patch":
        return Sequential(Conv2d(cfg.in_chans, width, 4, 4, bias=bias), norm)
    middle = divisible(width // 2) if cfg.stem_type == "overlap_tiered" else width
    first = Conv2d(cfg.in_chans, middle, 3, 2, 1, bias=bias)
    return Sequential(first, Conv2d(middle, width, 3, 2, 1, bias=bias), norm)


class Hidden(Module):
    """A linear layer before the classifier's, `fc`."""

    def __init__(self, size: int, out: int) -> None:
        self.fc = Linear(size, out)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size)` → `(batch, out)`."""
        return ACTIVATIONS["gelu"](self.fc(x))


class Head(Module):
    """What stands between pooling and the scores."""

    def __init__(self, norm: Module | None, hidden: Module | None, fc: Linear | None) -> None:
        self.norm, self.pre_logits, self.fc = norm, hidden, fc

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size)` → what `fc` takes."""
        x = x if self.norm is None else self.norm(x)
        return x if self.pre_logits is None else self.pre_logits(x)


class TimmConvNext(TimmModel):
    """A stem, stages and a head."""

    config_class = TimmConvNextConfig
    classifier_name = "head.fc"

    def __init__(self, cfg: TimmConvNextConfig) -> None:
        self.config = cfg
        self.stem = stem(cfg)
        self.stages = Sequential(*(Stage(cfg, i) for i in range(4)))
        width, hidden, first = cfg.dims[-1], cfg.head_hidden_size, cfg.head_norm_first
        self.norm_pre = LayerNorm2d(width, cfg.norm_eps) if first else None
        self.head = Head(
            None if first else LayerNorm(width, cfg.norm_eps),
            Hidden(width, hidden) if hidden else None,
            self.classifier_layer(hidden or width),
        )

    def maps(self, x: Tensor) -> list[Tensor]:
        """What each stage gives."""
        x = self.stem(pictures(x, self.config.in_chans))
        return [x := stage(x) for stage in self.stages]

    def finish(self, x: Tensor) -> Tensor:
        """Normalised, where what is pooled is not."""
        return x if self.norm_pre is None else self.norm_pre(x)

    def pool(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → what the classifier takes."""
        return self.head(pool(x, self.config.global_pool))
