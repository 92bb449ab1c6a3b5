"""Residual stages of ResNets under transformers' names (arXiv 1512.03385)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow.models.base import Model
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.conv import ConvNorm
from tallow.models.blocks.image_heads import ImageClassification
from tallow.models.outputs import BaseOutput
from tallow.nn import AdaptiveAvgPool2d, Flatten, Linear, Module, ModuleList, Sequential
from tallow.tensor import Tensor


class Residual(Module):
    """Layers around their shortcut."""

    def __init__(self, layers: list[Module], shortcut: Module | None, act: str) -> None:
        self.shortcut = shortcut
        self.layer = Sequential(*layers)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        kept = x if self.shortcut is None else self.shortcut(x)
        return self.act(self.layer(x) + kept)


def basic(size: int, out: int, stride: int, act: str) -> list[Module]:
    """Two 3 × 3 convolutions."""
    return [ConvNorm(size, out, 3, stride, act=act), ConvNorm(out, out, 3)]


def bottleneck(size: int, out: int, stride: int, act: str, *, early: bool) -> list[Module]:
    """1 × 1, 3 × 3 and 1 × 1 convolutions; the stride is that of the second, or `early`."""
    inner = out // 4
    return [
        ConvNorm(size, inner, 1, stride if early else 1, act=act),
        ConvNorm(inner, inner, 3, 1 if early else stride, act=act),
        ConvNorm(inner, out),
    ]


class Stage(Module):
    """Layers of one width, under `layers`."""

    def __init__(self, layers: list[Module]) -> None:
        self.layers = Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        return self.layers(x)


class Stages(Module):
    """Stages of `widths`, the stem's first; `make(size, out, stride, place)` makes a layer.

    `place` is the layer's within its stage. All stages but the first halve height and width, and
    the first too where its stride `first` is 2.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        first: int,
        make: Callable[[int, int, int, int], Module],
    ) -> None:
        made = []
        for index, depth in enumerate(depths):
            size, out = widths[index : index + 2]
            head = make(size, out, 2 if index else first, 0)
            made.append(Stage([head, *(make(out, out, 1, place) for place in range(1, depth))]))
        self.stages = ModuleList(made)

    def forward(self, x: Tensor) -> list[Tensor]:
        """What goes in, and what each stage gives."""
        states = [x]
        for stage in self.stages:
            states.append(stage(states[-1]))
        return states


class ResNet(Model):
    """Stem and stages; the pooled output is the mean over height and width."""

    def __init__(self, cfg: Any, embedder: Module, encoder: Module) -> None:
        self.config = cfg
        self.embedder = embedder
        self.encoder = encoder
        self.pooler = AdaptiveAvgPool2d((1, 1))

    def forward(self, pixel_values: Tensor, *, output_hidden_states: bool = False) -> BaseOutput:
        """`(batch, 3, height, width)` → features `(batch, size, height / 32, width / 32)`."""
        states = self.encoder(self.embedder(pixel_values))
        kept = tuple(states) if output_hidden_states else None
        return BaseOutput(states[-1], self.pooler(states[-1]), kept)


class ResNetClassification(ImageClassification):
    """Scores from the pooled features."""

    def make_classifier(self, cfg: Any) -> Module:
        """The pooled features, flat, through a linear layer."""
        return Sequential(Flatten(), Linear(cfg.hidden_sizes[-1], cfg.num_labels))
