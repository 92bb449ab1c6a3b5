"""BitNet's weights of three values, four to a byte, with one scale (arXiv 2402.17764).

A byte holds rows that are a quarter of the matrix apart: bits 0 and 1 of byte row i are row i, bits
2 and 3 row i + n/4, and so on; 0, 1 and 2 stand for -1, 0 and 1. `linear_class` tells what the
scale is: `autobitlinear` multiplies with it, `bitlinear` divides by it.

Source: transformers' `integrations/bitnet.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tallow.errors import ModelError

if TYPE_CHECKING:
    from tallow.tensor import Tensor
    from tallow.weights.source import WeightSource

BLOCK: Final = 256  # columns of tq2_0
_EACH: Final = 4  # weights of a byte
_SCALE: Final = ".weight_scale"
_SCALES: Final = (2.0**-14, 65504.0)  # normal numbers of f16


class TernaryLayer:
    """A matrix, packed or not, and its scale; `ModelError` when they do not agree."""

    def __init__(self, source: WeightSource, stem: str, divides: bool) -> None:
        self._source, self._divides = source, divides
        self._weight, self._scale = f"{stem}.weight", stem + _SCALE
        self.parts: tuple[str, ...] = (self._weight, self._scale)
        info, scale = source.info(self._weight), source.info(self._scale)
        kinds = ("u8", "f32", "f16", "bf16")
        if len(info.shape) != 2 or info.dtype not in kinds:
            found = f"{info.dtype} of shape {info.shape}"
            wanted = f"a matrix of {' or '.join(kinds)}"
            raise ModelError(f"{source.where(self._weight)}: expected {wanted}, found {found}")
        if scale.dtype not in kinds[1:] or tuple(scale.shape) not in ((), (1,)):
            found = f"{scale.dtype} of shape {scale.shape}"
            raise ModelError(f"{source.where(self._scale)}: expected one float, found {found}")
        self._packed = info.dtype == "u8"
        self.shape = (info.shape[0] * (_EACH if self._packed else 1), info.shape[1])

    def form(self) -> tuple[str, str | None]:
        """tq2_0, or f32 of what is not packed and of rows that do not divide into blocks."""
        return ("tq2_0" if self._packed and self.shape[1] % BLOCK == 0 else "f32"), None

    def _step(self) -> float:
        step = float(self._source.take(self._scale, "f32").reshape(-1).tolist()[0])
        if not 1e-30 < abs(step) < 1e30:
            where = self._source.where(self._scale)
            raise ModelError(f"{where}: expected a scale that is not 0, found {step:g}")
        return 1 / step if self._divides else step

    def _codes(self) -> Any:
        """0, 1 and 2 of each weight, u8 `(rows, columns)`."""
        import numpy as np

        raw = self._source.take(self._weight).numpy()
        codes = np.concatenate([raw >> 2 * i & 3 for i in range(_EACH)])
        if (codes == 3).any():
            where = self._source.where(self._weight)
            raise ModelError(f"{where}: expected pairs of bits that are 0, 1 or 2, found 3")
        return codes

    def floats(self) -> Tensor:
        """The weight in f32."""
        import numpy as np

        from tallow.borrowing import from_numpy

        if not self._packed:
            return self._source.take(self._weight, "f32") * self._step()
        return from_numpy((self._codes().astype(np.float32) - 1) * np.float32(self._step()))

    def blocks(self) -> Tensor:
        """The weight in its form; tq2_0 has of 256 columns 64 bytes of codes, then the scale.

        Byte j of the first 32 has columns j, 32 + j, 64 + j and 96 + j; the other 32 go on so.
        """
        if self.form()[0] != "tq2_0":
            return self.floats()
        import numpy as np

        from tallow.borrowing import from_buffer

        n, k = self.shape
        scale, (least, most) = self._step(), _SCALES
        if not least <= abs(scale) <= most:
            where = self._source.where(self._scale)
            wanted = f"a scale that f16 holds ({least:g} to {most:g}), or dtype f32"
            raise ModelError(f"{where}: expected {wanted}, found {scale:g}")
        codes = self._codes().reshape(n, k // BLOCK, 2, _EACH, 32)
        made = np.empty((n, k // BLOCK, 66), np.uint8)
        packed = codes[..., 0, :]
        for i in range(1, _EACH):
            packed = packed | codes[..., i, :] << 2 * i
        made[..., :64] = packed.reshape(n, k // BLOCK, 64)
        made[..., 64:] = np.array([scale], np.float16).view(np.uint8)
        return from_buffer(made.reshape(-1), "tq2_0", self.shape)


def find_bitnet(
    source: WeightSource, config: dict[str, Any], mismatches: list[str]
) -> dict[str, Any]:
    """The layers of a checkpoint of BitNet; none where it is quantised as it is run."""
    kind = config.get("linear_class", "bitlinear")
    if kind not in ("bitlinear", "autobitlinear"):
        mismatches.append(f"linear_class: expected bitlinear or autobitlinear, found {kind!r:.60}")
        return {}
    found: dict[str, Any] = {}
    for name in source.names():
        stem = name.removesuffix(_SCALE)
        if stem == name or f"{stem}.weight" not in source:
            continue
        try:
            found[f"{stem}.weight"] = TernaryLayer(source, stem, kind == "bitlinear")
        except ModelError as error:
            mismatches.append(str(error))
    return found
