"""`tl.load` and `tl.save`: tensors, and objects that hold some, from and to any format of file.

What the file is says its content when it is read, and the suffix of its name when it is written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

from tallow.borrowing import from_numpy
from tallow.errors import ArgumentError, FormatError, expect
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.formats.mapping import Source
    from tallow.weights import WeightSource

# What a file is written to: a path, or an open binary file.
Target: TypeAlias = str | os.PathLike[str] | BinaryIO


class TensorMap(MutableMapping[str, Tensor]):
    """The tensors of a file by name, each read when it is first asked for; a mutable mapping.

    `.metadata` is what stands in the file beside them. What is changed here, the mapping keeps and
    the file never learns of; `tl.save` writes it to another one.
    """

    def __init__(self, source: WeightSource) -> None:
        self.metadata: Mapping[str, Any] = source.metadata
        self._source = source
        self._tensors: dict[str, Tensor | None] = dict.fromkeys(source.names())

    def __getitem__(self, name: str) -> Tensor:
        found = self._tensors[name]
        if found is None:
            found = self._tensors[name] = self._source.take(name)
        return found

    def __setitem__(self, name: str, tensor: Tensor) -> None:
        self._tensors[name] = tensor

    def __delitem__(self, name: str) -> None:
        del self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def copy(self) -> dict[str, Tensor]:
        """A dict of all the tensors, still on the bytes of the file."""
        return dict(self)

    def __repr__(self) -> str:
        return f"TensorMap({self._source.label!r}, {len(self)} tensors)"

    def __reduce__(self) -> tuple[Any, ...]:
        return (dict, (dict(self),))


# --- loading --------------------------------------------------------------------------------------


def load(source: Source | BinaryIO) -> Any:
    """What a file holds, mapped: no byte of a tensor is read before it is used.

    `source` is a path (of a file, or of a folder as Hugging Face lays it out), an `https:` URL, an
    open binary file (read from where it stands) or bytes. Its content tells the format:

    - safetensors, GGUF, GGML, `.npz`, CTranslate2, the index of a sharded model, a folder: a
      mapping of names to tensors, with `.metadata`;
    - `.npy`: the one tensor;
    - PyTorch's `.pt`, `.pth`, `.bin`: the object that was saved, dicts, lists and all. Nothing in
      it is executed; a class off the list of `torch.load(weights_only=True)` is refused.

    Raises:
        FormatError: the file is missing, damaged, or none of these; the text says what to do about
            a pickled module, a pointer of Git LFS and the like.
        ModelError: a folder without weights.
    """
    from tallow.weights import open_weights
    from tallow.weights.file_formats import recognise

    opened = readable(source)
    kind = "" if _has_parts(opened) else recognise(opened).name
    if kind in ("torch", "torch legacy"):
        return load_object(opened)
    found = TensorMap(open_weights(opened))
    return found["arr_0"] if kind == "npy" else found


def load_object(source: Source | BinaryIO) -> Any:
    """The object in a PyTorch file, with tensors on the bytes of the file.

    Raises:
        FormatError: no PyTorch file, a damaged one, or one that names what may run code.
    """
    from tallow.formats.torch_pickle import load_torch

    return load_torch(readable(source))


def readable(source: Any) -> Source:
    """`source` as the readers take it: the rest of an open file is mapped, or read."""
    if not hasattr(source, "read"):
        plain: Source = source
        return plain
    start = source.tell() if hasattr(source, "tell") else 0
    content = _mapped(source, start)
    if content is None:
        content = source.read()
        wanted = "a file that was opened in binary mode"
        expect(isinstance(content, bytes), load, wanted, source, ArgumentError)
    if not len(content):
        raise FormatError(getattr(source, "name", source), "file", "at least one byte", "its end")
    return content


def _mapped(file: Any, start: int) -> memoryview | None:
    """The rest of a regular file, mapped; None for what has no place on disk."""
    import io
    import mmap

    if not isinstance(file, io.BufferedReader | io.BufferedRandom | io.FileIO):
        return None
    try:
        size = os.fstat(file.fileno()).st_size
        if file.writable():
            file.flush()
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # a pipe, an empty file
        return None
    file.seek(size)
    return memoryview(whole)[start:]


def _has_parts(source: Any) -> bool:
    """Whether it is a folder or a URL, which no content tells."""
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        return True
    return isinstance(source, str | os.PathLike) and os.path.isdir(source)


# --- saving ---------------------------------------------------------------------------------------


def save(
    obj: Any,
    target: Target,
    *,
    format: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write tensors, or an object that holds some, to a file: whole or not at all.

    `target` is a path or an open binary file. The suffix tells the format: `.safetensors`; `.pt`,
    `.pth`, `.bin`, `.ckpt`, `.tar` PyTorch's; `.gguf`; `.npz`; `.npy` for one tensor. Without a
    known suffix, tensors by name become safetensors and everything else (nested dicts, lists, a
    tensor alone, numbers) a PyTorch file. `format` ("safetensors", "torch", "gguf", "npz", "npy")
    overrides the name; `metadata` is written where the format has a place for it.

    Raises:
        ArgumentError: the format cannot hold the object, or an unknown `format`.
        DTypeError: the format lacks the dtype of a tensor.
        FormatError: the file cannot be written.
    """
    chosen = _format_of(obj, target, format)
    if hasattr(obj, "state_dict") and not isinstance(obj, Mapping):
        kind = type(obj).__name__
        wanted = "tensors, or containers of plain values and tensors"
        raise ArgumentError(f"save: expected {wanted}, got a {kind} (save its .state_dict())")
    _SAVERS[chosen](obj, target, metadata)


def save_object(obj: Any, target: Target) -> None:
    """Write any object of tensors and plain values as PyTorch's zip archive, whatever the name.

    Raises:
        ArgumentError: an object of a class that `torch.load(weights_only=True)` would refuse.
        DTypeError: a dtype that PyTorch lacks.
        FormatError: the file cannot be written.
    """
    from tallow.formats.torch_pickle import save_torch

    save_torch(dict(obj) if isinstance(obj, TensorMap) else obj, target)


_SUFFIXES: Final = {
    ".safetensors": "safetensors",
    ".pt": "torch",
    ".pth": "torch",
    ".bin": "torch",
    ".ckpt": "torch",
    ".tar": "torch",
    ".gguf": "gguf",
    ".npz": "npz",
    ".npy": "npy",
}


def _format_of(obj: Any, target: Target, format: str | None) -> str:
    if format is not None:
        wanted = f"one of {', '.join(_SAVERS)}"
        expect(format in _SAVERS, save, wanted, repr(format), ArgumentError)
        return format
    name = getattr(target, "name", "") if hasattr(target, "write") else target
    suffix = Path(os.fsdecode(name)).suffix if isinstance(name, str | bytes | os.PathLike) else ""
    known = _SUFFIXES.get(suffix.lower())
    if known is None:
        known = "safetensors" if _is_flat(obj) else "torch"
    return known


def _is_flat(obj: Any) -> bool:
    return isinstance(obj, Mapping) and all(
        isinstance(name, str) and _is_array(value) for name, value in obj.items()
    )


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor) or hasattr(value, "__array_interface__")


def _flat(obj: Any, format: str) -> dict[str, Tensor]:
    """The tensors by name; ArgumentError, with the way out, for an object that is none."""
    advice = "a .pt file keeps nested objects, numbers and texts: tl.save(obj, 'name.pt')"
    if not isinstance(obj, Mapping):
        got = f"a {type(obj).__name__} ({advice})"
        raise ArgumentError(f"save: expected tensors by name for {format}, got {got}")
    found: dict[str, Tensor] = {}
    for name, value in obj.items():
        if not isinstance(name, str) or not _is_array(value):
            got = f"{name!r} → {type(value).__name__} ({advice})"
            raise ArgumentError(f"save: expected tensors by name for {format}, got {got}")
        found[name] = value if isinstance(value, Tensor) else from_numpy(value)
    return found


def _save_safetensors(obj: Any, target: Target, metadata: Mapping[str, Any] | None) -> None:
    from tallow.formats.safetensors import save_safetensors

    save_safetensors(_flat(obj, "safetensors"), target, metadata)


def _save_gguf(obj: Any, target: Target, metadata: Mapping[str, Any] | None) -> None:
    from tallow.formats.gguf import save_gguf

    save_gguf(_flat(obj, "gguf"), target, metadata)


def _save_npz(obj: Any, target: Target, metadata: Mapping[str, Any] | None) -> None:
    from tallow.formats.npy import save_npz

    _no_metadata("npz", metadata)
    save_npz(_flat(obj, "npz"), target)


def _save_npy(obj: Any, target: Target, metadata: Mapping[str, Any] | None) -> None:
    from tallow.formats.npy import save_npy

    _no_metadata("npy", metadata)
    if not _is_array(obj):
        got = f"a {type(obj).__name__} (several go to an .npz file)"
        raise ArgumentError(f"save: expected one tensor for npy, got {got}")
    save_npy(obj if isinstance(obj, Tensor) else from_numpy(obj), target)


def _save_torch(obj: Any, target: Target, metadata: Mapping[str, Any] | None) -> None:
    _no_metadata("torch", metadata)
    save_object(obj, target)


def _no_metadata(format: str, metadata: Mapping[str, Any] | None) -> None:
    wanted = f"no metadata for {format}, which has no place for it"
    expect(not metadata, save, wanted, metadata, ArgumentError)


_SAVERS: Final[dict[str, Callable[[Any, Target, Mapping[str, Any] | None], None]]] = {
    "safetensors": _save_safetensors,
    "torch": _save_torch,
    "gguf": _save_gguf,
    "npz": _save_npz,
    "npy": _save_npy,
}
