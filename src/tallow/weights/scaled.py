"""Weights of 8-bit floats with a scale per tensor, per row, or per block of rows and columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tallow.errors import ModelError

if TYPE_CHECKING:
    from tallow.tensor import Tensor
    from tallow.weights.source import WeightSource

BLOCK: Final = 128  # columns of f8e4m3_128
SCALES: Final = (".weight_scale_inv", ".weight_scale")  # both are multiplied with
# Scales of activations, which matter only to those who round activations as well.
UNUSED: Final = (".input_scale", ".activation_scale", ".input_scale_ub")
_AT_ONCE: Final = 1 << 22
_KINDS: Final = ("f32", "f16", "bf16")


class FloatLayer:
    """A layer of E4M3 numbers; `ModelError` when the shapes of its parts do not agree."""

    def __init__(self, source: WeightSource, stem: str, scale: str, block: tuple[int, int]) -> None:
        self._source, self._weight, self._scale = source, f"{stem}.weight", stem + scale
        unused = [stem + suffix for suffix in UNUSED if stem + suffix in source]
        self.parts = (self._weight, self._scale, *unused)
        info, scales = source.info(self._weight), source.info(self._scale)
        found = f"{info.dtype} of shape {info.shape}"
        self._need(len(info.shape) == 2, self._weight, "f8e4m3 of 2 axes", found)
        n, k = info.shape[0], info.shape[1]
        self.shape = (n, k)
        stored = scales.stored.dtype if scales.stored else scales.dtype
        right = stored in (*_KINDS, "F8_E8M0")
        self._need(right, self._scale, f"{', '.join(_KINDS)} or F8_E8M0", stored)
        whole = (-(-n // block[0]), -(-k // block[1]))
        # Of each scale, how many rows and columns it is for.
        spans = {(): (n, k), (1,): (n, k), (1, 1): (n, k), (n,): (1, k), (n, 1): (1, k)}
        spans.setdefault(whole, block)
        wanted = f"one scale, one a row, or shape {whole} for blocks of {block}"
        self._need(scales.shape in spans, self._scale, wanted, scales.shape)
        self._span = spans[scales.shape]

    def _need(self, ok: bool, name: str, expected: object, got: object) -> None:
        if not ok:
            raise ModelError(f"{self._source.where(name)}: expected {expected}, found {got}")

    def form(self) -> tuple[str, str | None]:
        """The block dtype that holds the weight; or `f32`, and why only floats can."""
        k, columns = self.shape[1], self._span[1]
        if k % BLOCK:
            return "f32", f"rows of {k} columns, no multiple of {BLOCK}"
        if columns % BLOCK and columns < k:
            return "f32", f"scales for {columns} columns, no multiple of {BLOCK}"
        return "f8e4m3_128", None

    def _scales(self) -> Any:
        """The scales in f32, `(rows of scales, columns of scales)`."""
        import numpy as np

        info = self._source.info(self._scale)
        if info.stored is not None:  # E8M0: a power of two by its exponent, all ones is NaN
            exponents = self._source.take(self._scale).numpy().astype(np.int32)
            powers = np.ldexp(np.float32(1), exponents - 127)
            values = np.where(exponents == 255, np.float32(np.nan), powers)
        else:
            values = self._source.take(self._scale, "f32").numpy()
        n, k = self.shape
        rows, columns = self._span
        return values.reshape(-(-n // max(rows, 1)), -(-k // max(columns, 1)))

    def _bytes(self) -> Any:
        return self._source.take(self._weight).view("u8").numpy()

    def _rows(self) -> list[tuple[int, int]]:
        n, k = self.shape
        step = max(1, _AT_ONCE // max(k, 1))
        return [(start, min(start + step, n)) for start in range(0, n, step)]

    def floats(self) -> Tensor:
        """The weight in f32: one product a number, rounded once."""
        import numpy as np

        from tallow.borrowing import from_buffer, from_numpy

        values = from_buffer(bytes(range(256)), "f8e4m3", (256,)).to("f32").numpy()
        raw, scales = self._bytes(), self._scales()
        out = np.empty(self.shape, np.float32)
        row, column = (np.arange(m) // size for m, size in zip(self.shape, self._span, strict=True))
        for start, stop in self._rows():
            np.take(values, raw[start:stop], out=out[start:stop])
            out[start:stop] *= scales[row[start:stop]][:, column]
        return from_numpy(out)

    def blocks(self) -> Tensor:
        """The weight in f8e4m3_128: each block's scale, then its bytes as they stand."""
        import numpy as np

        from tallow.borrowing import from_buffer

        n, k = self.shape
        raw, scales = self._bytes(), self._scales()
        row = np.arange(n) // self._span[0]
        column = np.arange(k // BLOCK) * BLOCK // self._span[1]
        out = np.empty((n, k // BLOCK, 4 + BLOCK), np.uint8)
        for start, stop in self._rows():
            values = np.ascontiguousarray(scales[row[start:stop]][:, column], np.float32)
            out[start:stop, :, :4] = values.view(np.uint8).reshape(*values.shape, 4)
            out[start:stop, :, 4:] = raw[start:stop].reshape(stop - start, -1, BLOCK)
        return from_buffer(out.reshape(-1), "f8e4m3_128", self.shape)


def find_fp8(source: WeightSource, config: dict[str, Any], mismatches: list[str]) -> dict[str, Any]:
    """The layers of a checkpoint in FP8, DeepSeek's among them."""
    size = config.get("weight_block_size") or [BLOCK, BLOCK]
    counts = isinstance(size, list) and all(type(n) is int and 0 < n < 2**31 for n in size)
    if not counts or len(size) != 2:
        mismatches.append(f"weight_block_size: expected rows and columns, found {size!r:.60}")
        return {}
    found: dict[str, Any] = {}
    for name in source.names():
        if not name.endswith(".weight") or source.info(name).dtype != "f8e4m3":
            continue
        stem = name.removesuffix(".weight")
        scale = next((suffix for suffix in SCALES if stem + suffix in source), None)
        try:
            if scale is None:
                where = source.where(stem + SCALES[0])
                raise ModelError(f"{where}: expected scales for a weight of f8e4m3, found nothing")
            found[name] = FloatLayer(source, stem, scale, (size[0], size[1]))
        except ModelError as error:
            mismatches.append(str(error))
    return found
