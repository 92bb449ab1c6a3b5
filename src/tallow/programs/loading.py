"""Saved programs, opened and run from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tallow import _native
from tallow.errors import ArgumentError, DTypeError, FormatError, expect
from tallow.formats.mapping import FileMap
from tallow.tensor import Tensor, wrap


class Program:
    """A .tlw file: plans by name, which share weights and states.

    `plans` gives for each name its inputs, outputs and the ranges of its sizes; `sections` the
    bytes beside them. `program("decode", {"input_ids": ids, …}, length=3)` runs one.
    """

    def __init__(self, native: _native.Program, path: str | os.PathLike[str]) -> None:
        self._native, self._path = native, path
        self._set: set[str] = set()  # plans that have memory for states
        self.plans: dict[str, dict[str, Any]] = {
            name: {
                "inputs": inputs,
                "outputs": outputs,
                "sizes": {size: (least, most) for size, least, most in sizes},
            }
            for name, (inputs, outputs, sizes) in native.entries.items()
        }

    @property
    def sections(self) -> dict[str, bytes]:
        """Bytes by name: a tokenizer, settings."""
        return self._native.sections

    def __call__(self, plan: str, inputs: Mapping[str, Tensor], **sizes: int) -> dict[str, Tensor]:
        """The outputs of `plan`, by name, of its `inputs` (contiguous) and for these sizes."""
        row = self.plans.get(plan)
        if row is None:
            raise ArgumentError(f"program: expected one of {', '.join(self.plans)}, got {plan}")
        for wanted, given in ((row["sizes"], sizes), (row["inputs"], inputs)):
            fits = sorted(wanted) == sorted(given)
            expect(fits, f"program {plan}", ", ".join(wanted) or "none", ", ".join(given) or "none")
        if sizes or plan not in self._set:
            self._set.add(plan)
            self._native.set(plan, [sizes[name] for name in row["sizes"]])
        found = self._native.call(plan, [inputs[name]._array for name in row["inputs"]])
        return {name: wrap(x) for name, x in zip(row["outputs"], found, strict=True)}

    def clear(self) -> None:
        """Let all states hold zeros, as at the start."""
        self._native.clear_states()

    def verify(self) -> None:
        """Read the whole file.

        Raises:
            FormatError: a weight or section differs from its checksum.
        """
        try:
            self._native.verify()
        except ArgumentError as error:
            raise _refused(self._path, error) from None


def load_program(path: str | os.PathLike[str]) -> Program:
    """Open a .tlw file: it is mapped, and its tables are checked.

    Raises:
        FormatError: it is no such file, damaged, cut off, or made by a newer version.
    """
    file = FileMap(path)
    try:
        return Program(_native.Program.open(file.buffer), path)
    except (ArgumentError, DTypeError) as error:
        raise _refused(path, error) from None


def _refused(path: str | os.PathLike[str], error: Exception) -> FormatError:
    """What the native reader says, as of a file."""
    field, _, text = str(error).partition(": ")
    expected, _, got = text.removeprefix("expected ").rpartition(", got ")
    return FormatError(os.fspath(path), field, expected, got)
