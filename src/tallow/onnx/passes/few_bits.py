"""Products by weights of few bits: linear layers on block dtypes, or on floats made once."""

from __future__ import annotations

from typing import Any, Final

from tallow.dtype import by_name, f16, f32, u8
from tallow.errors import TallowError
from tallow.onnx.graph import Node
from tallow.onnx.passes.matching import Matcher
from tallow.onnx.program import MISFITS
from tallow.tensor import Tensor

_BLOCK: Final = 32  # of q4_0 and q8_0
_ROWS: Final = 1 << 12  # that are unpacked together
_MOST_FLOATS: Final = 1 << 29  # bytes of weights that are floats in a graph: they take 8 times more
# Levels of accuracy that allow more rounding than that of scales to f16: f16, bf16, int8.
_ROUNDED, _INT8 = (2, 3, 4), 4


class FewBits:
    """MatMulNBits of a graph as linear layers, where weights are constant."""

    def __init__(self, m: Matcher) -> None:
        self._m, self._floats = m, 0

    def replace(self, node: Node) -> None:
        """Put a linear layer in the place of a product, if its weight can be kept."""
        x, names = node.inputs[0], [*node.inputs[1:], *[""] * 5][:5]
        parts = [self._m.constants.get(name) if name else None for name in names[:4]]
        given = [part for name, part in zip(names, parts, strict=False) if name]
        if not all(isinstance(part, Tensor) for part in given):
            return
        level = node.attributes.get("accuracy_level", 0)
        try:
            weight = _blocks(node.attributes, parts, level in _ROUNDED)
            if weight is None:
                weight = self._as_floats(node.attributes, parts)
        except (TallowError, *MISFITS):  # told when it is run
            return
        if weight is None:
            return
        inputs = [x, self._m.constant(f"{names[0]}.weight", weight), names[4]]
        exact = int(level != _INT8)
        inputs = inputs if names[4] else inputs[:2]
        self._m.replace([node], "Linear", inputs, node.outputs[0], {"exact": exact})

    def _as_floats(self, how: dict[str, Any], parts: list[Any]) -> Tensor | None:
        size = how["K"] * how["N"] * parts[1].dtype.itemsize
        if self._floats + size > _MOST_FLOATS:
            return None
        self._floats += size
        from tallow.onnx.operators.contrib_products import nbits_weight

        given = {name: how[name] for name in ("K", "N", "block_size")}
        prepacked = how.get("weight_prepacked", 0)
        return nbits_weight(*parts, **given, bits=how.get("bits", 4), weight_prepacked=prepacked)


def _blocks(how: dict[str, Any], parts: list[Any], rounded: bool) -> Tensor | None:
    """The weight (N, K) in q4_0, or q8_0; None where neither holds it exactly."""
    import numpy as np

    packed, scales, points, order = parts
    n, k, block, bits = how["N"], how["K"], how["block_size"], how.get("bits", 4)
    fits = order is None and k % _BLOCK == 0 and block % _BLOCK == 0 and bits in (2, 4, 8)
    fits = fits and packed.dtype is u8 and (points is None or points.dtype is u8)
    count = -(-k // block)
    if not fits or how.get("weight_prepacked", 0) or scales.dtype not in (f16, f32):
        return None
    if packed.numel() != n * count * block * bits // 8 or scales.numel() != n * count:
        return None
    given = scales.numpy().reshape(n, count)
    halves = given.astype(np.float16)
    if not np.isfinite(halves).all() or not (rounded or (halves == given).all()):
        return None
    middle = np.uint8(1 << (bits - 1))
    zeros: Any = middle
    if points is not None:
        zeros = _codes(points.numpy().reshape(n, -1), bits)[:, :count]
    centred = bool((zeros == middle).all())
    if bits == 8 and not centred:  # codes less zero points are no bytes
        return None
    form = by_name("q8_0" if bits == 8 or (bits == 4 and not centred) else "q4_0")
    out = np.empty((n, k // _BLOCK, form.itemsize), np.uint8)
    spread = np.repeat(halves, block // _BLOCK, 1)[:, : k // _BLOCK]
    out[..., :2] = np.ascontiguousarray(spread).view(np.uint8).reshape(n, -1, 2)
    rows = packed.numpy().reshape(n, count, -1)
    for at in range(0, n, _ROWS):
        part = slice(at, at + _ROWS)
        zero = middle if points is None else zeros[part, :, None]
        codes = (_codes(rows[part], bits) - zero).reshape(-1, count * block)[:, :k]
        _fill(out[part, :, 2:], codes.reshape(len(codes), -1, _BLOCK), form.name)
    from tallow.borrowing import from_buffer

    return from_buffer(out.reshape(-1), form, (n, k))


def _codes(packed: Any, bits: int) -> Any:
    """The parts of bytes, those of the low bits first, along the last axis."""
    import numpy as np

    if bits == 8:
        return packed
    parts = [packed >> at & ((1 << bits) - 1) for at in range(0, 8, bits)]
    return np.stack(parts, -1).reshape(*packed.shape[:-1], -1)


def _fill(out: Any, codes: Any, form: str) -> None:
    """Put signed numbers, as bytes that wrap around, behind the scales of blocks."""
    import numpy as np

    if form == "q8_0":
        out[...] = codes
    else:
        shifted = codes + np.uint8(8)
        np.bitwise_or(shifted[..., :16], shifted[..., 16:] << 4, out=out)
