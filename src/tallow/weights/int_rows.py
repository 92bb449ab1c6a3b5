"""Matrices of 8-bit integers with a scale for each row, as CTranslate2 writes them.

A weight is `q / scale`; the blocks of q8_0 have the same integers and 1 / scale, rounded to f16 (by
at most 2⁻¹¹ of its value). Matrices of 16-bit integers with one scale become floats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tallow.errors import ModelError
from tallow.weights.source import WeightSource

if TYPE_CHECKING:
    from tallow.tensor import Tensor
    from tallow.weights.quantized import Layer

_SCALE: Final = "_scale"
BLOCK: Final = 32


class IntLayer:
    """A matrix and its scales; `ModelError` when their shapes do not agree."""

    def __init__(self, source: WeightSource, name: str) -> None:
        self._source, self._weight, self._scale = source, name, name + _SCALE
        self.parts: tuple[str, ...] = (self._weight, self._scale)
        info, scales = source.info(name), source.info(self._scale)
        if len(info.shape) != 2 or info.dtype not in ("i8", "i16"):
            found = f"{info.dtype} of shape {info.shape}"
            raise ModelError(f"{source.where(name)}: expected a matrix of i8 or i16, found {found}")
        self.shape = (info.shape[0], info.shape[1])
        if scales.dtype != "f32" or tuple(scales.shape) not in ((), (1,), (self.shape[0],)):
            wanted, found = f"f32 of shape ({self.shape[0]},)", f"{scales.dtype} {scales.shape}"
            raise ModelError(f"{source.where(self._scale)}: expected {wanted}, found {found}")
        self._wide = info.dtype == "i16"

    def form(self) -> tuple[str, str | None]:
        """q8_0, or f32 of wide integers and of rows that do not divide into blocks."""
        whole = not self._wide and self.shape[1] % BLOCK == 0
        return ("q8_0" if whole else "f32"), None

    def _steps(self) -> Any:
        """What integers are multiplied by, `(rows, 1)`."""
        import numpy as np

        scales = self._source.take(self._scale).numpy().reshape(-1, 1)
        if not (np.isfinite(scales).all() and (scales > 0).all()):
            where = self._source.where(self._scale)
            raise ModelError(f"{where}: expected scales above 0, found others")
        return np.broadcast_to(1 / scales, (self.shape[0], 1))

    def floats(self) -> Tensor:
        """The weight in f32."""
        import numpy as np

        from tallow.borrowing import from_numpy

        codes = self._source.take(self._weight).numpy().astype(np.float32)
        return from_numpy(codes * self._steps().astype(np.float32))

    def blocks(self) -> Tensor:
        """The weight in its form; q8_0 has of each 32 columns a scale in f16, then the integers."""
        if self.form()[0] != "q8_0":
            return self.floats()
        import numpy as np

        from tallow.borrowing import from_numpy
        from tallow.dtype import q8_0

        n, k = self.shape
        made = np.empty((n, k // BLOCK, 2 + BLOCK), np.uint8)
        steps = self._steps().astype(np.float16).view(np.uint8).reshape(n, 1, 2)
        made[:, :, :2] = steps
        codes = self._source.take(self._weight).numpy().view(np.uint8)
        made[:, :, 2:] = codes.reshape(n, k // BLOCK, BLOCK)
        return from_numpy(made.reshape(n, -1)).view(q8_0)


def with_rows(source: WeightSource) -> WeightSource:
    """`source` with each matrix of integers and its scales replaced by the one weight."""
    from tallow.weights.quantized import LayerFile

    names = [name for name in source.names() if name + _SCALE in source]
    if not names:
        return source
    layers: dict[str, Layer] = {name: IntLayer(source, name) for name in names}
    packed = {part for layer in layers.values() for part in layer.parts}
    rest = source.select([name for name in source.names() if name not in packed])
    made = WeightSource(source.path, [LayerFile(source, layers)], label=source.label)
    return rest.merge(made)
