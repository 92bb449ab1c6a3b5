"""torch.types: what annotations name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

from tallow.device import Device as _Device
from tallow.dtype import DType
from tallow.tensor import Tensor

Number: TypeAlias = int | float | bool
FileLike: TypeAlias = Any
Device: TypeAlias = _Device | str | int | None
Storage: TypeAlias = Any
_dtype, _device = DType, _Device
_bool, _int, _float = bool, int, float
_size: TypeAlias = Sequence[int]
_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
PathLike: TypeAlias = str | os.PathLike[str]

__all__ = ["Device", "FileLike", "Number", "Storage", "_dtype"]
