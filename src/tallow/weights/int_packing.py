"""Weights packed as integers of 4 or 8 bits with scales and zero points per group of columns.

The layouts are those of GPTQ, AWQ and compressed-tensors, whose sources `quantized` names. A weight
is `(n, k)`: n outputs, k inputs; a group is a run of inputs that share a scale per output.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tallow.tensor import Tensor
    from tallow.weights.source import WeightSource

BLOCK: Final = 32  # columns of q4_0, q4_1 and q8_0
_AT_ONCE: Final = 1 << 22  # weights that are unpacked together
# Which of 8 neighbouring columns stands at each place of a word of AWQ's, from the low bits up.
AWQ_ORDER: Final = (0, 2, 4, 6, 1, 3, 5, 7)


@dataclass(frozen=True)
class Layout:
    """Where the parts of a layer stand: suffixes of names, and functions that unpack them.

    `codes(words, bits, start, stop)` gives rows `start` to `stop` of the codes, `(rows, k)`;
    `zeros(words, bits)` the zero points, `(groups, n)`; `shape(lengths, numbers in a word)` the
    weight's shape. `turned` says that scales are `(n, groups)`.
    """

    weight: str
    scale: str
    zero: str
    order: str
    codes: Callable[[Any, int, int, int], Any]
    zeros: Callable[[Any, int], Any]
    shape: Callable[[tuple[int, ...], int], tuple[int, int]]
    turned: bool = False


def unpack(words: NDArray[Any], bits: int) -> NDArray[Any]:
    """Words of 32 bits `(…, m)` → the numbers in them `(…, m * 32 / bits)`, low bits first."""
    import numpy as np

    raw = np.ascontiguousarray(words.astype("<i4", copy=False)).view(np.uint8)
    if bits == 8:
        return raw
    out = np.empty((*raw.shape[:-1], 2 * raw.shape[-1]), np.uint8)
    out[..., ::2] = raw & 15
    out[..., 1::2] = raw >> 4
    return out


def _gptq_codes(words: Any, bits: int, start: int, stop: int) -> Any:
    return unpack(words[:, start:stop].T, bits)  # k runs down the words of a column


def _gptq_zeros(words: Any, bits: int) -> Any:
    # Version 1 stores z - 1; 0 - 1 wraps around in the bits that a zero point has.
    return unpack(words, bits) + 1 & (1 << bits) - 1


def _awq_unpack(words: Any, bits: int) -> Any:
    import numpy as np

    found = unpack(words, bits).reshape(*words.shape, 8)
    return found[..., np.argsort(AWQ_ORDER)].reshape(*words.shape[:-1], -1)


def _awq_codes(words: Any, bits: int, start: int, stop: int) -> Any:
    return _awq_unpack(words[:, start // 8 : -(-stop // 8)], bits).T


def _row_codes(words: Any, bits: int, start: int, stop: int) -> Any:
    return unpack(words[start:stop], bits)


GPTQ: Final = Layout(
    ".qweight", ".scales", ".qzeros", ".g_idx", _gptq_codes, _gptq_zeros,
    lambda shape, per: (shape[1], shape[0] * per),
)  # fmt: skip
GPTQ_V2: Final = Layout(
    ".qweight", ".scales", ".qzeros", ".g_idx", _gptq_codes, unpack,
    lambda shape, per: (shape[1], shape[0] * per),
)  # fmt: skip
AWQ: Final = Layout(
    ".qweight", ".scales", ".qzeros", "", _awq_codes, _awq_unpack,
    lambda shape, per: (shape[1] * per, shape[0]),
)  # fmt: skip
# Signed numbers, stored with half of their range added: codes and zero points alike.
COMPRESSED: Final = Layout(
    ".weight_packed", ".weight_scale", ".weight_zero_point", ".weight_g_idx", _row_codes,
    lambda words, bits: unpack(words.T, bits),
    lambda shape, per: (shape[0], shape[1] * per), turned=True,
)  # fmt: skip


class IntLayer:
    """A layer of packed integers; `ModelError` when the shapes of its parts do not agree."""

    def __init__(
        self, source: WeightSource, stem: str, layout: Layout, bits: int, group: int | None
    ) -> None:
        self._source, self._stem, self._layout, self._bits = source, stem, layout, bits
        roles = (layout.weight, layout.scale, layout.zero, layout.order)
        present = [suffix for suffix in roles if suffix and stem + suffix in source]
        extra = [
            suffix for suffix in (".weight_shape",) if layout.turned and stem + suffix in source
        ]
        self.parts = tuple(stem + suffix for suffix in (*present, *extra))
        self._need(layout.weight in present, layout.weight, "packed numbers", "nothing")
        self._need(layout.scale in present, layout.scale, "scales", "nothing")
        words = self._info(layout.weight, ("i32",), 2)
        self.shape = layout.shape(words, 32 // bits)
        if extra:
            self.shape = self._stated_shape(extra[0], 32 // bits)
        n, k = self.shape
        scales = self._info(layout.scale, ("f16", "bf16", "f32"), 2)
        self._groups, columns = scales[::-1] if layout.turned else scales
        size = k if group is None or group == -1 else group
        fits = columns == n and size > 0 and self._groups == -(-k // size)
        wanted = f"for {n} rows and {k} columns in groups of {size}"
        self._need(fits, layout.scale, f"shape {wanted}", scales)
        self._size = size
        self._check_zeros(present)
        if layout.order in present:
            order = self._info(layout.order, ("i32", "i64"), 1)
            self._need(order == (k,), layout.order, f"shape ({k},)", order)

    def _check_zeros(self, present: list[str]) -> None:
        layout, n = self._layout, self.shape[0]
        if layout.zero not in present:
            # AutoGPTQ and AutoAWQ always write them, so a file without is damaged.
            self._need(layout.turned, layout.zero, "zero points", "nothing")
            return
        found = self._info(layout.zero, ("i32",), 2)
        pair = (self._groups, -(-n * self._bits // 32))
        wanted = pair[::-1] if layout.turned else pair
        whole = layout.turned or n * self._bits % 32 == 0  # compressed-tensors fills up
        self._need(whole and found == wanted, layout.zero, f"shape {wanted}", found)

    def _stated_shape(self, suffix: str, per: int) -> tuple[int, int]:
        """The shape that a tensor of the file states: the last word of a row may be part empty."""
        length = self._info(suffix, ("i64", "i32"), 1)
        self._need(length == (2,), suffix, "two numbers", length)
        n, k = (int(number) for number in self._source.take(self._stem + suffix).tolist())
        rows, columns = self.shape
        fits = n == rows and columns - per < k <= columns
        wanted = f"{rows} rows and {columns - per + 1} to {columns} columns"
        self._need(fits, suffix, wanted, f"{n} and {k}")
        return n, k

    def _need(self, ok: bool, suffix: str, expected: object, got: object) -> None:
        if not ok:
            where = self._source.where(self._stem + suffix)
            raise ModelError(f"{where}: expected {expected}, found {got}")

    def _info(self, suffix: str, dtypes: tuple[str, ...], ndim: int) -> tuple[int, ...]:
        info = self._source.info(self._stem + suffix)
        right = info.dtype in dtypes and len(info.shape) == ndim and info.stored is None
        found = f"{info.dtype} of shape {info.shape}"
        self._need(right, suffix, f"{' or '.join(dtypes)} of {ndim} axes", found)
        return info.shape

    def _array(self, suffix: str, dtype: str | None = None) -> Any:
        return self._source.take(self._stem + suffix, dtype).numpy()

    @cached_property
    def _group_of(self) -> Any:
        """The group of each column."""
        import numpy as np

        k = self.shape[1]
        name = self._stem + self._layout.order
        if name not in self.parts:
            return np.arange(k) // self._size
        order = self._array(self._layout.order)
        inside = k == 0 or 0 <= int(order.min()) <= int(order.max()) < self._groups
        self._need(inside, self._layout.order, f"groups from 0 to {self._groups - 1}", "others")
        return order

    def _zeros(self) -> Any:
        """The zero points, `(groups, n)`; what stands in the middle where none are stored."""
        import numpy as np

        if self._stem + self._layout.zero in self.parts:
            zeros = self._layout.zeros(self._array(self._layout.zero), self._bits)
            return zeros[:, : self.shape[0]]
        return np.full((self._groups, self.shape[0]), 1 << self._bits - 1, np.uint8)

    def _scales(self, dtype: str) -> Any:
        """The scales, `(groups, n)`."""
        found = self._array(self._layout.scale, dtype)
        return found.T if self._layout.turned else found

    @cached_property
    def _form(self) -> tuple[str, str | None]:
        import numpy as np

        k = self.shape[1]
        if k % BLOCK:
            return "f32", f"rows of {k} columns, no multiple of {BLOCK}"
        blocks = self._group_of.reshape(-1, BLOCK)
        if (blocks != blocks[:, :1]).any():
            if self._stem + self._layout.order in self.parts:
                return "f32", f"desc_act: {BLOCK} neighbouring columns are of several groups"
            return "f32", f"groups of {self._size} columns, no multiple of {BLOCK}"
        zeros, scales = self._zeros(), self._scales("f32")
        if (np.abs(scales) > 65504).any():
            return "f32", "scales beyond those of f16"
        if (zeros == 1 << self._bits - 1).all():
            return ("q4_0" if self._bits == 4 else "q8_0"), None
        if self._bits == 8:
            return "f32", "8 bits with a zero point other than 128"
        if (np.abs(scales * zeros) > 65504).any():
            return "f32", "zero points beyond those of f16"
        return "q4_1", None

    def form(self) -> tuple[str, str | None]:
        """The block dtype that holds the weight; or `f32`, and why only floats can."""
        return self._form

    def _runs(self) -> list[tuple[int, int]]:
        """Ranges of rows to unpack together: AWQ's words hold 8 of them."""
        n, k = self.shape
        step = max(8, _AT_ONCE // max(k, 1) // 8 * 8)
        return [(start, min(start + step, n)) for start in range(0, n, step)]

    def floats(self) -> Tensor:
        """The weight in f32, scale × (code - zero point); f32 holds it exactly for f16 scales."""
        import numpy as np

        from tallow.borrowing import from_numpy

        words = self._array(self._layout.weight)
        zeros, scales, group = self._zeros(), self._scales("f32"), self._group_of
        out = np.empty(self.shape, np.float32)
        for start, stop in self._runs():
            codes = self._layout.codes(words, self._bits, start, stop)[:, : self.shape[1]]
            part = out[start:stop]
            np.subtract(codes, zeros[:, start:stop][group].T, out=part, dtype=np.float32)
            part *= scales[:, start:stop][group].T
        return from_numpy(out)

    def blocks(self) -> Tensor:
        """The weight in the block dtype that `form` names."""
        import numpy as np

        from tallow.borrowing import from_buffer
        from tallow.dtype import by_name

        form = by_name(self._form[0])
        n, k = self.shape
        words, group = self._array(self._layout.weight), self._group_of[::BLOCK]
        scales = self._scales("f32")
        heads = [scales.astype(np.float16)]
        if form.name == "q4_1":
            heads.append((-scales * self._zeros()).astype(np.float16))
        out = np.empty((n, k // BLOCK, form.itemsize), np.uint8)
        for start, stop in self._runs():
            codes = self._layout.codes(words, self._bits, start, stop)
            codes = codes.reshape(stop - start, k // BLOCK, BLOCK)
            part = out[start:stop]
            for at, head in enumerate(heads):
                values = np.ascontiguousarray(head[:, start:stop][group].T)
                part[..., 2 * at : 2 * at + 2] = values.view(np.uint8).reshape(*values.shape, 2)
            body = part[..., 2 * len(heads) :]
            if self._bits == 8:
                np.bitwise_xor(codes, 128, out=body)  # code - 128 as a signed byte
            else:
                np.bitwise_or(codes[..., :16], codes[..., 16:] << 4, out=body)
        return from_buffer(out.reshape(-1), form, self.shape)


def find_gptq(
    source: WeightSource, config: dict[str, Any], mismatches: list[str]
) -> dict[str, Any]:
    """The layers of a GPTQ checkpoint."""
    layouts = {"gptq": GPTQ, "gptq_v2": GPTQ_V2}
    layout = _one_of(config, "checkpoint_format", layouts, "gptq", mismatches)
    return _layers(
        source, layout, _bits(config, (4, 8), mismatches), _group(config, mismatches), mismatches
    )


def find_awq(source: WeightSource, config: dict[str, Any], mismatches: list[str]) -> dict[str, Any]:
    """The layers of an AWQ checkpoint."""
    layout = _one_of(config, "version", {"gemm": AWQ}, "gemm", mismatches)
    return _layers(
        source, layout, _bits(config, (4,), mismatches), _group(config, mismatches), mismatches
    )


def find_compressed(
    source: WeightSource, config: dict[str, Any], mismatches: list[str]
) -> dict[str, Any]:
    """The layers of a checkpoint of compressed-tensors: packed integers, or floats of 8 bits."""
    from tallow.weights.scaled import find_fp8

    known = {"pack-quantized": COMPRESSED, "float-quantized": None, "naive-quantized": None}
    layout = _one_of(config, "format", known, "", mismatches)
    if layout is None:
        return {} if mismatches else find_fp8(source, config, mismatches)
    groups = config.get("config_groups")
    rows = [row.get("weights") for row in groups.values()] if isinstance(groups, dict) else []
    forms = {(row.get("num_bits"), row.get("group_size")) for row in rows if isinstance(row, dict)}
    if len(forms) != 1:
        mismatches.append(f"config_groups: expected one kind of weights, found {len(forms)}")
        return {}
    bits, group = forms.pop()
    plain = {"bits": bits, "group_size": group}
    return _layers(
        source, layout, _bits(plain, (4, 8), mismatches), _group(plain, mismatches), mismatches
    )


def _layers(
    source: WeightSource, layout: Layout | None, bits: int, group: int | None, mismatches: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if layout is None or mismatches:
        return found
    for name in source.names():
        if not name.endswith(layout.weight):
            continue
        stem = name.removesuffix(layout.weight)
        try:
            if f"{stem}.weight" in source:
                where = source.where(f"{stem}.weight")
                raise ModelError(f"{where}: expected no weight beside packed ones, found one")
            found[f"{stem}.weight"] = IntLayer(source, stem, layout, bits, group)
        except ModelError as error:
            mismatches.append(str(error))
    return found


def _one_of(
    config: dict[str, Any], key: str, known: dict[str, Any], default: str, mismatches: list[str]
) -> Any:
    value = config.get(key) or default
    name = value.lower() if isinstance(value, str) else ""
    if name not in known:
        mismatches.append(f"{key}: expected {' or '.join(known)}, found {value!r:.60}")
        return None
    return known[name]


def _bits(config: dict[str, Any], known: tuple[int, ...], mismatches: list[str]) -> int:
    value = config.get("bits", config.get("w_bit"))
    if type(value) is not int or value not in known:
        mismatches.append(f"bits: expected {' or '.join(map(str, known))}, found {value!r:.60}")
        return known[0]
    return value


def _group(config: dict[str, Any], mismatches: list[str]) -> int | None:
    value = config.get("group_size", config.get("q_group_size"))
    if value is None or (type(value) is int and (value == -1 or 0 < value < 2**31)):
        return value
    mismatches.append(f"group_size: expected a number of columns or -1, found {value!r:.60}")
    return None
