"""Experts of GPT-OSS checkpoints: 4-bit floats with shared scales, given as the dtype `mxfp4`.

`…_blocks` (experts, rows, groups, 16) hold two numbers a byte, neighbours, the first in the low
bits; `…_scales` (experts, rows, groups) the exponents of groups of 32. ggml's blocks hold the same
numbers, element i beside i + 16. Rows of `gate_up_proj` are those of gate and up by turns.

Sources: OCP Microscaling Formats (MX) 1.0; transformers (`integrations/mxfp4.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.tensor import Tensor
    from tallow.weights.source import WeightSource

_BLOCKS, _SCALES = "_blocks", "_scales"
# What is made of a stored stem: the names, and which rows they have.
_ROLES: Final = {
    "gate_up_proj": (("gate_proj.weight", 0, 2), ("up_proj.weight", 1, 2)),
    "down_proj": (("down_proj.weight", 0, 1),),
}


@dataclass(frozen=True)
class Mxfp4Experts:
    """Each `step`-th row, from `first` on, of all experts."""

    source: WeightSource
    parts: tuple[str, ...]
    shape: tuple[int, ...]
    first: int
    step: int

    def form(self) -> tuple[str, str | None]:
        """The dtype, which holds any such weight."""
        return "mxfp4", None

    def blocks(self) -> Tensor:
        """The weight `(experts, rows, columns)` in `mxfp4`."""
        import numpy as np

        from tallow.borrowing import from_buffer
        from tallow.dtype import mxfp4

        packed, scales = (self.source.take(name).numpy() for name in self.parts)
        experts, rows, columns = self.shape
        made = np.empty((experts, rows, columns // 32, 17), np.uint8)
        for i in range(experts):
            pairs = packed[i, self.first :: self.step]
            codes = np.empty((*pairs.shape[:-1], 32), np.uint8)
            codes[..., ::2], codes[..., 1::2] = pairs & 15, pairs >> 4
            made[i, ..., 0] = scales[i, self.first :: self.step]
            made[i, ..., 1:] = codes[..., :16] | codes[..., 16:] << 4
        return from_buffer(made, mxfp4, self.shape)

    def floats(self) -> Tensor:
        """The weight in f32."""
        from tallow.dtype import f32

        return self.blocks().to(f32)


def find_mxfp4(
    source: WeightSource, config: dict[str, Any], mismatches: list[str]
) -> dict[str, Any]:
    """The experts of a checkpoint, by the names of our modules."""
    found: dict[str, Any] = {}
    for name in source.names():
        stem, _, role = name.removesuffix(_BLOCKS).rpartition(".")
        if not name.endswith(_BLOCKS) or role not in _ROLES:
            continue
        scales = f"{stem}.{role}{_SCALES}"
        blocks, wanted = source.info(name), None
        if blocks.dtype == "u8" and len(blocks.shape) == 4 and blocks.shape[3] == 16:
            wanted = ("u8", tuple(blocks.shape[:3]))
        info = source.info(scales) if scales in source else None
        got = None if info is None else (info.dtype, tuple(info.shape))
        if wanted is None or got != wanted:
            shown = f"u8 (experts, rows, groups, 16) beside {scales} (experts, rows, groups)"
            mismatches.append(f"{name}: expected {shown}, found {tuple(blocks.shape)} and {got}")
            continue
        experts, rows, groups = wanted[1]
        if rows % len(_ROLES[role]):
            mismatches.append(f"{name}: expected rows of gate and up by turns, found {rows}")
            continue
        for visible, first, step in _ROLES[role]:
            shape = (experts, rows // step, groups * 32)
            found[f"{stem}.{visible}"] = Mxfp4Experts(source, (name, scales), shape, first, step)
    return found
