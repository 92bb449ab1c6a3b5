"""Objects of any class in PyTorch's zip archive: Python's pickle with the tensors beside it.

Reading such a file runs what it says, within the classes that are allowed; it is done only when the
caller asks for it (`weights_only=False`) or names the classes (`safe_globals`).
"""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from tallow.borrowing import from_buffer
from tallow.device import Device
from tallow.dtype import DType, by_name
from tallow.errors import FormatError, TallowError
from tallow.formats.writing import write_to
from tallow.nn.parameter import Parameter
from tallow.persistence import readable
from tallow.tensor import Size, Tensor, tobytes
from tallow.torch._names import PACKAGE

# PyTorch's names of storages, by our dtype.
_STORAGES = {
    "FloatStorage": "f32", "DoubleStorage": "f64", "HalfStorage": "f16", "BFloat16Storage": "bf16",
    "LongStorage": "i64", "IntStorage": "i32", "ShortStorage": "i16", "CharStorage": "i8",
    "ByteStorage": "u8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "UntypedStorage": "u8",
}  # fmt: skip


# --- writing --------------------------------------------------------------------------------------


class _Body:
    """The elements of a tensor, kept outside of the pickle under a number."""

    def __init__(self, key: int, tensor: Tensor) -> None:
        self.key, self.tensor = key, tensor


class _Pickler(pickle.Pickler):
    """Python's pickler; tensors become calls, their elements persistent ids."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=2)
        self.bodies: list[Tensor] = []

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, _Body):
            return None
        return ("storage", obj.tensor.dtype.name, str(obj.key), "cpu", obj.tensor.numel())

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, DType):
            return (by_name, (obj.name,))
        if not isinstance(obj, Tensor):
            return NotImplemented
        plain = obj.detach().contiguous()
        body = _Body(len(self.bodies), plain)
        self.bodies.append(plain)
        about = (tuple(obj.shape), bool(obj.requires_grad), isinstance(obj, Parameter))
        return (_rebuild, (body, *about))


def _rebuild(body: Tensor, shape: tuple[int, ...], requires_grad: bool, parameter: bool) -> Tensor:
    made = body.reshape(shape)
    return Parameter(made, requires_grad) if parameter else made.requires_grad_(requires_grad)


def save_pickled(obj: Any, target: Any) -> None:
    """Write any object that Python can pickle, as a zip archive like PyTorch's."""
    pickled, archive = io.BytesIO(), io.BytesIO()
    pickler = _Pickler(pickled)
    pickler.dump(obj)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", pickled.getvalue())
        file.writestr("archive/byteorder", "little")
        for key, body in enumerate(pickler.bodies):
            file.writestr(f"archive/data/{key}", tobytes(body))
        file.writestr("archive/version", "3\n")
    write_to(target, [archive.getvalue()])


# --- reading --------------------------------------------------------------------------------------


def _tensor_v2(
    storage: Tensor, offset: int, size: Any, stride: Any, requires_grad: bool, *_: Any
) -> Tensor:
    made = storage.as_strided(tuple(size), tuple(stride), offset)
    return made.requires_grad_() if requires_grad else made


def _parameter(data: Tensor, requires_grad: bool, *_: Any) -> Any:
    return Parameter(data, requires_grad)


_CALLS: dict[str, Any] = {
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.nn.parameter.Parameter": Parameter,
    "torch.device": Device,
    "torch.Size": Size,
    "tallow._native.Size": Size,
    f"{__name__}._rebuild": _rebuild,
    "tallow.dtype.by_name": by_name,
}
_PLAIN = frozenset({
    "collections.OrderedDict", "collections.Counter", "collections.defaultdict", "builtins.set",
    "builtins.dict", "builtins.list", "builtins.bytearray", "builtins.complex", "builtins.int",
    "builtins.frozenset", "builtins.range", "builtins.slice", "_codecs.encode",
})  # fmt: skip


# What a saved module of ours is made of, beside its classes: how its parameters are drawn.
_INNER = frozenset({"functools.partial", "tallow.nn.parameter.Declaration"})


def _is_rule(module: str, name: str) -> bool:
    """Whether it is a function of `tallow.nn.init` itself, which only fills a tensor."""
    from tallow.nn import init

    found = getattr(init, name, None) if module == init.__name__ else None
    return getattr(found, "__module__", "") == init.__name__


def usual(name: str) -> bool:
    """Whether `load` makes objects of this name in any file."""
    from tallow.formats.torch_pickle.allowed import names_for

    return name in _CALLS or name in _PLAIN or name in names_for()


class _Unpickler(pickle.Unpickler):
    """Python's unpickler; PyTorch's names are found here, others only when they are allowed."""

    def __init__(
        self,
        where: object,
        archive: zipfile.ZipFile,
        folder: str,
        allowed: Mapping[str, Any] | None,
    ) -> None:
        super().__init__(io.BytesIO(archive.read(f"{folder}data.pkl")), encoding="utf-8")
        self.where, self.archive, self.folder, self.allowed = where, archive, folder, allowed
        self.made: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        # Protocol 2 writes the names of Python 2.
        module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
        full = f"{module}.{name}"
        if full in _CALLS:
            return _CALLS[full]
        if module.partition(".")[0] == "torch":
            if name in _STORAGES:
                return _STORAGES[name]
            place = PACKAGE + module.removeprefix("torch")
        else:
            place = module
        if self.allowed is not None:
            if full in self.allowed:
                return self.allowed[full]
            known = full in _PLAIN or full in _INNER or (place != module and usual(full))
            if not (known or _is_rule(place, name)):
                wanted = "a class that is allowed (safe_globals, or weights_only=False)"
                raise FormatError(self.where, "class", wanted, full)
        found: Any = import_module(place)
        for part in name.split("."):
            found = getattr(found, part)
        return found

    def persistent_load(self, pid: Any) -> Tensor:
        _, kind, key, _, count = pid
        if key not in self.made:
            name = kind if isinstance(kind, str) else str(kind)
            dtype = by_name(name)
            raw = bytearray(self.archive.read(f"{self.folder}data/{key}"))
            self.made[key] = from_buffer(raw, dtype, (min(int(count), len(raw) // dtype.itemsize),))
        return self.made[key]


def _opened(source: Any) -> tuple[object, zipfile.ZipFile, str]:
    where = getattr(source, "name", source) if hasattr(source, "read") else source
    content = readable(source)
    raw: Any = (
        io.BytesIO(content) if isinstance(content, (bytes, bytearray, memoryview)) else content
    )
    where = (
        where if isinstance(where, (str, bytes)) or hasattr(where, "__fspath__") else "torch.load"
    )
    try:
        archive = zipfile.ZipFile(raw)
    except (OSError, zipfile.BadZipFile) as error:
        raise FormatError(where, "file", "a zip archive of PyTorch", error) from error
    names = [n for n in archive.namelist() if n.endswith("/data.pkl")]
    if len(names) != 1:
        raise FormatError(where, "file", "one member data.pkl", len(names))
    return where, archive, names[0].removesuffix("data.pkl")


def load_pickled(source: Any, allowed: Mapping[str, Any] | None) -> Any:
    """The object in a file; with `allowed`, only of these classes beside the usual ones.

    Raises:
        FormatError: no such file, damaged, or a class that is not allowed.
    """
    where, archive, folder = _opened(source)
    with archive:
        try:
            return _Unpickler(where, archive, folder, allowed).load()
        except TallowError:
            raise
        except (
            pickle.UnpicklingError, zipfile.BadZipFile, AttributeError, EOFError, ImportError,
            IndexError, KeyError, TypeError, ValueError,
        ) as error:  # fmt: skip
            raise FormatError(where, "data.pkl", "an object that can be made", error) from error


def names_in(source: Any) -> set[str]:
    """The full names of classes and functions that a file's pickle mentions."""
    _, archive, folder = _opened(source)
    with archive:
        raw = archive.read(f"{folder}data.pkl")
    found: set[str] = set()
    texts: list[str] = []
    for opcode, argument, _ in pickletools.genops(raw):
        if opcode.name in ("GLOBAL", "INST"):
            found.add(str(argument).replace(" ", "."))
        elif opcode.name == "STACK_GLOBAL":
            found.add(".".join(texts[-2:]))
        elif isinstance(argument, str):
            texts.append(argument)
    return found
