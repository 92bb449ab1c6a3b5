"""Calls kernels where what is `in` cannot be written: `python written.py KERNEL… NOTE`.

Each line of the result is a problem; a kernel that writes what it must not ends the process.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from native.calls import (
    CODES,
    LAYOUTS,
    SIGNATURES,
    ArrayText,
    Laid,
    calls,
    contents,
    modes_of,
    parse,
)
from tallow import _native
from tallow.errors import TallowError

FREE = [CODES[d] for d in ("f32", "f64", "f16", "bf16", "i32", "i64", "u8", "bool_", "complex64")]


class Case:
    """One call with a dtype for what is free, and a layout for each argument."""

    def __init__(self, name: str, text: str, dtype: int, kinds: dict[int, str], at_end: bool):
        self.name, self.modes = name, modes_of(name)
        self.parsed = parse(text, self.modes)
        self.args: list[Laid | int | float | None] = []
        for i, (arg, mode) in enumerate(zip(self.parsed, self.modes, strict=True)):
            if isinstance(arg, ArrayText):
                code = dtype if arg.dtype is None else arg.dtype
                kind = kinds.get(i, "contiguous")
                locked = mode.startswith("in") and not mode.startswith("inout")
                self.args.append(Laid(arg, code, kind, at_end=at_end, locked=locked))
            else:
                self.args.append(arg)
        self.title = f"{name}: {text}, {_native.DTYPES[dtype][0]}, {kinds or ''}"
        self.filled = False

    def written(self) -> Iterator[tuple[int, Laid]]:
        for i, (arg, mode) in enumerate(zip(self.args, self.modes, strict=True)):
            if isinstance(arg, Laid) and "out" in mode:
                yield i, arg

    def run(self, pattern: int, turned: int = -1) -> dict[int, bytes]:
        """Call it on outputs full of `pattern`; what the written arguments hold then.

        What is changed holds the same in every run, but for argument `turned`.
        """
        for i, (arg, mode) in enumerate(zip(self.args, self.modes, strict=True)):
            if not isinstance(arg, Laid):
                continue
            if "out" in mode:
                keeps = mode.startswith("inout")
                raw = (
                    contents(self.parsed[i], arg.dtype, i + 100 * (i == turned)) if keeps else None
                )
                arg.fill(raw, pattern)
            elif not self.filled:
                arg.fill(contents(self.parsed[i], arg.dtype, i), 0)
        self.filled = True
        before = {i: (arg.elements(), arg.gaps()) for i, arg in self.written()}
        args = [arg.array if isinstance(arg, Laid) else arg for arg in self.args]
        _native.call(self.name, *args)
        for i, arg in self.written():
            if arg.gaps() != before[i][1]:
                raise AssertionError(f"argument {i} is written between its elements")
        self.changed = {i for i, arg in self.written() if arg.elements() != before[i][0]}
        return {i: arg.elements() for i, arg in self.written()}


def cases(name: str) -> Iterator[tuple[str, int, dict[int, str], bool]]:
    modes = modes_of(name)
    for text in calls(name):
        arrays = [i for i, a in enumerate(parse(text, modes)) if isinstance(a, ArrayText)]
        free = any(isinstance(a, ArrayText) and a.dtype is None for a in parse(text, modes))
        for dtype in FREE if free else FREE[:1]:
            yield text, dtype, {}, True
            if dtype not in FREE[:2]:
                continue
            yield text, dtype, {}, False
            for kind in LAYOUTS[1:]:
                yield text, dtype, dict.fromkeys(arrays, kind), True
                for i in arrays:
                    yield text, dtype, {i: kind}, True


def examine(name: str) -> list[str]:
    """What is wrong with the modes that a kernel declares."""
    problems, accepted = [], set()
    changed: set[int] = set()
    matters: set[int] = set()
    for text, dtype, kinds, at_end in cases(name):
        case = Case(name, text, dtype, kinds, at_end)
        try:
            first = case.run(0)
            changed |= case.changed
            second = case.run(0xFF)
            for i, _ in case.written():
                if case.modes[i].startswith("inout") and case.run(0, i) != first:
                    matters.add(i)
        except TallowError as error:
            if not kinds and dtype == FREE[0]:
                refused = str(error)
            continue
        except AssertionError as error:
            problems.append(f"{case.title}: {error}")
            continue
        accepted.add(text)
        for i, _ in case.written():
            mode = case.modes[i]
            if mode.startswith("out") and first[i] != second[i]:
                problems.append(f"{case.title}: argument {i} is `out`, not all of it was written")
    for text in set(calls(name)) - accepted:
        problems += [f"{name}: {text} is no valid call: {refused}"]
    for i, mode in enumerate(modes_of(name)):
        if mode.startswith("inout") and i not in changed:
            problems.append(f"{name}: argument {i} is `inout`, and never changed")
        if mode.startswith("inout") and i not in matters:
            problems.append(f"{name}: argument {i} is `inout`, but what it held does not matter")
    return problems


def main(names: list[str], note: str) -> None:
    lines = []
    for name in names:
        Path(note).write_text("\n".join([*lines, f"{name}: ended the process"]))
        lines += examine(name)
    Path(note).write_text("\n".join(lines))


if __name__ == "__main__":
    # Some sets of instructions have kernels that others lack.
    main([name for name in sys.argv[1:-1] if name in SIGNATURES], sys.argv[-1])
