"""timm's ConvMixer: patches, then depthwise and pointwise convolutions (arXiv 2201.09792)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallow.models.configs import choice, layers, size
from tallow.models.timm import TimmConfig, TimmModel
from tallow.nn import GELU, BatchNorm2d, Conv2d, Module, ReLU, Sequential
from tallow.tensor import Tensor

_VARIANTS: dict[str, dict[str, Any]] = {
    "convmixer_1536_20": {"dim": 1536, "depth": 20, "kernel_size": 9, "patch_size": 7},
    "convmixer_768_32": {
        "dim": 768, "depth": 32, "kernel_size": 7, "patch_size": 7, "act_layer": "relu",
    },
    "convmixer_1024_20_ks9_p14": {"dim": 1024, "depth": 20, "kernel_size": 9, "patch_size": 14},
}  # fmt: skip


class TimmConvMixerConfig(TimmConfig):
    """Arguments of timm's `ConvMixer`."""

    dim: int = size()
    depth: int = layers()
    kernel_size: int = size(9, high=63)
    patch_size: int = size(7, high=4096)
    act_layer: str = choice("gelu", "relu")

    @classmethod
    def variant(cls, name: str) -> Mapping[str, Any] | None:
        """Its arguments."""
        return _VARIANTS.get(name)


class Residual(Module):
    """What `fn` gives, and its input."""

    def __init__(self, fn: Module) -> None:
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        """Kept."""
        return self.fn(x) + x


class TimmConvMixer(TimmModel):
    """Patches and `depth` mixers of one width."""

    config_class = TimmConvMixerConfig
    classifier_name = "head"

    def __init__(self, cfg: TimmConvMixerConfig) -> None:
        self.config = cfg
        size, kernel, patch = cfg.dim, cfg.kernel_size, cfg.patch_size
        act = GELU if cfg.act_layer == "gelu" else ReLU

        def unit(*layers: Module) -> list[Module]:
            return [*layers, act(), BatchNorm2d(size)]

        self.stem = Sequential(*unit(Conv2d(cfg.in_chans, size, patch, patch)))
        blocks = []
        for _ in range(cfg.depth):
            mix = Conv2d(size, size, kernel, padding="same", groups=size)
            blocks.append(
                Sequential(*unit(Residual(Sequential(*unit(mix))), Conv2d(size, size, 1)))
            )
        self.blocks = Sequential(*blocks)
        self.head = self.classifier_layer(cfg.pooled(size))

    def maps(self, x: Tensor) -> list[Tensor]:
        """What each block gives; all are of one size."""
        x = self.stem(x)
        return [x := block(x) for block in self.blocks]
