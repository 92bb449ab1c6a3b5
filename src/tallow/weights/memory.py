"""Tensors in memory under the interface of an open file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tallow.errors import ArgumentError
from tallow.formats.mapping import TensorInfo, unknown_name

if TYPE_CHECKING:
    from tallow.tensor import Tensor


class TensorDict:
    """A mapping of names to tensors; what is taken shares their memory.

    Raises:
        ArgumentError: a name is no text, or a value no tensor.
    """

    def __init__(self, tensors: Mapping[Any, Any], path: str = "<tensors>") -> None:
        from tallow.tensor import Tensor

        self.path = path
        self.tensors: dict[str, TensorInfo] = {}
        self._tensors: dict[str, Tensor] = dict(tensors)
        for name, tensor in tensors.items():
            if not isinstance(name, str) or not isinstance(tensor, Tensor):
                got = f"{name!r} → {type(tensor).__name__}"
                raise ArgumentError(f"open_weights: expected names → tensors, got {got}")
            shape = tuple(tensor.shape)
            self.tensors[name] = TensorInfo(name, tensor.dtype.name, shape, 0, tensor.nbytes)

    def tensor(self, name: str) -> Tensor:
        """The tensor of a name, on the same memory and without its gradient."""
        if name not in self._tensors:
            raise unknown_name(self.path, name, self._tensors)
        return self._tensors[name].detach()

    def close(self) -> None:
        """Do nothing: the tensors belong to whoever made them."""
