"""How elements lie in memory, in PyTorch's words: `memory_format=` and `layout=`."""

from __future__ import annotations

from typing import Any

from .errors import ArgumentError


class _Named:
    """One of PyTorch's words, equal to itself by its name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.name,))


class memory_format(_Named):  # noqa: N801  (PyTorch's name)
    """An order of axes in memory: what `memory_format=` takes."""

    __slots__ = ()


class layout(_Named):  # noqa: N801  (PyTorch's name)
    """How elements are kept: `strided` is the one that is here."""

    __slots__ = ()


contiguous_format = memory_format("contiguous_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
preserve_format = memory_format("preserve_format")
strided = layout("strided")

# The axes of a tensor in the order in which they lie in memory.
_ORDERS = {"channels_last": (0, 2, 3, 1), "channels_last_3d": (0, 2, 3, 4, 1)}


def order_of(wanted: Any, ndim: int, where: object) -> tuple[int, ...] | None:
    """The order of axes in memory that a format asks for; None for the usual one, or any."""
    name = getattr(wanted, "name", None)
    if wanted is None or name in ("preserve_format", "contiguous_format"):
        return None
    order = _ORDERS.get(str(name))
    if order is None or len(order) != ndim:
        need = "a memory format" if order is None else f"a tensor of {len(order)} axes for {name}"
        got = repr(wanted) if order is None else ndim
        raise ArgumentError(f"{getattr(where, '__name__', where)}: expected {need}, got {got}")
    return order
