"""Hostile files by format: a module here for each format, found by itself.

A module gives

- `CORPUS`: name of a file (with its suffix) → its bytes and the field that the error must blame;
- `VALID`: name of a file → bytes of a small file that is read without an error, several for a
  format of several layouts; mutants and fuzz inputs begin from these;
- `open_file(path)`: the reader, as users call it; the fuzzer gives it bytes, if it takes them.

and may give

- `FOLDER`: where the files stand below `tests/hostile`, when it is not the name of the module;
- `BESIDE`: name → bytes of the files that the valid ones need in their folder (shards);
- `BLAMED`: name of a file → what the error names instead of the file (a shard that is missing);
- `touch(file)`: reads what a user can reach of an open file, when `touch` below does not fit;
- `SEEDS`: further inputs that the fuzzer starts from;
- `MUTATIONS`: further mutations, `f(raw: bytearray, rng)` in place, see `mutations.py`;
- `MEMORY`, `MULTIPLE`: reading a file may take `MEMORY` bytes and `MULTIPLE` times its size;
- `RAISES`: the errors of a reader above the formats, instead of `FormatError`.
"""

import importlib
import pkgutil
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from tallow.errors import FormatError

HERE = Path(__file__).resolve().parents[1]
MULTIPLE = 16  # a decoded list of small numbers takes that much of Python's memory
MEMORY = 400_000


def modules() -> dict[str, ModuleType]:
    """Every module of this package by name; those that begin with `_` are parts of others."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    return {n: importlib.import_module(f"{__name__}.{n}") for n in names if not n.startswith("_")}


def folder(module: ModuleType) -> Path:
    """Where the files of a corpus stand."""
    return HERE / getattr(module, "FOLDER", module.__name__.rpartition(".")[2])


def paths(module: ModuleType) -> dict[Path, tuple[bytes, str]]:
    """What must stand on disk."""
    return {folder(module) / name: case for name, case in module.CORPUS.items()}


def touch(file) -> None:
    """Read what a user can reach: every metadata value, every byte of every tensor, its array."""
    for key in file.metadata:
        repr(file.metadata[key])
    for name, info in file.tensors.items():
        assert info.nbytes >= 0
        data = file.data(name)
        assert data.nbytes == info.nbytes
        checksum(data)
        assert repr(info)
        tensor = file.tensor(name)
        assert (tensor.shape, tensor.dtype.name) == (info.shape, info.dtype)


def checksum(data: memoryview) -> int:
    """Reads every byte, a page's worth at a time: nothing may lie outside of the map."""
    return sum(sum(data[at : at + 4096]) for at in range(0, min(data.nbytes, 1 << 16), 4096))


def read_all(module: ModuleType, path) -> FormatError | None:
    """The error that opening and reading a file gives, or None; any other one passes through."""
    try:
        with module.open_file(path) as file:
            getattr(module, "touch", touch)(file)
    except getattr(module, "RAISES", FormatError) as error:
        return error
    return None


def read_measured(module: ModuleType, source, size: int) -> FormatError | None:
    """`read_all` that fails when it takes too much of Python's memory; tracemalloc must be on.

    What is too much is measured twice: a table of the interpreter's own (of interned strings) that
    grows meanwhile is not the reader's.
    """
    limit = memory_limit(module, size)
    grown = limit
    for _ in range(2):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        error = read_all(module, source)
        grown = tracemalloc.get_traced_memory()[1] - before
        if grown < limit:
            return error
    raise MemoryError(f"{grown} bytes for a file of {size}, the limit is {limit}")


def memory_limit(module: ModuleType, size: int) -> int:
    """Bytes of Python's memory that a file of `size` bytes may take while it is read."""
    return getattr(module, "MEMORY", MEMORY) + getattr(module, "MULTIPLE", MULTIPLE) * size


def seeds(module: ModuleType) -> Iterable[bytes]:
    """What a fuzzer starts from."""
    yield from module.VALID.values()
    yield from (raw for raw, _ in module.CORPUS.values())
    yield from getattr(module, "SEEDS", ())
