"""The blocks of timm's mobile networks, from the strings that describe them there."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tallow.models.blocks.conv import conv_norm, divisible
from tallow.models.blocks.timm_conv import (
    ConvNormAct,
    LayerScale2d,
    NormAct,
    SqueezeExcite,
    conv,
)
from tallow.nn import Conv2d, Module, Sequential
from tallow.ops import attention
from tallow.tensor import Tensor

_PART = re.compile(r"(se|fc|[rkseciaphdv])(\d+(?:\.\d+)?)")
_ACTS = {
    "nre": "relu", "nr6": "relu6", "nhs": "hardswish", "nsw": "silu", "nmi": "mish",
}  # fmt: skip
_KINDS = {  # and the numbers that they take beside repeats, kernel, stride and width
    "ds": "e se", "dsa": "e se", "ir": "e se a p", "er": "e se p fc", "cn": "e", "uir": "e se a p",
    "mqa": "h v d",
}  # fmt: skip


class Block(NamedTuple):
    """What a string says: its kind, numbers by letters, activation and shortcut."""

    kind: str
    numbers: Mapping[str, float]
    act: str
    skip: bool | None

    def whole(self, letter: str, default: int = 0) -> int:
        """A number that counts something."""
        return int(self.numbers.get(letter, default))


class Build(NamedTuple):
    """What all blocks of a network share; `se_act` empty is the block's own activation."""

    act: str
    eps: float
    same: bool
    se_from_exp: bool
    se_gate: str
    se_act: str
    se_divisor: int
    scale: bool


def parse(text: object) -> Block | None:
    """The block of `ir_r2_k3_s2_e6_c24_se0.25`; None where a part of it is not known."""
    kind, *parts = text.split("_") if isinstance(text, str) else [""]
    if kind not in _KINDS:
        return None
    numbers: dict[str, float] = {}
    act, skip = "", None
    for part in parts:
        found = _PART.fullmatch(part)
        if part in ("skip", "noskip"):
            skip = part == "skip"
        elif part in _ACTS:
            act = _ACTS[part]
        elif found is None or found[1] not in ["r", "k", "s", "c", *_KINDS[kind].split()]:
            return None
        else:
            numbers[found[1]] = float(found[2])
    whole = {key: value for key, value in numbers.items() if key not in ("e", "se")}
    bounds = {"r": 256, "s": 2, "c": 1 << 16, "fc": 1 << 16, "d": 1 << 12, "h": 1 << 10}
    good = all(v == int(v) and v <= bounds.get(k, 31) for k, v in whole.items())
    needed = {"r", "k", "s", "c"} | ({"h", "d"} if kind == "mqa" else set())
    good = good and all(numbers.get(k, 0) >= 1 for k in needed - {"k"}) and "k" in numbers
    good = good and 0 < numbers.get("e", 1) <= 64 and 0 <= numbers.get("se", 0) <= 1
    return Block(kind, numbers, act, skip) if good else None


class Residual(Module):
    """Modules by name, in order, and around them the input where `skip` says so."""

    def __init__(self, parts: Mapping[str, Module | None], *, skip: bool) -> None:
        for name, part in parts.items():
            setattr(self, name, part)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        out, conv = x, None
        for part in self.children():
            if conv is not None:  # the norm behind it
                out, conv = conv_norm(conv, part, out), None
            elif isinstance(part, Conv2d):
                conv = part
            else:
                out = part(out)
        return out + x if self.skip else out


class QueryAttention2d(Module):
    """Attention of many queries over one key and value, which may be of a smaller image."""

    def __init__(self, size: int, heads: int, head: int, kernel: int, stride: int, same: bool):
        self.heads, self.head = heads, head

        def lead(out: int) -> Sequential:
            parts: dict[str, Module] = {}
            if stride > 1:
                parts["down_conv"] = conv(size, size, kernel, stride, groups=size, same=same)
                parts["norm"] = NormAct(size)
            return _named(parts | {"proj": Conv2d(size, out, 1, bias=False)})

        self.query = _named({"proj": Conv2d(size, heads * head, 1, bias=False)})
        self.key, self.value = lead(head), lead(head)
        self.output = _named({"proj": Conv2d(heads * head, size, 1, bias=False)})

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)`, kept."""
        b, _, h, w = x.shape
        q = self.query(x).reshape(b, self.heads, self.head, h * w).transpose(2, 3)
        k, v = (part(x).flatten(2).transpose(1, 2).unsqueeze(1) for part in (self.key, self.value))
        found = attention(q, k, v).transpose(2, 3).reshape(b, -1, h, w)
        return self.output(found)


def _named(parts: Mapping[str, Module]) -> Sequential:
    made = Sequential()
    for name, part in parts.items():
        made.add_module(name, part)
    return made


Parts = dict[str, Module | None]


def _excite(b: Block, size: int, act: str, shared: Build) -> Module | None:
    ratio = b.numbers.get("se", 0.0)
    if not ratio:
        return None
    if not shared.se_from_exp and b.kind not in ("ds", "dsa"):
        ratio /= b.numbers.get("e", 1.0)
    inner = size * ratio
    made = divisible(inner, shared.se_divisor) if shared.se_divisor > 1 else round(inner)
    return SqueezeExcite(size, made, shared.se_act or act, shared.se_gate)


def _ds(b: Block, size: int, out: int, stride: int, act: str, s: Build) -> Parts:
    return {
        "conv_dw": conv(size, size, b.whole("k"), stride, groups=size, same=s.same),
        "bn1": NormAct(size, act, s.eps),
        "se": _excite(b, size, act, s),
        "conv_pw": conv(size, out, 1),
        "bn2": NormAct(out, act if b.kind == "dsa" else "linear", s.eps),
    }


def _ir(b: Block, size: int, out: int, stride: int, act: str, s: Build) -> Parts:
    inner, kernel = divisible(size * b.numbers["e"]), b.whole("k")
    return {
        "conv_pw": conv(size, inner, b.whole("a", 1), same=s.same),
        "bn1": NormAct(inner, act, s.eps),
        "conv_dw": conv(inner, inner, kernel, stride, groups=inner, same=s.same),
        "bn2": NormAct(inner, act, s.eps),
        "se": _excite(b, inner, act, s),
        "conv_pwl": conv(inner, out, b.whole("p", 1), same=s.same),
        "bn3": NormAct(out, "linear", s.eps),
    }


def _er(b: Block, size: int, out: int, stride: int, act: str, s: Build) -> Parts:
    inner = divisible((b.whole("fc") or size) * b.numbers["e"])
    return {
        "conv_exp": conv(size, inner, b.whole("k"), stride, same=s.same),
        "bn1": NormAct(inner, act, s.eps),
        "se": _excite(b, inner, act, s),
        "conv_pwl": conv(inner, out, b.whole("p", 1), same=s.same),
        "bn2": NormAct(out, "linear", s.eps),
    }


def _cn(b: Block, size: int, out: int, stride: int, act: str, s: Build) -> Parts:
    return {
        "conv": conv(size, out, b.whole("k"), stride, same=s.same),
        "bn1": NormAct(out, act, s.eps),
    }


def _uir(b: Block, size: int, out: int, stride: int, act: str, s: Build) -> Parts:
    inner = divisible(size * b.numbers["e"])
    first, middle, last = b.whole("a"), b.whole("k"), b.whole("p")

    def depthwise(width: int, kernel: int, step: int, act: str = "linear") -> Module | None:
        if not kernel:
            return None
        return ConvNormAct(
            width, width, kernel, step, groups=width, act=act, eps=s.eps, same=s.same
        )

    return {
        "dw_start": depthwise(size, first, 1 if middle else stride),
        "pw_exp": ConvNormAct(size, inner, act=act, eps=s.eps),
        "dw_mid": depthwise(inner, middle, stride, act),
        "se": _excite(b, inner, act, s),
        "pw_proj": ConvNormAct(inner, out, eps=s.eps),
        "dw_end": depthwise(out, last, 1 if first or middle else stride),
        "layer_scale": LayerScale2d(out) if s.scale else None,
    }


def _mqa(b: Block, size: int, out: int, stride: int, act: str, s: Build) -> Parts:
    heads, head, kernel, step = (b.whole(letter, 1) for letter in "hdkv")
    return {
        "norm": NormAct(size, "linear", s.eps),
        "attn": QueryAttention2d(size, heads, head, kernel, step, s.same),
        "layer_scale": LayerScale2d(out) if s.scale else None,
    }


_MAKE: dict[str, Callable[[Block, int, int, int, str, Build], Parts]] = {
    "ds": _ds, "dsa": _ds, "ir": _ir, "er": _er, "cn": _cn, "uir": _uir, "mqa": _mqa,
}  # fmt: skip


def _repeats(stage: Sequence[Block], depth: float) -> list[int]:
    """How often each of a stage's blocks stands, by a factor: the last ones grow first."""
    left = sum(block.whole("r") for block in stage)
    goal = math.ceil(left * depth)
    found = []
    for block in reversed(stage):
        count = block.whole("r")
        made = max(1, round(count / left * goal))
        found.append(made)
        left, goal = left - count, goal - made
    return found[::-1]


def make(
    stage: Sequence[Block], depth: float, size: int, width: Callable[[int], int], shared: Build
) -> tuple[list[Module], int, int]:
    """The blocks of a stage, the width that comes out, and the stride of the first."""
    blocks: list[Module] = []
    for block, count in zip(stage, _repeats(stage, depth), strict=True):
        for _ in range(count):
            stride = 1 if blocks else block.whole("s")
            out, act = width(block.whole("c")), block.act or shared.act
            parts = _MAKE[block.kind](block, size, out, stride, act, shared)
            # Convolutions alone have a shortcut where it is asked for, pairs with one activation
            # each none, and the others one.
            wanted = block.skip is True if block.kind == "cn" else block.skip is not False
            skip = wanted and block.kind != "dsa" and stride == 1 and size == out
            blocks.append(Residual(parts, skip=skip))
            size = out
    return blocks, size, stage[0].whole("s")
