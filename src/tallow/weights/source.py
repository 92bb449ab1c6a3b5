"""WeightSource: a lazy map from names to tensors, over one file or several, here or far away."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tallow.device import Device, as_device
from tallow.dtype import DType, as_dtype
from tallow.errors import ArgumentError, DTypeError, ModelError, TallowError
from tallow.factories import empty
from tallow.weights.entry import ComputedFile, Entry, PartialFile, TensorFile, with_slice
from tallow.weights.name_map import NameMap
from tallow.weights.slices import equal_slice, range_slice

if TYPE_CHECKING:
    from tallow.formats.mapping import TensorInfo
    from tallow.tensor import Tensor
    from tallow.weights.arrange import WeightConverter

MAX_LISTED = 20


class WeightSource:
    """Tensors by name, taken lazily: nothing is read before it is asked for.

    `path` is the file or folder (a mere label when there is none, as of bytes or a URL); `metadata`
    what stands in the file beside the tensors; `config` the content of a Hugging Face
    `config.json`, when the source is such a folder. Usable in a `with` statement.
    """

    def __init__(
        self,
        path: Path,
        files: Iterable[TensorFile],
        *,
        metadata: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        label: str | None = None,
    ) -> None:
        self.path = path
        self.label = str(path) if label is None else label
        self.metadata: Mapping[str, Any] = {} if metadata is None else metadata
        self.config = config
        self._where: dict[str, Entry] = {}  # by visible name
        for file in files:
            for name in file.tensors:
                if name in self._where:
                    found = "expected once, found in two files"
                    raise ModelError(f"{self.label}: tensor {name!r}: {found}")
                self._where[name] = Entry(file, name)
        self._inverse: Callable[[str], str] = _same
        self.problems: tuple[str, ...] = ()  # what could not be arranged, in words

    # --- what there is ----------------------------------------------------------------------------

    def names(self) -> list[str]:
        """All names, in the order of the file."""
        return list(self._where)

    def __contains__(self, name: object) -> bool:
        return name in self._where

    def __len__(self) -> int:
        return len(self._where)

    def info(self, name: str) -> TensorInfo:
        """Dtype, shape and place of a tensor (or of the part of it), without touching its bytes."""
        return self._find(name).info

    def where(self, name: str) -> str:
        """File and stored name, for errors; a name that is absent gets the one it would have."""
        entry = self._where.get(name)
        if entry is None:
            return f"{self.label}: {self._inverse(name)}"
        return f"{getattr(entry.file, 'path', self.label)}: {entry.stored}"

    def part_of(self, name: str) -> str:
        """For errors: which part of the stored tensor a name is, "" for all of it."""
        entry = self._find(name)
        if not entry.slices:
            return ""
        ranges = ", ".join(
            f"{part.start} to {part.stop} of axis {part.dim}" for part in entry.slices
        )
        return f" ({ranges} of {entry.file.tensors[entry.stored].shape})"

    def problem(self, name: str, dtype: DType | None = None) -> str | None:
        """Why `take(name, dtype)` would fail although the tensor is there, or None."""
        return self._find(name).problem(dtype)

    def expansion(self) -> tuple[int, int]:
        """How many bytes the tensors of uncompressed files take, and how many these files have.

        A view that repeats elements, and tensors that share bytes, take more than their file.
        """
        taken, files = 0, dict[int, int]()
        for entry in self._where.values():
            size = getattr(entry.file, "stored_size", None)
            if size is not None:
                taken += entry.info.nbytes
                files[id(entry.file)] = size
        return taken, sum(files.values())

    def is_computed(self, name: str) -> bool:
        """Whether a tensor is computed from others, so that what it is depends on the dtype."""
        return isinstance(self._find(name).file, ComputedFile)

    # --- taking -----------------------------------------------------------------------------------

    def take(
        self, name: str, dtype: DType | str | None = None, device: Device | str | None = None
    ) -> Tensor:
        """A tensor; it borrows the mapped file unless `dtype` asks for a conversion.

        On `device="meta"` nothing is read.

        Raises:
            DTypeError: `dtype` is none, or the tensor cannot be converted to it.
            FormatError: the file was shortened since it was opened.
            ModelError: no such tensor.
        """
        return self._read(name, self._find(name), dtype, device)

    def take_slice(
        self,
        name: str,
        dim: int,
        index: int,
        count: int,
        *,
        dtype: DType | str | None = None,
        device: Device | str | None = None,
    ) -> Tensor:
        """Part `index` of `count` equal parts of a tensor along axis `dim`: a view, no copy.

        Block dtypes divide along the last axis at the borders of their blocks, along others freely.

        Raises:
            ArgumentError: `index` is not one of `count`.
            ModelError: no such tensor.
            ShapeError: no such axis, or it does not divide evenly.
        """
        entry = self._find(name)
        part = equal_slice(self.where(name), entry.info, dim, index, count)
        return self._read(name, with_slice(entry, part), dtype, device)

    def take_range(
        self,
        name: str,
        dim: int,
        start: int,
        stop: int,
        *,
        dtype: DType | str | None = None,
        device: Device | str | None = None,
    ) -> Tensor:
        """Elements `start` to `stop` of a tensor along axis `dim`: a view, no copy.

        Raises:
            ModelError: no such tensor.
            ShapeError: no such axis or range, or a range that cuts a block in two.
        """
        entry = self._find(name)
        part = range_slice(self.where(name), entry.info, dim, start, stop)
        return self._read(name, with_slice(entry, part), dtype, device)

    def prefetch(self, names: Iterable[str] | None = None) -> None:
        """Fetch tensors of a remote source now, neighbours together; mapped files need none.

        What was fetched is held until it is taken.
        """
        wanted: dict[int, tuple[PartialFile, list[str]]] = {}
        for name in self.names() if names is None else names:
            entry = self._find(name)
            if isinstance(entry.file, PartialFile):
                wanted.setdefault(id(entry.file), (entry.file, []))[1].append(entry.stored)
        for file, stored in wanted.values():
            file.prefetch(stored)

    # --- other views of the same tensors ----------------------------------------------------------

    def rename(self, names: Mapping[str, str] | Callable[[str], str]) -> WeightSource:
        """The same tensors under other names: stored name → visible name.

        A mapping leaves the names it lacks as they are; a `NameMap` keeps the way back too, so
        that errors about absent tensors speak of the file's own names.

        Raises:
            ModelError: two tensors would get the same name.
        """
        visible = partial(_from_table, names) if isinstance(names, Mapping) else names
        back = names.stored if isinstance(names, NameMap) else _same
        inverse = self._inverse
        where: dict[str, Entry] = {}
        for name, entry in self._where.items():
            new = visible(name)
            if new in where:
                found = f"{where[new].stored} and {entry.stored}"
                raise ModelError(f"{self.label}: rename: expected one {new}, found {found}")
            where[new] = entry
        return self.derived(where, lambda name: inverse(back(name)))

    def scope(self, prefix: str) -> WeightSource:
        """The tensors below `prefix.`, under names without it."""
        head = prefix if prefix.endswith(".") or not prefix else prefix + "."
        inverse = self._inverse
        return self.derived(
            {n.removeprefix(head): e for n, e in self._where.items() if n.startswith(head)},
            lambda name: inverse(head + name),
        )

    def select(self, names: str | re.Pattern[str] | Iterable[str]) -> WeightSource:
        """Some of the tensors: a regular expression for whole names, or the names themselves.

        Raises:
            ModelError: names that are not there, or a pattern that no name matches.
        """
        if isinstance(names, str | re.Pattern):
            pattern = re.compile(names)
            chosen = [name for name in self._where if pattern.fullmatch(name)]
            if not chosen:
                found = f"none among {len(self)}"
                wanted = f"names that match {pattern.pattern!r}"
                raise ModelError(f"{self.label}: select: expected {wanted}, found {found}")
        else:
            chosen = list(names)
            missing = [self.where(name) for name in chosen if name not in self._where]
            if missing:
                raise ModelError(
                    _listed(f"{self.label}: select: tensors that are absent:", missing)
                )
        return self.derived({name: self._where[name] for name in chosen}, self._inverse)

    def shard(
        self, rank: int, world: int, dims: Mapping[str, int] | Callable[[str], int | None]
    ) -> WeightSource:
        r"""The tensors as process `rank` of `world` needs them: cut along an axis, or whole.

        `dims` tells the axis of a name: a function (None: whole), or a table of regular expressions
        for whole names, the first that matches counting:
        `source.shard(0, 2, {r".*[qkv]_proj\.weight": 0, r".*o_proj\.weight": 1})`.
        `info` and `take` then give equal parts, as `take_slice` does.

        Raises:
            ArgumentError: `rank` is not one of `world`.
            ModelError: one line for every tensor that does not divide.
        """
        if world < 1 or not 0 <= rank < world:
            raise ArgumentError(f"shard: expected a rank from 0 to {world - 1}, got {rank}")
        choose = partial(_first_match, _compiled(dims)) if isinstance(dims, Mapping) else dims
        where, mismatches = dict(self._where), []
        for name, entry in self._where.items():
            dim = choose(name)
            if dim is None:
                continue
            try:
                where[name] = with_slice(
                    entry, equal_slice(self.where(name), entry.info, dim, rank, world)
                )
            except TallowError as error:
                mismatches.append(str(error))
        if mismatches:
            raise ModelError(_listed(f"{self.label}: shard {rank} of {world}:", mismatches))
        return self.derived(where, self._inverse)

    def merge(self, *others: WeightSource) -> WeightSource:
        """The tensors of this source and others; path, config and metadata of the first that has.

        Raises:
            ModelError: one line for every name that stands in two of them.
        """
        where, mismatches = dict(self._where), []
        for other in others:
            for name, entry in other._where.items():
                if name in where:
                    places = f"{_place(where[name])} and {_place(entry)}"
                    mismatches.append(f"{name}: expected once, found in {places}")
                where[name] = entry
        if mismatches:
            raise ModelError(_listed(f"{self.label}: merge:", mismatches))
        merged = self.derived(where, self._inverse)
        merged.metadata = ChainMap(*[dict(each.metadata) for each in (self, *others)])
        merged.config = next((s.config for s in (self, *others) if s.config is not None), None)
        return merged

    def arrange(self, rules: Iterable[WeightConverter]) -> WeightSource:
        """The tensors as `rules` of `tallow.weights.arrange` show them: renamed, split, joined.

        What cannot be arranged is told in `problems`, which `load` reports with all mismatches.
        """
        from tallow.weights.arrange import arrange

        return arrange(self, rules)

    def entries(self) -> Mapping[str, Entry]:
        """Where each visible name leads."""
        return self._where

    def derived(
        self,
        where: dict[str, Entry],
        inverse: Callable[[str], str] | None = None,
        problems: Iterable[str] = (),
    ) -> WeightSource:
        """A source of other entries with this one's path, config and metadata."""
        source = WeightSource(
            self.path, (), metadata=self.metadata, config=self.config, label=self.label
        )
        source._where = where
        source._inverse = inverse or self._inverse
        source.problems = (*self.problems, *problems)
        return source

    def _find(self, name: str) -> Entry:
        found = self._where.get(name)
        if found is None:
            raise ModelError(f"{self.where(name)}: expected a tensor of this name, found none")
        return found

    def _read(
        self, name: str, entry: Entry, dtype: DType | str | None, device: Device | str | None
    ) -> Tensor:
        wanted = None if dtype is None else as_dtype(dtype)
        place = None if device is None else as_device(device)
        kept = entry.info.stored
        if kept is not None and wanted is not None and wanted.name != "u8":
            stored = f"{kept.dtype}, which is only kept as bytes"
            raise DTypeError(f"{self.where(name)}: expected u8 for {stored}, got {wanted.name}")
        if place is not None and place.type == "meta":
            return empty(entry.info.shape, dtype=wanted or entry.info.dtype, device=place)
        tensor = entry.read(wanted)
        tensor = tensor if wanted is None or tensor.dtype is wanted else tensor.to(wanted)
        return tensor if place is None else tensor.to(place)

    # --- end --------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the files; tensors that were taken stay valid."""
        for file in {id(entry.file): entry.file for entry in self._where.values()}.values():
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"WeightSource({self.label!r}, {len(self)} tensors)"


def _place(entry: Entry) -> str:
    return str(getattr(entry.file, "path", entry.stored))


def _listed(head: str, lines: list[str]) -> str:
    more = [f"… and {len(lines) - MAX_LISTED} more"] if len(lines) > MAX_LISTED else []
    return "\n  ".join([head, *lines[:MAX_LISTED], *more])


def _compiled(dims: Mapping[str, int]) -> list[tuple[re.Pattern[str], int]]:
    return [(re.compile(pattern), dim) for pattern, dim in dims.items()]


def _first_match(table: list[tuple[re.Pattern[str], int]], name: str) -> int | None:
    return next((dim for pattern, dim in table if pattern.fullmatch(name)), None)


def _from_table(table: Mapping[str, str], name: str) -> str:
    return table.get(name, name)


def _same(name: str) -> str:
    return name
