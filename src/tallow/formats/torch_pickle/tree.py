"""Give the tensors of a nested object dotted names, in bounded time and memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sized
from itertools import chain
from typing import Any, Final

from tallow.errors import FormatError
from tallow.formats.mapping import shown
from tallow.formats.torch_pickle.values import DTYPES, Record, Storage, TensorRef

_PAID: Final = 64  # bytes of memory that a byte of the pickle pays for
_FREE: Final = 1 << 18
_LEAF: Final = 300
_MANY: Final = 64  # scalars in a dict beyond which it is data, not settings


def flatten(path: str, root: Any, pickled: int) -> tuple[dict[str, TensorRef], dict[str, Any]]:
    """The tensors below `root` by dotted name, and all else that is there.

    Keys of dicts, positions of lists and attributes of records make up the names; a tensor that is
    the root itself is called `tensor`. A list of plain values is one entry of the second dict, and
    so is a dict of many. An object that contains itself is not entered again.

    Raises:
        FormatError: two objects of one name, or objects that are shared so often that their names
            would take far more memory than the pickle of `pickled` bytes.
    """
    tensors: dict[str, TensorRef] = {}
    others: dict[str, Any] = {}
    left = _FREE + _PAID * pickled
    inside, seen, plain = {id(root)}, set[int](), _Plain()
    first = _children(root, plain)
    levels = [("", root, iter((("tensor", root),)) if first is None else first)]
    while levels:
        prefix, owner, children = levels[-1]
        key, value = next(children, (None, _END))
        if value is _END:
            inside.discard(id(owner))
            seen.add(id(owner))
            levels.pop()
            continue
        name = f"{prefix}{_text(key)}"
        # What stands there for the first time was paid for when it was read.
        left -= 2 * len(prefix) if id(owner) not in seen else _LEAF + 2 * len(name)
        if left < 0:
            raise FormatError(path, "objects", "each in a place or two", "some shared very often")
        below = None if value is owner else _children(value, plain)
        if below is not None:
            if id(value) not in inside:
                inside.add(id(value))
                levels.append((f"{name}.", value, below))
            continue
        if isinstance(value, Sized):
            left -= len(value) if id(value) in seen else 0
            seen.add(id(value))
        if isinstance(value, Storage):
            value = _whole(value)
        target: dict[str, Any] = tensors if isinstance(value, TensorRef) else others
        if name in tensors or name in others:
            raise FormatError(path, f"tensor {shown(name)}", "one object of that name", "two")
        target[name] = value
    return tensors, others


_END = object()


def _whole(storage: Storage) -> TensorRef:
    """A storage that stands for itself, as a tensor of one axis."""
    width = DTYPES[storage.dtype][1]
    place = storage.root or storage
    shape = (storage.nbytes // width,)
    return TensorRef(place, storage.dtype, storage.start // width, shape, (1,))


def _text(key: object) -> str:
    """A key as a part of a name."""
    if isinstance(key, str):
        return key
    if isinstance(key, tuple):
        return ".".join(map(_text, key))
    return str(key) if key is None or isinstance(key, bool | int | float) else repr(key)


def _children(value: Any, plain: _Plain) -> Iterator[tuple[Any, Any]] | None:
    """What is below an object by key, or None for one that is an entry itself."""
    if isinstance(value, dict):
        data = not value or (len(value) > _MANY and plain(value, value.values()))
        return None if data else iter(value.items())
    if isinstance(value, list | tuple | deque):
        return None if plain(value, value) else enumerate(value)
    if isinstance(value, Record):
        items = (value.entries or {}).items()
        parts = (value.attributes.items(), items, enumerate(value.values or ()))
        return chain(*parts) if value.attributes or value.entries or value.values else None
    return None


class _Plain:
    """Whether a container holds plain values only: each one is looked through once."""

    def __init__(self) -> None:
        self._known: dict[int, bool] = {}

    def __call__(self, container: object, values: Iterable[Any]) -> bool:
        known = self._known.get(id(container))
        if known is None:
            known = all(value is None or isinstance(value, _SCALARS) for value in values)
            self._known[id(container)] = known
        return known


_SCALARS = (bool, int, float, str, bytes)
