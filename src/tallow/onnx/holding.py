"""Memory that a program and its plans hold: whoever gets an output may write it, but not that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tallow.onnx.program import Program, on_host
from tallow.tensor import Tensor


class Held:
    """The memory of constants, and of values that plans have as such."""

    def __init__(self, program: Program, weights: Iterable[Tensor]) -> None:
        self._always = constant_storages(program) | {storage(x) for x in weights}
        self._storages = {*self._always}
        self._host = _host_constants(program)

    def __contains__(self, value: Any) -> bool:
        if isinstance(value, Tensor):
            return storage(value) in self._storages
        if isinstance(value, list | tuple):
            return any(each in self for each in value) or any(value is x for x in self._host)
        if not self._host or not on_host(value):
            return False
        import numpy as np

        return any(on_host(x) and np.may_share_memory(value, x) for x in self._host)

    def add(self, values: Iterable[Any]) -> None:
        """Hold the memory of more values."""
        self._storages.update(map(storage, values))

    def clear(self) -> None:
        """Hold what the program does, and no plans."""
        self._storages = {*self._always}

    def free(self, values: list[Any]) -> list[Any]:
        """The values, with copies of those that are held."""
        return [copied(each) if each in self else each for each in values]


def copied(value: Any) -> Any:
    """A value on memory of its own, in lists, too."""
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return type(value)(map(copied, value))
    return value.clone() if isinstance(value, Tensor) else value.copy()


def storage(value: Any) -> int | None:
    """What tells the memory of a tensor from that of others."""
    return value._array.storage_id if isinstance(value, Tensor) else None


def constant_storages(program: Program) -> set[int | None]:
    """The memory of a program's constants, those of its sub-graphs too."""
    found = {storage(value) for _, value in program.constants}
    for step in program.steps:
        for _, body in step.bodies:
            found |= constant_storages(body)
    return found


def _host_constants(program: Program) -> list[Any]:
    found = [value for _, value in program.constants if not isinstance(value, Tensor)]
    for step in program.steps:
        for _, body in step.bodies:
            found += _host_constants(body)
    return found
