"""timm's VGG, whose head is of convolutions (arXiv 1409.1556)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tallow.models.configs import custom, ratio, size
from tallow.models.fields import Fields
from tallow.models.timm import ClassifierHead, TimmConfig, TimmModel
from tallow.nn import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, MaxPool2d, Module, ReLU, Sequential
from tallow.nn import functional as F
from tallow.tensor import Tensor

_DEPTHS = {
    "11": (1, 1, 2, 2, 2), "13": (2, 2, 2, 2, 2), "16": (2, 2, 3, 3, 3), "19": (2, 2, 4, 4, 4),
}  # fmt: skip


def _layers(fields: Fields, name: str, default: Any) -> tuple[int, ...]:
    value = fields.get(name)
    good = isinstance(value, list) and 0 < len(value) <= 256
    if not good or not all(v == "M" or (type(v) is int and 0 < v < 1 << 16) for v in value):
        raise fields.error(name, "widths, and M for max-pooling", value)
    return tuple(0 if v == "M" else v for v in value)


class TimmVGGConfig(TimmConfig):
    """Arguments of timm's `VGG`; in `cfg` 0 stands for max-pooling."""

    cfg: tuple[int, ...] = custom((), _layers)
    batch_norm: bool = False
    mlp_ratio: float = ratio(1.0)
    head_hidden_size: int = size(4096)

    @classmethod
    def variant(cls, name: str) -> Mapping[str, Any] | None:
        """Its arguments."""
        found = re.fullmatch(r"vgg(\d\d)(_bn)?", name)
        depths = _DEPTHS.get(found[1]) if found is not None else None
        if found is None or depths is None:
            return None
        widths = (64, 128, 256, 512, 512)
        pairs = zip(widths, depths, strict=True)
        layers = [value for width, depth in pairs for value in [*[width] * depth, "M"]]
        return {"cfg": layers, "batch_norm": bool(found[2])}

    def check(self, fields: Fields) -> None:
        """The head's width must be a size."""
        if not 0 < self.mlp_ratio <= 16:
            raise fields.error("mlp_ratio", "a number in (0, 16]", self.mlp_ratio)


class ConvMlp(Module):
    """The two wide layers before the classifier, the first over 7 × 7 places."""

    def __init__(self, size: int, inner: int, out: int) -> None:
        self.fc1 = Conv2d(size, inner, 7)
        self.fc2 = Conv2d(inner, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, …)`; at least 7 × 7 places."""
        shape = tuple(x.shape[2:])
        wanted = (max(7, shape[0]), max(7, shape[1]))
        if shape != wanted:
            x = AdaptiveAvgPool2d(wanted)(x)
        return F.relu(self.fc2(F.relu(self.fc1(x))))


class TimmVGG(TimmModel):
    """3 × 3 convolutions with pooling between, and a head of wide layers."""

    config_class = TimmVGGConfig
    classifier_name = "head.fc"

    def __init__(self, cfg: TimmVGGConfig) -> None:
        self.config = cfg
        layers: list[Module] = []
        ends, width = [], cfg.in_chans
        for out in cfg.cfg:
            if not out:
                ends.append(len(layers) - 1)
                layers.append(MaxPool2d(2, 2))
                continue
            norm = [BatchNorm2d(out)] if cfg.batch_norm else []
            layers += [Conv2d(width, out, 3, padding=1), *norm, ReLU()]
            width = out
        self.features = Sequential(*layers)
        self.ends = [*ends, len(layers) - 1]
        hidden = cfg.head_hidden_size
        self.pre_logits = ConvMlp(width, int(hidden * cfg.mlp_ratio), hidden)
        self.head = ClassifierHead(self.classifier_layer(cfg.pooled(hidden)))

    def maps(self, x: Tensor) -> list[Tensor]:
        """What stands before each pooling, and behind the last."""
        states: list[Tensor] = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.ends:
                states.append(x)
        return states

    def pool(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, hidden)`, through the wide layers."""
        return super().pool(self.pre_logits(x))
