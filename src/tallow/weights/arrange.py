"""Arrangements: what a file calls or keeps otherwise than a model, as rules over patterns.

Dtypes and shapes of what is arranged follow from those of the file, so that every mismatch is told
before a tensor is read. What is renamed, split or transposed stays borrowed; what is joined is
computed when it is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

from tallow.dtype import DType, by_name, f32
from tallow.errors import ModelError, TallowError
from tallow.formats.mapping import TensorInfo, unknown_name
from tallow.lazy_dataclasses import dataclass, replace
from tallow.weights.entry import ComputedFile, Entry, with_slice
from tallow.weights.patterns import pattern
from tallow.weights.slices import equal_slice, range_slice
from tallow.weights.source import WeightSource

if TYPE_CHECKING:
    from tallow.tensor import Tensor

Way = Literal["same", "split", "cat", "stack", "transpose", "map"]


@dataclass(frozen=True)
class TensorMap:
    """A function of one tensor and its inverse, and what both make of its shape (None: the same).

    `values` says that numbers change: both functions are then given f32, and give it. What only
    moves elements is given the tensor in its own dtype, which may be one of blocks.
    """

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor], Tensor]
    shape: Callable[[tuple[int, ...]], tuple[int, ...]] | None = None
    back_shape: Callable[[tuple[int, ...]], tuple[int, ...]] | None = None
    values: bool = False

    def inverse(self) -> TensorMap:
        """The way back."""
        return TensorMap(
            self.backward, self.forward, self.back_shape, self.shape, values=self.values
        )


def _exchanged(x: Tensor) -> Tensor:
    return x.transpose(-1, -2).contiguous()


def _exchanged_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:-2], shape[-1], shape[-2])


# The last two axes exchanged, of stacked matrices.
EXCHANGED = TensorMap(_exchanged, _exchanged, _exchanged_shape, _exchanged_shape)


@dataclass(frozen=True)
class WeightConverter:
    """From patterns of stored names to patterns of visible ones; made by the functions below."""

    way: Way
    stored: tuple[str, ...]
    visible: tuple[str, ...]
    dim: int = 0
    sizes: tuple[int, ...] = ()
    mapping: TensorMap | None = None

    def within(self, prefix: str, inner: str | None = None) -> WeightConverter:
        """The rule for names below `prefix.`; `inner` is the prefix of the visible ones."""
        head = prefix if inner is None else inner
        return replace(
            self,
            stored=tuple(f"{prefix}.{name}" for name in self.stored),
            visible=tuple(f"{head}.{name}" for name in self.visible),
        )

    def inverse(self) -> WeightConverter:
        """The rule that undoes this one.

        What was joined of unequal parts is cut by the `sizes` that the rule tells.

        Raises:
            ValueError: a rule that gathers by `{*}`, whose count nothing tells.
        """
        if any(pattern(text).gathers for text in self.stored):
            raise ValueError(f"{self.stored[0]}: expected a rule without {{*}} to invert")
        way = _INVERSE.get(self.way, self.way)
        mapping = None if self.mapping is None else self.mapping.inverse()
        return WeightConverter(way, self.visible, self.stored, self.dim, self.sizes, mapping)


_INVERSE: Final[Mapping[Way, Way]] = {"split": "cat", "cat": "split"}


def rename(stored: str, visible: str) -> WeightConverter:
    """The tensor itself under another name."""
    return WeightConverter("same", (stored,), (visible,))


def split(stored: str, *visible: str, dim: int = 0, sizes: Sequence[int] = ()) -> WeightConverter:
    """One stored tensor as several, cut along `dim` into equal parts or parts of `sizes`."""
    return WeightConverter("split", (stored,), visible, dim, tuple(sizes))


def cat(*stored: str, to: str, dim: int = 0, sizes: Sequence[int] = ()) -> WeightConverter:
    """Several stored tensors behind each other along `dim`; `{*}` gathers all of one pattern.

    `sizes` along `dim` are for the inverse of the rule alone: none of them are equal parts.
    """
    return WeightConverter("cat", stored, (to,), dim, tuple(sizes))


def stack(stored: str, *, to: str) -> WeightConverter:
    """The tensors that `{*}` gathers, in order, along a new first axis."""
    return WeightConverter("stack", (stored,), (to,))


def transpose(stored: str, visible: str | None = None) -> WeightConverter:
    """A matrix with its axes exchanged (GPT-2's Conv1D); a view."""
    return WeightConverter("transpose", (stored,), (visible or stored,))


def mapped(stored: str, visible: str, mapping: TensorMap) -> WeightConverter:
    """What a function makes of a tensor."""
    return WeightConverter("map", (stored,), (visible,), mapping=mapping)


def within(prefix: str, rules: Iterable[WeightConverter]) -> tuple[WeightConverter, ...]:
    """The rules of a part for names below `prefix.`."""
    return tuple(rule.within(prefix) for rule in rules)


def arrange(source: WeightSource, rules: Iterable[WeightConverter]) -> WeightSource:
    """`source` as `rules` show it, each applied to what the one before left.

    What cannot be arranged stays under its stored name and is told in `problems`, which the filler
    reports with all other mismatches.
    """
    entries = dict(source.entries())
    problems: list[str] = []
    for rule in rules:
        _APPLY[rule.way](rule, source, entries, problems)
    return source.derived(entries, problems=problems)


def written(tensors: Mapping[str, Tensor], rules: Iterable[WeightConverter]) -> dict[str, Tensor]:
    """Tensors by the stored names, and in the shapes, that `rules` gave their own to.

    Raises:
        ValueError: a rule that joins by `cat` what `{*}` gathers, whose count nothing tells.
    """
    found = dict(tensors)
    for rule in reversed(list(rules)):
        if rule.way == "cat" and any(pattern(text).gathers for text in rule.stored):
            raise ValueError(f"{rule.stored[0]}: expected a rule that joins by stack alone")
        visible, stored = pattern(rule.visible[0]), rule.stored[0]
        for name in list(found):
            match = visible.match(name)
            if match is not None:
                _write(rule, found, name, match[0], stored)
    return found


def _write(
    rule: WeightConverter, found: dict[str, Tensor], name: str, parts: tuple[str, ...], stored: str
) -> None:
    from tallow import ops

    value = found.pop(name)
    if rule.way == "stack":
        for index in range(value.shape[0]):
            found[pattern(stored.replace("{*}", str(index))).fill(parts)] = value[index]
        return
    if rule.way == "cat":
        equal = [value.shape[rule.dim] // len(rule.stored)] * len(rule.stored)
        cut = value.split(list(rule.sizes) or equal, rule.dim)
        for text, part in zip(rule.stored, cut, strict=True):
            found[pattern(text).fill(parts)] = part.contiguous()
        return
    if rule.way == "split":
        rest = [found.pop(pattern(text).fill(parts)) for text in rule.visible[1:]]
        value = ops.cat([value, *rest], rule.dim)
    elif rule.mapping is not None:
        value = rule.mapping.backward(value)
    elif rule.way == "transpose":
        value = value.transpose(0, 1)
    found[pattern(stored).fill(parts)] = value.contiguous()


Entries = dict[str, Entry]


def _matches(rule: WeightConverter, entries: Entries) -> list[tuple[str, tuple[str, ...]]]:
    wanted = pattern(rule.stored[0])
    found = ((name, wanted.match(name)) for name in entries)
    return [(name, match[0]) for name, match in found if match is not None]


def _add_entry(entries: Entries, name: str, entry: Entry, problems: list[str], label: str) -> None:
    if name in entries:
        problems.append(
            f"{label}: {name}: expected once, found {entries[name].stored} and {entry.stored}"
        )
    else:
        entries[name] = entry


def _same(
    rule: WeightConverter, source: WeightSource, entries: Entries, problems: list[str]
) -> None:
    moved = [
        (entries.pop(name), pattern(rule.visible[0]).fill(parts))
        for name, parts in _matches(rule, entries)
    ]
    for entry, name in moved:
        _add_entry(entries, name, entry, problems, source.label)


def _split(
    rule: WeightConverter, source: WeightSource, entries: Entries, problems: list[str]
) -> None:
    for name, parts in _matches(rule, entries):
        entry, slices = entries[name], []
        try:
            info, count, begin = entry.info, len(rule.visible), 0
            total = sum(rule.sizes)
            if rule.sizes and info.shape[rule.dim : rule.dim + 1] != (total,):
                raise ModelError(
                    f"{name}: expected {total} elements along axis {rule.dim}, "
                    f"found shape {info.shape}"
                )
            for index in range(count):
                if rule.sizes:
                    end = begin + rule.sizes[index]
                    slices.append(range_slice(name, info, rule.dim, begin, end))
                    begin = end
                else:
                    slices.append(equal_slice(name, info, rule.dim, index, count))
        except TallowError as error:
            problems.append(f"{source.label}: {error}")
            continue
        del entries[name]
        for visible, part in zip(rule.visible, slices, strict=True):
            made = with_slice(entry, part)
            _add_entry(entries, pattern(visible).fill(parts), made, problems, source.label)


def _one(
    rule: WeightConverter, source: WeightSource, entries: Entries, problems: list[str]
) -> None:
    for name, parts in _matches(rule, entries):
        _made(rule, source, entries, problems, [name], parts)


def _join(
    rule: WeightConverter, source: WeightSource, entries: Entries, problems: list[str]
) -> None:
    """Gather what belongs to one visible name: by the numbers of `{*}`, or by the patterns."""
    groups: dict[tuple[str, ...], dict[int, str]] = {}
    for place, text in enumerate(rule.stored):
        wanted = pattern(text)
        for name in entries:
            match = wanted.match(name)
            if match is not None:
                key = match[1] if wanted.gathers else place
                groups.setdefault(match[0], {})[key] = name
    for parts, members in groups.items():
        count = max(len(members), 0 if pattern(rule.stored[0]).gathers else len(rule.stored))
        absent = [index for index in range(count) if index not in members]
        if absent:
            text = rule.stored[0] if pattern(rule.stored[0]).gathers else rule.stored[absent[0]]
            shown = pattern(text.replace("{*}", str(absent[0]))).fill(parts)
            problems.append(f"{source.label}: {shown}: expected a tensor to join, found nothing")
        else:
            names = [members[index] for index in range(count)]
            _made(rule, source, entries, problems, names, parts)


def _made(
    rule: WeightConverter,
    source: WeightSource,
    entries: Entries,
    problems: list[str],
    names: list[str],
    parts: tuple[str, ...],
) -> None:
    visible = pattern(rule.visible[0]).fill(parts)
    try:
        file = ArrangedTensor(visible, rule, [entries[name] for name in names], str(source.label))
    except TallowError as error:
        problems.append(str(error))
        return
    for name in names:
        del entries[name]
    _add_entry(entries, visible, Entry(file, visible), problems, source.label)


class ArrangedTensor(ComputedFile):
    """One tensor that is made of others: joined, stacked or transposed."""

    def __init__(self, name: str, rule: WeightConverter, parts: Sequence[Entry], path: str) -> None:
        self.path = path
        self._rule = rule
        self._parts = list(parts)
        self._name = name
        infos = [part.info for part in parts]
        dtypes = {info.dtype for info in infos}
        shape = _shape(name, rule, infos)
        nbytes = sum(info.nbytes for info in infos)
        plain = len(dtypes) == 1 and not any(info.stored for info in infos)
        if not plain:
            found = ", ".join(sorted(dtypes))
            raise ModelError(f"{path}: {name}: expected parts of one dtype, found {found}")
        offset = min(info.offset for info in infos)
        mapping = rule.mapping
        dtype = "f32" if mapping is not None and mapping.values else infos[0].dtype
        nbytes = 4 * math.prod(shape) if dtype != infos[0].dtype else nbytes
        info = TensorInfo(name, dtype, shape, offset, nbytes)
        self.tensors: Mapping[str, TensorInfo] = {name: info}

    def tensor(self, name: str) -> Tensor:
        """The tensor, in the dtype of its parts."""
        return self._make(name, None)

    def tensor_as(self, name: str, dtype: DType) -> Tensor:
        """The tensor, of parts taken in `dtype`."""
        return self._make(name, dtype)

    def problem(self, name: str, dtype: DType | None) -> str | None:
        """What is wrong with a part, or with joining blocks."""
        found = next(filter(None, (part.problem(dtype) for part in self._parts)), None)
        info = self.tensors[name]
        quantised = by_name(self._parts[0].info.dtype).kind == "q"
        mapping = self._rule.mapping
        moves = self._rule.way in ("cat", "stack") or (mapping is not None and not mapping.values)
        if found is None and quantised and not moves:
            return f"expected a float tensor to {self._rule.way}, found {info.dtype}"
        return found

    def close(self) -> None:
        """Let go of the files of the parts."""
        for part in self._parts:
            part.file.close()

    def _make(self, name: str, dtype: DType | None) -> Tensor:
        from tallow import ops

        if name != self._name:
            raise unknown_name(self.path, name, self.tensors)
        mapping = self._rule.mapping
        wanted = f32 if mapping is not None and mapping.values else dtype
        parts = [part.read(wanted) for part in self._parts]
        if wanted is not None:
            parts = [part.to(wanted) for part in parts]
        if mapping is not None:
            made = mapping.forward(parts[0])
            return made if dtype is None else made.to(dtype)
        way = self._rule.way
        if way == "transpose":
            return parts[0].transpose(0, 1)
        return ops.stack(parts) if way == "stack" else ops.cat(parts, self._rule.dim)


def _shape(name: str, rule: WeightConverter, infos: Sequence[TensorInfo]) -> tuple[int, ...]:
    shapes = [tuple(info.shape) for info in infos]
    first = shapes[0]
    if rule.mapping is not None:
        return first if rule.mapping.shape is None else tuple(rule.mapping.shape(first))
    if rule.way == "transpose":
        if len(first) != 2:
            raise ModelError(f"{name}: expected a matrix to transpose, found shape {first}")
        return first[::-1]
    if rule.way == "stack":
        if any(shape != first for shape in shapes):
            raise ModelError(f"{name}: expected tensors of one shape to stack, found {shapes[:4]}")
        return (len(shapes), *first)
    dim = rule.dim
    rest = {shape[:dim] + shape[dim + 1 :] for shape in shapes}
    if len(rest) != 1 or not 0 <= dim < len(first):
        raise ModelError(f"{name}: expected shapes that join along {dim}, found {shapes[:4]}")
    return (*first[:dim], sum(shape[dim] for shape in shapes), *first[dim + 1 :])


_APPLY: Final = {
    "same": _same,
    "split": _split,
    "cat": _join,
    "stack": _join,
    "transpose": _one,
    "map": _one,
}
