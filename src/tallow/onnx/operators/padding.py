"""Pad and CenterCropPad: tensors in a larger or smaller frame, on the host, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tallow import ops
from tallow.dtype import i64
from tallow.errors import ArgumentError, expect
from tallow.factories import tensor
from tallow.onnx.operators.moving import axes_in, on_host, taken, whole, with_default
from tallow.onnx.operators.table import operator
from tallow.ops.resample import check_longest
from tallow.tensor import Tensor

_MODES: Final = {
    "constant": "constant",
    "reflect": "reflect",
    "edge": "replicate",
    "wrap": "circular",
}


def framed(data: Any, sides: Sequence[tuple[int, int]], mode: str, value: Any) -> Any:
    """`data` with (before, after) at each axis, negative ones cut off; a `value` of None is 0."""
    if on_host(data):
        elements, places, default = with_default(data)
        if value is not None:
            elements[-1] = value
        return taken(elements, framed(places, sides, mode, default))
    good = all(
        n + before + after >= 0 for n, (before, after) in zip(data.shape, sides, strict=True)
    )
    expect(good, "Pad", f"pads that shape {data.shape} allows", [*sides])
    if mode == "constant":
        flat = [n for pair in reversed(sides) for n in pair]
        return ops.constant_pad_nd(data, flat, 0 if value is None else value)
    key = tuple(
        slice(max(-before, 0), n + min(after, 0))
        for n, (before, after) in zip(data.shape, sides, strict=True)
    )
    return _extended(data[key] if key else data, [(max(a, 0), max(b, 0)) for a, b in sides], mode)


def _extended(x: Tensor, sides: Sequence[tuple[int, int]], mode: str) -> Tensor:
    """The tensor continued at its sides by its own elements."""
    todo = [i for i, pair in enumerate(sides) if pair != (0, 0)]
    if not todo:
        return x
    expect(0 not in [x.shape[i] for i in todo], "Pad", f"elements for mode {mode}", x.shape)
    first = max(min(todo), x.ndim - 3)
    largest = {"reflect": -1, "wrap": 0}.get(mode, 1 << 62)  # what the op goes round once
    if (
        min(todo) == first
        and 1 <= first <= 2
        and all(max(sides[i]) <= x.shape[i] + largest for i in todo)
    ):
        flat = [n for pair in reversed(sides[first:]) for n in pair]
        return ops.pad(x, flat, _MODES[mode])
    check_longest("Pad", [x.shape[i] + sum(sides[i]) for i in todo])
    for i in todo:
        places = _places(x.shape[i], *sides[i], mode)
        x = ops.take_positions(x, tensor(places, dtype=i64, device=x.device), i)
    return x


def _places(length: int, before: int, after: int, mode: str) -> list[int]:
    """The elements of an axis that stand at each position of the longer one."""
    places = range(-before, length + after)
    if mode == "wrap":
        return [i % length for i in places]
    if mode == "edge":
        return [min(max(i, 0), length - 1) for i in places]
    period = max(2 * length - 2, 1)
    return [min(i % period, period - i % period) if length > 1 else 0 for i in places]


@operator("Pad", since=11, reads=("pads", "constant_value", "axes"), host=True)
def pad(
    data: Any, pads: list[int], constant_value: Any = None, axes: list[int] | None = None, *,
    mode: str = "constant",
) -> Any:  # fmt: skip
    """A frame of a value, or of the tensor's own elements: mirrored, repeated or wrapped."""
    expect(mode in _MODES, "Pad", f"one of {', '.join(_MODES)}", repr(mode), ArgumentError)
    given, n = whole(pads), data.ndim
    chosen = [*range(n)] if axes is None else axes_in(whole(axes), n, "Pad")
    k = len(chosen)
    expect(len(given) == 2 * k, "Pad", f"{2 * k} pads", given)
    value = constant_value if isinstance(constant_value, list) else [constant_value]
    expect(len(value) == 1 and not isinstance(value[0], list), "Pad", "one constant value", value)
    sides = [(0, 0)] * n
    for i, axis in enumerate(chosen):
        sides[axis] = (given[i], given[k + i])
    return framed(data, sides, mode, value[0])


@operator("Pad", since=2, until=10, host=True)
def pad_2(data: Any, *, pads: list[int], mode: str = "constant", value: float = 0.0) -> Any:
    """Pad with its pads and value as attributes."""
    return pad(data, pads, value, mode=mode)


@operator("CenterCropPad", since=18, reads=("shape",), host=True)
def center_crop_pad(data: Any, shape: list[int], *, axes: list[int] | None = None) -> Any:
    """The middle of a tensor, or the tensor in the middle of zeros, in the given lengths."""
    chosen = [*range(data.ndim)] if axes is None else axes_in(axes, data.ndim, "CenterCropPad")
    lengths = whole(shape)
    good = len(lengths) == len(chosen) and min(lengths, default=0) >= 0
    expect(good, "CenterCropPad", f"{len(chosen)} lengths of at least 0", lengths)
    sides = [(0, 0)] * data.ndim
    for axis, length in zip(chosen, lengths, strict=True):
        more = length - data.shape[axis]
        before = more // 2 if more > 0 else -(-more // 2)
        sides[axis] = (before, more - before)
    return framed(data, sides, "constant", None)
