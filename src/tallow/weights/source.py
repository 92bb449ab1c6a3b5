"""WeightSource: a lazy map from names to tensors, over one file or several."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tallow.dtype import DType
from tallow.errors import ModelError

if TYPE_CHECKING:
    from tallow.formats.mapping import TensorInfo
    from tallow.tensor import Tensor


class TensorFile(Protocol):
    """What `formats` gives for an open file."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """What there is, by name."""

    def tensor(self, name: str) -> Tensor:
        """One tensor, borrowing the file's bytes."""


class Names:
    """A two-way table between the names that a file stores and those that a model uses.

    `table` maps stored stems to visible stems; `{}` stands for the same number on both sides:
    `Names({"blk.{}.attn_q": "model.layers.{}.self_attn.q_proj"})` turns `blk.3.attn_q.weight` into
    `model.layers.3.self_attn.q_proj.weight`. A name that the table lacks stays as it is.
    """

    def __init__(self, table: Mapping[str, str]) -> None:
        self._visible = dict(table)
        self._stored = {visible: stored for stored, visible in table.items()}

    def __call__(self, stored: str) -> str:
        """The visible name of a stored one."""
        return _translate(stored, self._visible)

    def stored(self, visible: str) -> str:
        """The stored name of a visible one."""
        return _translate(visible, self._stored)


def _translate(name: str, table: Mapping[str, str]) -> str:
    stem, dot, last = name.rpartition(".")
    found = _NUMBER.search(stem)
    number = found.group(1) if found else ""
    pattern = stem[: found.start(1)] + "{}" + stem[found.end(1) :] if found else stem
    other = table.get(pattern)
    return f"{other.replace('{}', number)}{dot}{last}" if other is not None else name


_NUMBER = re.compile(r"(?<=\.)(\d+)(?=\.|$)")


class WeightSource:
    """Tensors by name, taken lazily: nothing is read before it is asked for.

    `path` is the file or folder; `metadata` what stands in the file beside the tensors; `config`
    the content of a Hugging Face `config.json`, when the source is such a folder.
    """

    def __init__(
        self,
        path: Path,
        files: Iterable[TensorFile],
        *,
        metadata: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        self.metadata: Mapping[str, Any] = {} if metadata is None else metadata
        self.config = config
        # visible name → file and the name it has there
        self._where: dict[str, tuple[TensorFile, str]] = {}
        for file in files:
            for name in file.tensors:
                if name in self._where:
                    raise ModelError(f"{path}: tensor {name!r}: expected once, found in two files")
                self._where[name] = (file, name)
        self._inverse: Callable[[str], str] = _same

    def names(self) -> list[str]:
        """All names, in the order of the file."""
        return list(self._where)

    def __contains__(self, name: object) -> bool:
        return name in self._where

    def __len__(self) -> int:
        return len(self._where)

    def info(self, name: str) -> TensorInfo:
        """Dtype, shape and place of a tensor, without touching its bytes."""
        file, stored = self._find(name)
        return file.tensors[stored]

    def take(self, name: str, dtype: DType | None = None) -> Tensor:
        """A tensor; it borrows the mapped file unless `dtype` asks for a conversion."""
        file, stored = self._find(name)
        tensor = file.tensor(stored)
        return tensor if dtype is None or tensor.dtype is dtype else tensor.to(dtype)

    def where(self, name: str) -> str:
        """File and stored name, for errors; a name that is absent gets the one it would have."""
        if name not in self._where:
            return f"{self.path}: {self._inverse(name)}"
        file, stored = self._where[name]
        return f"{getattr(file, 'path', self.path)}: {stored}"

    def rename(self, names: Mapping[str, str] | Callable[[str], str]) -> WeightSource:
        """The same tensors under other names: stored name → visible name.

        A mapping leaves the names it lacks as they are; a `Names` table keeps the way back too, so
        that errors about absent tensors speak of the file's own names.
        """
        visible = partial(_from_table, names) if isinstance(names, Mapping) else names
        back = names.stored if isinstance(names, Names) else _same
        inverse = self._inverse
        return self._derived(
            {visible(name): entry for name, entry in self._where.items()},
            lambda name: inverse(back(name)),
        )

    def scope(self, prefix: str) -> WeightSource:
        """The tensors below `prefix.`, under names without it."""
        head = prefix if prefix.endswith(".") or not prefix else prefix + "."
        inverse = self._inverse
        return self._derived(
            {n.removeprefix(head): e for n, e in self._where.items() if n.startswith(head)},
            lambda name: inverse(head + name),
        )

    def _derived(
        self, where: dict[str, tuple[TensorFile, str]], inverse: Callable[[str], str]
    ) -> WeightSource:
        source = WeightSource(self.path, (), metadata=self.metadata, config=self.config)
        source._where = where
        source._inverse = inverse
        return source

    def _find(self, name: str) -> tuple[TensorFile, str]:
        found = self._where.get(name)
        if found is None:
            raise ModelError(f"{self.where(name)}: expected a tensor of this name, found none")
        return found

    def __repr__(self) -> str:
        return f"WeightSource({str(self.path)!r}, {len(self)} tensors)"


def _from_table(table: Mapping[str, str], name: str) -> str:
    return table.get(name, name)


def _same(name: str) -> str:
    return name
