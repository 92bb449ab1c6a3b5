"""torch.save and torch.load: PyTorch's zip archive, whatever the name of the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tallow import persistence
from tallow.device import Device
from tallow.errors import ArgumentError, expect
from tallow.nn.module import Module
from tallow.tensor import Size, Tensor
from tallow.torch._names import NoDeviceError

SourceChangeWarning = type("SourceChangeWarning", (Warning,), {"__module__": __name__})
_TRUSTING = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"  # PyTorch's variable for programs of before 2.6
_safe: dict[str, Any] = {}  # full name → class, that `load` may make beside the usual ones


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write an object to a path or an open binary file, as PyTorch's zip archive.

    Tensors, plain values and containers of them are written so that `load` reads them without
    running anything. An object of another class (a whole module) is pickled: `load` takes it with
    `weights_only=False`, or with its class in `safe_globals`.
    """
    if _is_plain(obj):
        persistence.save_object(obj, f)
    else:
        from tallow.torch._pickled import save_pickled

        save_pickled(obj, f)


def _is_plain(root: Any) -> bool:
    """Whether all is of the classes that every reader knows."""
    import collections

    from tallow.dtype import DType

    plain = (
        Tensor, str, bytes, bytearray, bool, int, float, complex, type(None), DType, Device, Size,
    )  # fmt: skip
    containers = (dict, list, tuple, set, collections.OrderedDict, collections.Counter)
    waiting, seen = [root], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, Module):
            return False
        if type(value).__name__ == "ndarray" and type(value).__module__ == "numpy":
            return False
        if isinstance(value, plain) or type(value).__module__.partition(".")[0] == "numpy":
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, persistence.TensorMap):
            continue
        kind = type(value)
        if kind is collections.defaultdict:
            if value.default_factory not in (dict, list, int, float, set, None):
                return False
        elif kind not in containers:
            return False
        waiting.extend([*value.keys(), *value.values()] if isinstance(value, dict) else value)
    return True


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """The object that `save`, or PyTorch's own, wrote to a path or an open binary file.

    With `weights_only`, which is the default, only tensors, plain values, containers, and the
    classes of `safe_globals` are made; a file that names another is refused. `weights_only=False`
    runs what the file says: only for files that you trust. `map_location` may be anything that
    ends on the CPU (None, "cpu", a device, a function (storage, place), a dict of places), or
    "meta", for shapes and dtypes alone.

    Raises:
        FormatError: damaged, or it names a class that is not allowed.
        NoDeviceError: `map_location` names a device that is not there.
    """
    on_meta = _check_location(map_location) == "meta"
    if weights_only is None and os.environ.get(_TRUSTING, "").lower() in ("1", "y", "yes", "true"):
        weights_only = False
    if weights_only is not False and not _safe:
        found = persistence.load_object(f)
        return _moved(found) if on_meta else found
    if on_meta:
        raise ArgumentError("torch.load: expected weights_only for a map_location of meta")
    from tallow.torch._pickled import load_pickled

    return load_pickled(f, None if weights_only is False else dict(_safe))


def _check_location(where: Any) -> str:
    """The name of the device that all is to be on."""
    if where is None or (callable(where) and not isinstance(where, Device)):
        return "cpu"
    targets = list(where.values()) if isinstance(where, dict) else [where]
    names = {str(target).partition(":")[0] for target in targets} or {"cpu"}
    if names not in ({"cpu"}, {"meta"}):
        wanted = "expected a map_location of cpu or meta"
        raise NoDeviceError(f"torch.load: {wanted}, got {', '.join(map(str, targets))}")
    return names.pop()


def _moved(found: Any) -> Any:
    """What was loaded, its tensors on meta: in the containers that such a file can have."""
    if isinstance(found, Tensor):
        leaf = found.detach().to("meta")
        return leaf.requires_grad_(found.requires_grad)
    if isinstance(found, dict):
        for key, value in found.items():
            found[key] = _moved(value)
    elif isinstance(found, list):
        found[:] = map(_moved, found)
    elif isinstance(found, tuple):
        parts = [_moved(part) for part in found]
        return type(found)(*parts) if hasattr(found, "_fields") else type(found)(parts)
    return found


# --- classes that a file may name -----------------------------------------------------------------


def _named(entry: Any) -> tuple[str, Any]:
    target, name = entry if isinstance(entry, tuple) else (entry, None)
    expect(callable(target), "safe_globals", "classes or functions", target, ArgumentError)
    return name or f"{target.__module__}.{target.__qualname__}", target


def add_safe_globals(
    safe_globals: list[Callable[..., Any] | tuple[Callable[..., Any], str]],
) -> None:
    """Let `load` make objects of these classes, too."""
    _safe.update(map(_named, safe_globals))


def clear_safe_globals() -> None:
    """Forget them."""
    _safe.clear()


def get_safe_globals() -> list[Any]:
    """What was added."""
    return list(_safe.values())


@contextmanager
def safe_globals(safe_globals: list[Any]) -> Iterator[None]:
    """A block in which `load` makes objects of these classes, too."""
    before = dict(_safe)
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _safe.clear()
        _safe.update(before)


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """The names in a file that `load` would refuse."""
    from tallow.torch._pickled import names_in, usual

    return sorted(name for name in names_in(f) if name not in _safe and not usual(name))
