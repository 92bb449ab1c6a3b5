"""The functions of the official `safetensors` and `safetensors.torch` packages, on our own reader.

`from tallow.safetensors import save_file, load_file, safe_open` takes the place of theirs: the same
signatures, the same files byte for byte, the same refusals. `tl.save` is less strict.

Source: https://huggingface.co/docs/safetensors (API, torch shared tensors), version 0.8.0.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from tallow.device import Device, as_device
from tallow.errors import (
    ArgumentError,
    DTypeError,
    FormatError,
    IndexRangeError,
    ModelError,
    SharedMemoryError,
    expect,
)
from tallow.formats.safetensors import NAMES, SafetensorsFile, open_safetensors, save_safetensors
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.nn import Module

SafetensorError = FormatError
Path = str | os.PathLike[str]

_FRAMEWORKS = ("pt", "torch", "pytorch", "tl", "tallow")
_NUMPY = ("np", "numpy")


def save_file(
    tensors: dict[str, Tensor], filename: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write tensors by name to a safetensors file, whole or not at all.

    Raises:
        ArgumentError: no dict of tensors (nested dicts belong in a `.pt` file), or one that is not
            contiguous.
        DTypeError: metadata that is not text, or a dtype that the format lacks.
        FormatError: the file cannot be written.
        SharedMemoryError: tensors share memory: `save_model` writes such ones once.
    """
    save_safetensors(_checked("save_file", tensors, metadata), filename, metadata)


def save(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file with these tensors; errors as of `save_file`."""
    content = io.BytesIO()
    save_safetensors(_checked("save", tensors, metadata), content, metadata)
    return content.getvalue()


def load_file(
    filename: Path, device: Device | str = "cpu", *, backend: str = "mmap"
) -> dict[str, Tensor]:
    """All tensors of a safetensors file by name, on the mapped bytes of the file.

    `backend` is there for the signature: tensors are always mapped, and copied when written to.

    Raises:
        FormatError: no such file, not a safetensors file, or damaged.
    """
    with safe_open(filename, "pt", device, backend=backend) as file:
        return file.get_tensors()


def load(data: bytes) -> dict[str, Tensor]:
    """All tensors by name of a safetensors file in memory; they borrow its bytes."""
    expect(isinstance(data, bytes | bytearray | memoryview), load, "bytes", type(data).__name__,
           ArgumentError)  # fmt: skip
    with open_safetensors(data) as file:
        return {name: file.tensor(name) for name in sorted(file.tensors)}


def save_model(
    model: Module,
    filename: Path,
    metadata: dict[str, str] | None = None,
    force_contiguous: bool = True,
) -> None:
    """Write the state of a module, tensors that share memory only once.

    Which names were dropped for which stands in the file's metadata; `load_model` knows.
    """
    state = dict(model.state_dict())
    about = dict(metadata or {})
    for kept, dropped in _twins(state, ()).items():
        for name in dropped:
            about.setdefault(name, kept)
            del state[name]
    if force_contiguous:
        state = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(state, filename, about or None)


def load_model(
    model: Module,
    filename: Path,
    strict: bool = True,
    device: Device | str = "cpu",
    *,
    backend: str = "mmap",
) -> tuple[set[str], list[str]]:
    """Load what `save_model` wrote into a module; the names missing in the file, and unexpected.

    Raises:
        FormatError: no such file, or a damaged one.
        ModelError: with `strict`, names are missing or unexpected; in any case, shapes that differ.
    """
    state = load_file(filename, device, backend=backend)
    found = model.load_state_dict(state, strict=False)
    missing, unexpected = set(found.missing_keys), list(found.unexpected_keys)
    for dropped in _twins(dict(model.state_dict()), state).values():
        for name in dropped:
            if name in missing:
                missing.remove(name)
            elif name in state:
                unexpected.append(name)
    if strict and (missing or unexpected):
        kinds = {"missing": missing, "unexpected": unexpected}
        said = [
            f"{kind} {', '.join(map(repr, sorted(names)))}"
            for kind, names in kinds.items()
            if names
        ]
        wanted = f"the tensors of {type(model).__name__}"
        raise ModelError(f"load_model: expected {wanted}, got {'; '.join(said)}")
    return missing, unexpected


class safe_open:  # noqa: N801  (the official package's name)
    """An open safetensors file: `with safe_open("x.safetensors", framework="pt") as f:`.

    `framework` "pt" gives Tallow's tensors, "np" numpy's arrays.
    """

    def __init__(
        self,
        filename: Path,
        framework: str = "pt",
        device: Device | str = "cpu",
        *,
        backend: str = "mmap",
    ) -> None:
        wanted = f"a framework of {', '.join((*_FRAMEWORKS, *_NUMPY))}"
        known = framework in (*_FRAMEWORKS, *_NUMPY)
        expect(known, safe_open, wanted, repr(framework), ArgumentError)
        expect(backend in ("mmap", "pread"), safe_open, "mmap or pread", backend, ArgumentError)
        self._numpy = framework in _NUMPY
        self._device = as_device(device)
        self._file: SafetensorsFile = open_safetensors(os.fspath(filename))

    def keys(self) -> list[str]:
        """The names of all tensors, sorted."""
        return sorted(self._file.tensors)

    def offset_keys(self) -> list[str]:
        """The names of all tensors, in the order of their bytes."""
        tensors = self._file.tensors
        return sorted(tensors, key=lambda name: (tensors[name].offset, tensors[name].nbytes, name))

    def metadata(self) -> dict[str, str] | None:
        """What stands in the header beside the tensors; None when nothing does."""
        return dict(self._file.metadata) or None

    def get_tensor(self, name: str) -> Any:
        """The tensor of a name, on the mapped bytes of the file; FormatError for one not there."""
        return self._given(self._file.tensor(name))

    def get_tensors(self) -> dict[str, Any]:
        """All tensors by name."""
        return {name: self.get_tensor(name) for name in self.offset_keys()}

    def get_slice(self, name: str) -> SafeSlice:
        """What gives parts of a tensor: `f.get_slice("w")[:, ::8]`."""
        return SafeSlice(self._file.tensor(name), self._given)

    def _given(self, tensor: Tensor) -> Any:
        return tensor.numpy() if self._numpy else tensor.to(self._device)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __contains__(self, name: object) -> bool:
        return name in self._file.tensors


class SafeSlice:
    """A tensor of which parts can be taken; only their bytes are read."""

    def __init__(self, tensor: Tensor, give: Any) -> None:
        self._tensor, self._give = tensor, give

    def get_shape(self) -> list[int]:
        """The lengths of the axes."""
        return list(self._tensor.shape)

    def get_dtype(self) -> str:
        """The dtype in the words of the file, such as "F32"."""
        return NAMES[self._tensor.dtype.name]

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        fits = all(part is Ellipsis or isinstance(part, slice | int) for part in parts)
        expect(fits, "get_slice", "slices, integers or an ellipsis", repr(key), ArgumentError)
        count = sum(part is not Ellipsis for part in parts)
        most = f"at most {self._tensor.ndim} parts"
        expect(count <= self._tensor.ndim, "get_slice", most, repr(key), IndexRangeError)
        return self._give(self._tensor[key])


# --- what the official package refuses ------------------------------------------------------------


def _checked(where: str, tensors: Any, metadata: Any) -> dict[str, Tensor]:
    if not isinstance(tensors, dict):
        got = f"a {type(tensors).__name__}"
        raise ArgumentError(f"{where}: expected a dict of tensors, got {got}")
    texts = all(isinstance(part, str) for pair in (metadata or {}).items() for part in pair)
    expect(texts, where, "texts as metadata", metadata, DTypeError)
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            got = f"a {type(value).__name__} (a .pt file keeps nested objects: tl.save)"
            raise ArgumentError(f"{where}: {name}: expected a Tensor, got {got}")
    for group in _shared(tensors):
        if len(group) > 1:
            got = f"{', '.join(map(repr, sorted(group)))} on one (use save_model, or clone them)"
            raise SharedMemoryError(
                f"{where}: expected tensors with memory of their own, got {got}"
            )
    for name, value in tensors.items():
        wanted = f"a contiguous tensor for {name} (use .contiguous())"
        contiguous = value.is_contiguous()
        expect(contiguous, where, wanted, f"strides {value.stride()}", ArgumentError)
    return dict(tensors)


def _shared(tensors: Mapping[str, Tensor]) -> list[list[str]]:
    """The names in groups of tensors that lie in the same bytes of one storage."""
    storages: dict[int, list[tuple[int, int, str]]] = {}
    for name, tensor in tensors.items():
        if tensor.numel():
            start = tensor.data_ptr()
            reach = sum(
                (n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True)
            )
            stop = start + (max(reach, 0) + 1) * tensor.element_size()
            storages.setdefault(tensor._array.storage_id, []).append((start, stop, name))
    groups: list[list[str]] = []
    for areas in storages.values():
        end = -1
        for start, stop, name in sorted(areas):
            if start >= end:
                groups.append([])
            groups[-1].append(name)
            end = max(end, stop)
    return groups


def _twins(state: Mapping[str, Tensor], preferred: Iterable[str]) -> dict[str, list[str]]:
    """Of names that share memory the one to keep, with those that it stands for."""
    wanted = set(preferred)
    found: dict[str, list[str]] = {}
    for group in _shared(state):
        if len(group) == 1:
            continue
        start = min(state[name].data_ptr() for name in group)
        stop = max(state[name].data_ptr() + state[name].nbytes for name in group)
        whole = [name for name in group if state[name].nbytes == stop - start]
        if not whole:
            got = f"{', '.join(map(repr, sorted(group)))}, none of which holds all (clone them)"
            raise SharedMemoryError(
                f"save_model: expected tensors that share all or nothing, got {got}"
            )
        kept = min([name for name in whole if name in wanted] or whole)
        found[kept] = [name for name in sorted(group) if name != kept]
    return found
