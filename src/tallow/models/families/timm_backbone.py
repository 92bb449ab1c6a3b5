"""timm's ResNets as transformers takes them for backbones of detectors and segmenters."""

from __future__ import annotations

from typing import Any

from tallow.models.blocks.image_heads import Backbone, BackboneConfig
from tallow.models.blocks.timm_resnet import Stages, variant
from tallow.models.configs import choice, custom, size
from tallow.models.fields import Fields
from tallow.tensor import Tensor


def _known(fields: Fields, name: str, default: Any) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or variant(value) is None:
        wanted = "a ResNet of timm: resnet18, resnet50d, wide_resnet50_2, resnext50_32x4d, …"
        raise fields.error(name, f"{wanted} (others are not supported)", value)
    return value


class TimmBackboneConfig(BackboneConfig):
    """Of Hugging Face's `TimmBackboneConfig`."""

    backbone: str = custom("", _known)
    num_channels: int = size(3)
    output_stride: int = choice(32, 16, 8)
    features_only: bool = choice(True)

    without_effect = frozenset({"use_pretrained_backbone", "freeze_batch_norm_2d"})

    def check(self, fields: Fields) -> None:
        """A stage that is not there is refused."""
        if not all(-5 <= index < 5 for index in self.out_indices):
            raise fields.error("out_indices", "numbers from -5 to 4", list(self.out_indices))


class TimmFeatures(Backbone, Stages):
    """The features of a timm ResNet: 0 is the stem's, before its pooling."""

    config_class = TimmBackboneConfig
    ignorable = (r"fc\..*", r"(.*\.)?num_batches_tracked")

    def __init__(self, cfg: TimmBackboneConfig) -> None:
        self.config = cfg
        found = variant(cfg.backbone)
        assert found is not None, "read by `_known`"
        count = max(cfg.chosen(5))  # what lies behind is in no file
        Stages.__init__(self, found, cfg.num_channels, count, cfg.output_stride)

    def states(self, pixel_values: Tensor) -> list[Tensor]:
        """The stem's and each stage's features."""
        return self.features(pixel_values)


class TimmBackbone(Backbone):
    """A model of timm as transformers holds it; detectors have it without this frame."""

    config_class = TimmBackboneConfig

    def __init__(self, cfg: TimmBackboneConfig) -> None:
        self.config = cfg
        self._backbone = TimmFeatures(cfg)
        self.widths = self._backbone.widths

    @property
    def bare(self) -> Backbone:
        """The model of timm."""
        return self._backbone

    def states(self, pixel_values: Tensor) -> list[Tensor]:
        """The stem's and each stage's features."""
        return self._backbone.states(pixel_values)
