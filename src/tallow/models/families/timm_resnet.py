"""timm's ResNets, ResNeXts and wide ResNets, which classify (arXiv 1512.03385)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallow.models.blocks.timm_resnet import Stages, Variant, variant
from tallow.models.configs import choice, custom, size, sizes
from tallow.models.fields import Fields
from tallow.models.timm import TimmConfig, TimmModel
from tallow.tensor import Tensor


class TimmResNetConfig(TimmConfig):
    """The arguments of timm's `ResNet` that its variants of plain blocks have.

    `blocks` says of each stage whether its blocks are bottlenecks.
    """

    blocks: tuple[bool, ...] = custom((), lambda fields, name, default: fields.get(name))
    layers: tuple[int, ...] = sizes(2, 2, 2, 2, length=4, high=4096)
    channels: tuple[int, ...] = sizes(64, 128, 256, 512, length=4)
    stem_width: int = size(64, high=4096)
    stem_type: str = choice("", "deep", "deep_tiered")
    avg_down: bool = False
    cardinality: int = size(1, high=4096)
    base_width: int = size(64, high=4096)
    output_stride: int = choice(32, 16, 8)

    @classmethod
    def variant(cls, name: str) -> Mapping[str, Any] | None:
        """The arguments that a name stands for; None where it is no such ResNet."""
        found = variant(name)
        if found is None:
            return None
        tiered = len(set(found.stem)) > 1
        return {
            "blocks": found.bottleneck,
            "layers": list(found.depths),
            "channels": list(found.widths),
            "stem_width": found.stem[1] if found.stem else 64,
            "stem_type": "deep_tiered" if tiered else "deep" if found.stem else "",
            "avg_down": found.pooled,
            "cardinality": found.groups,
            "base_width": found.base_width,
        }

    def check(self, fields: Fields) -> None:
        """Groups divide the widths of bottlenecks."""
        if not any(self.blocks) and (self.cardinality, self.base_width) != (1, 64):
            raise fields.error("cardinality", "1, with basic blocks", self.cardinality)

    @property
    def built(self) -> Variant:
        """What `Stages` is built of."""
        width = self.stem_width
        first = 3 * (width // 4) if self.stem_type == "deep_tiered" else width
        return Variant(
            self.blocks, self.layers, self.channels, (first, width) if self.stem_type else (),
            self.avg_down, self.cardinality, self.base_width,
        )  # fmt: skip


class TimmResNet(TimmModel, Stages):
    """Stem, four stages, pooling and `fc`."""

    config_class = TimmResNetConfig
    classifier_name = "fc"

    def __init__(self, cfg: TimmResNetConfig) -> None:
        self.config = cfg
        Stages.__init__(self, cfg.built, cfg.in_chans, 4, cfg.output_stride)
        self.fc = self.classifier_layer(cfg.pooled(self.widths[-1]))

    def maps(self, x: Tensor) -> list[Tensor]:
        """The stem's and each stage's features."""
        return self.features(x)
