"""A plan's tables as Python sees them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from tallow import _native
from tallow.lazy_dataclasses import dataclass, field

# A sum of factor * sizes[0]**powers[0] * …, or an integer that no size changes.
Polynomial = int | dict[tuple[int, ...], int]


@dataclass
class Tables:
    """What a native plan consists of; see `_native.Plan` for the rows.

    `varying` are integers that follow from sizes: ("bytes" | "offset" | "shape" | "stride" |
    "integer", row, axis) → polynomial. An "integer" counts arguments of all calls, one after the
    other.
    """

    buffers: list[tuple[str, int, str]]  # role, bytes, name
    values: list[tuple[int, int, int, tuple[int, ...], tuple[int, ...]]]
    calls: list[tuple[str, list[Any]]]
    inputs: list[int]
    outputs: list[int]
    varying: dict[tuple[str, int, int], Polynomial] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: _native.Plan) -> Tables:
        """The tables of a captured plan."""
        buffers = [(role, size, name) for role, size, _, _, _, name, _ in plan.buffers]
        return cls(buffers, plan.values, plan.calls, plan.inputs, plan.outputs)

    def integers(self) -> Iterator[tuple[tuple[str, int, int], int]]:
        """Every integer that may follow from a size, by its place."""
        for i, (_, size, _) in enumerate(self.buffers):
            yield ("bytes", i, 0), size
        for i, (_, offset, _, shape, strides) in enumerate(self.values):
            yield ("offset", i, 0), offset
            for axis, size in enumerate(shape):
                yield ("shape", i, axis), size
            for axis, stride in enumerate(strides):
                yield ("stride", i, axis), stride
        for i, arg in enumerate(itertools.chain.from_iterable(args for _, args in self.calls)):
            if isinstance(arg, int):
                yield ("integer", i, 0), arg

    def outline(self) -> list[Any]:
        """All that no size may change, in parts that have a name."""
        return [
            ("buffers", [(role, name) for role, _, name in self.buffers]),
            ("values", [(b, dtype, len(shape)) for b, _, dtype, shape, _ in self.values]),
            ("inputs", self.inputs),
            ("outputs", self.outputs),
            *(
                (name, [None if isinstance(arg, int) else arg for arg in args])
                for name, args in self.calls
            ),
        ]
