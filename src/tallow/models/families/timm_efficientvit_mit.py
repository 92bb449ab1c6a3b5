"""timm's EfficientViT of MIT: linear attention over several scales (arXiv 2205.14756)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

from tallow.factories import ones
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.timm_blocks import Parts, Residual
from tallow.models.blocks.timm_conv import conv
from tallow.models.blocks.vision import pictures
from tallow.models.configs import choice, ratio, size, sizes
from tallow.models.fields import Fields
from tallow.models.timm import TimmConfig, TimmModel, pool
from tallow.nn import BatchNorm2d, Conv2d, LayerNorm, Linear, Module, ModuleList, Sequential
from tallow.nn import functional as F
from tallow.ops import cat
from tallow.tensor import Tensor

EPS = 1e-5
SCALE = 5  # the kernel of the second scale
_KINDS = {  # width of the stem, depths behind it, widths of a head and of what classifies
    "efficientvit_b0": (8, (2, 2, 2, 2), 16, (1024, 1280)),
    "efficientvit_b1": (16, (2, 3, 3, 4), 16, (1536, 1600)),
    "efficientvit_b2": (24, (3, 4, 4, 6), 32, (2304, 2560)),
    "efficientvit_b3": (32, (4, 6, 6, 9), 32, (2304, 2560)),
    "efficientvit_l1": (32, (1, 1, 6, 6), 32, (3072, 3200)),
    "efficientvit_l2": (32, (2, 2, 8, 8), 32, (3072, 3200)),
    "efficientvit_l3": (64, (2, 2, 8, 8), 32, (6144, 6400)),
}


class Unit(Module):
    """Convolution, a batch norm unless `eps` is None, and an activation."""

    def __init__(
        self, size: int, out: int, kernel: int = 1, stride: int = 1, *, groups: int = 1,
        act: str = "linear", eps: float | None = EPS, bias: bool = False,
    ) -> None:  # fmt: skip
        self.conv = conv(size, out, kernel, stride, groups=groups, bias=bias)
        self.norm = None if eps is None else BatchNorm2d(out, eps)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        x = self.conv(x)
        return self.act(x if self.norm is None else self.norm(x))


Local = Callable[..., Parts]  # (size, out, stride, ratio, shared, normed)


class Shared(NamedTuple):
    """What the convolutions of a network share."""

    act: str
    eps: float
    stem: Local  # its blocks

    def wide(self, *, normed: bool) -> Callable[..., Unit]:
        """Units with an activation, and a norm or a bias."""
        return partial(Unit, act=self.act, eps=self.eps if normed else None, bias=not normed)


def depthwise(size: int, out: int, stride: int, ratio: float, s: Shared, normed: bool) -> Parts:
    """Depthwise and pointwise."""
    wide = s.wide(normed=normed)
    return {
        "depth_conv": wide(size, size, 3, stride, groups=size),
        "point_conv": Unit(size, out, eps=s.eps),
    }


def inverted(size: int, out: int, stride: int, ratio: float, s: Shared, normed: bool) -> Parts:
    """Depthwise between two pointwise ones, wider inside."""
    inner, wide = round(size * ratio), s.wide(normed=normed)
    return {
        "inverted_conv": wide(size, inner),
        "depth_conv": wide(inner, inner, 3, stride, groups=inner),
        "point_conv": Unit(inner, out, eps=s.eps),
    }


def fused(size: int, out: int, stride: int, ratio: float, s: Shared, normed: bool) -> Parts:
    """One to a larger width, and a pointwise one."""
    inner = round(size * ratio)
    return {
        "spatial_conv": s.wide(normed=normed)(size, inner, 3, stride),
        "point_conv": Unit(inner, out, eps=s.eps),
    }


def double(size: int, out: int, stride: int, ratio: float, s: Shared, normed: bool) -> Parts:
    """Two of one width."""
    wide = s.wide(normed=normed)
    return {"conv1": wide(size, size, 3, stride), "conv2": Unit(size, out, 3, eps=s.eps)}


class Plan(NamedTuple):
    """A stage: its local blocks, how wide the first and the others are, and how many others."""

    local: Local
    normed: bool
    first: float
    ratio: float
    attention: bool
    others: int


class EfficientVitConfig(TimmConfig):
    """What arguments of both kinds have in common."""

    widths: tuple[int, ...] = sizes()
    depths: tuple[int, ...] = sizes(high=256)
    head_dim: int = size(32)
    head_widths: tuple[int, ...] = sizes(length=2)
    global_pool: str = choice("avg", "max", "avgmax")

    @classmethod
    def variant(cls, name: str) -> Mapping[str, Any] | None:
        """Its arguments."""
        found = _KINDS.get(name)
        if found is None:
            return None
        width, depths, head, last = found
        return {
            "widths": [width << i for i in range(5)], "depths": [1, *depths],
            "head_dim": head, "head_widths": list(last),
        }  # fmt: skip

    def check(self, fields: Fields) -> None:
        """Each stage has a depth, and those with attention room for a head."""
        if len(self.widths) != len(self.depths) or len(self.widths) < 2:
            wanted = f"one for each of {max(len(self.widths), 2)} widths"
            raise fields.error("depths", wanted, list(self.depths))
        seeing = zip(self.widths[1:], self.plans(), strict=True)
        if any(plan.attention and width < self.head_dim for width, plan in seeing):
            wanted = f"widths of at least {self.head_dim}, of a head"
            raise fields.error("widths", wanted, list(self.widths))

    @property
    def shared(self) -> Shared:
        """Of the convolutions."""
        raise NotImplementedError

    def plans(self) -> Iterator[Plan]:
        """Of the stages behind the stem."""
        raise NotImplementedError


class EfficientVitSmallConfig(EfficientVitConfig):
    """Arguments of timm's `EfficientVit`."""

    expand_ratio: float = ratio(4.0)

    def check(self, fields: Fields) -> None:
        """What is inside has a width."""
        super().check(fields)
        if not 0.5 <= self.expand_ratio <= 64:
            raise fields.error("expand_ratio", "a number from 0.5 to 64", self.expand_ratio)

    @property
    def shared(self) -> Shared:
        """Of the convolutions."""
        return Shared("hardswish", EPS, depthwise)

    def plans(self) -> Iterator[Plan]:
        """Of the stages behind the stem."""
        ratio = self.expand_ratio
        local = depthwise if ratio == 1 else inverted
        for i, depth in enumerate(self.depths[1:]):
            attention = i >= 2
            yield Plan(local, not attention, ratio, ratio, attention, depth - (i < 2))


class EfficientVitLargeConfig(EfficientVitConfig):
    """Arguments of timm's `EfficientVitLarge`."""

    norm_eps: float = 1e-7

    @property
    def shared(self) -> Shared:
        """Of the convolutions."""
        return Shared("gelu_pytorch_tanh", self.norm_eps, double)

    def plans(self) -> Iterator[Plan]:
        """Of the stages behind the stem."""
        for i, depth in enumerate(self.depths[1:]):
            attention = i >= 3
            first, ratio = (24, 6) if attention else (16, 4)
            yield Plan(inverted if i >= 2 else fused, i < 2, first, ratio, attention, depth)


class LinearAttention(Module):
    """Attention whose scores are products of what ReLU leaves, so that keys meet values first."""

    def __init__(self, size: int, head: int, eps: float) -> None:
        heads = size // head
        width = 3 * heads * head
        self.qkv = Unit(size, width, eps=None)
        wider = Sequential(
            conv(width, width, SCALE, groups=width),
            Conv2d(width, width, 1, groups=3 * heads, bias=False),
        )
        self.aggreg = ModuleList([wider])
        self.proj = Unit(2 * heads * head, size, eps=eps)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)`, kept."""
        b, _, h, w = x.shape
        qkv = self.qkv(x)
        every = cat([qkv, *(part(qkv) for part in self.aggreg)], 1)
        # Places lie along the last axis, as in the image, so that nothing is transposed.
        q, k, v = every.reshape(b, -1, 3 * self.head, h * w).split([self.head] * 3, 2)
        k = F.relu(k).transpose(2, 3)
        total = ones(1, 1, 1, h * w) @ k
        found = cat([v @ k, total.expand(b, v.shape[1], 1, self.head)], 2) @ F.relu(q)
        out: Tensor = found[:, :, :-1] / (found[:, :, -1:] + EPS)
        return self.proj(out.reshape(b, -1, h, w))


def stage(plan: Plan, size: int, out: int, head: int, s: Shared) -> Module:
    """Blocks of one width, the first of which halves the image."""

    def local(size: int, stride: int, ratio: float, *, skip: bool) -> Module:
        parts = plan.local(size, out, stride, ratio, s, plan.normed)
        return Residual({"main": Residual(parts, skip=False)}, skip=skip)

    blocks = [local(size, 2, plan.first, skip=False)]
    for _ in range(plan.others):
        if not plan.attention:
            blocks.append(local(out, 1, plan.ratio, skip=True))
            continue
        inner = Residual(inverted(out, out, 1, plan.ratio, s, False), skip=False)
        parts: Parts = {
            "context_module": Residual({"main": LinearAttention(out, head, s.eps)}, skip=True),
            "local_module": Residual({"main": inner}, skip=True),
        }
        blocks.append(Residual(parts, skip=False))
    return Residual({"blocks": Sequential(*blocks)}, skip=False)


class Head(Module):
    """A convolution, pooling, and two linear layers; the last has the name that it has there."""

    def __init__(self, size: int, widths: tuple[int, ...], s: Shared, fc: Linear | None) -> None:
        first, second = widths
        self.in_conv = Unit(size, first, act=s.act)
        self.classifier = Sequential(Linear(first, second, bias=False), LayerNorm(second, s.eps))
        if fc is not None:
            self.classifier.add_module("4", fc)
        self.act = ACTIVATIONS[s.act]

    def forward(self, x: Tensor, kind: str) -> Tensor:
        """`(batch, size, height, width)` → `(batch, widths[1])`."""
        linear, norm = list(self.classifier)[:2]
        return self.act(norm(linear(pool(self.in_conv(x), kind))))


class TimmEfficientVitMit(TimmModel):
    """A stem, stages and a head."""

    config_class: ClassVar[type[EfficientVitConfig]] = EfficientVitSmallConfig
    classifier_name = "head.classifier.4"

    def __init__(self, cfg: EfficientVitConfig) -> None:
        self.config = cfg
        (width, *widths), s = cfg.widths, cfg.shared
        stem: Parts = {"in_conv": Unit(cfg.in_chans, width, 3, 2, act=s.act, eps=s.eps)}
        for i in range(cfg.depths[0]):
            block = Residual(s.stem(width, width, 1, 1, s, True), skip=False)
            stem[f"res{i}"] = Residual({"main": block}, skip=True)
        self.stem = Residual(stem, skip=False)
        stages = []
        for out, plan in zip(widths, cfg.plans(), strict=True):
            stages.append(stage(plan, width, out, cfg.head_dim, s))
            width = out
        self.stages = Sequential(*stages)
        self.head = Head(width, cfg.head_widths, s, self.classifier_layer(cfg.head_widths[1]))

    def maps(self, x: Tensor) -> list[Tensor]:
        """What each stage gives."""
        x = self.stem(pictures(x, self.config.in_chans))
        return [x := stage(x) for stage in self.stages]

    def pool(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → what the last layer takes, `(batch, head_widths[1])`."""
        return self.head(x, self.config.global_pool)


class TimmEfficientVitLarge(TimmEfficientVitMit):
    """The larger ones, whose first stages have one convolution for two."""

    config_class = EfficientVitLargeConfig
