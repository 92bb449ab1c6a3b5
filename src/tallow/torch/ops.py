"""torch.ops: ops by namespace and name: `aten` from Tallow's, `torchvision`, a user's own."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from tallow.torch._names import refused

_defined: dict[tuple[str, str], Callable[..., Any]] = {}
# Namespaces that a module here answers.
_MODULES = {"torchvision": "tallow.torch._torchvision", "profiler": "tallow.torch._profiler_ops"}

loaded_libraries: set[str] = set()


def define(space: str, name: str, function: Callable[..., Any]) -> None:
    """Let `torch.ops.<space>.<name>` be `function`."""
    _defined[space, name] = function


def has_own(space: str) -> bool:
    """Whether the ops of a namespace stand here, with gradients."""
    return space in _MODULES


def lookup(space: str, name: str) -> Any:
    """The op of a namespace; AttributeError when there is none."""
    if (space, name) in _defined:
        return _defined[space, name]
    if space in _MODULES:
        found = getattr(import_module(_MODULES[space]), name, None)
        why = "it is not supported"
        return found if found is not None else refused("tallow.torch.ops", f"{space}.{name}", why)
    if space == "aten":
        root = import_module("tallow.torch")
        found = getattr(root, name, None) or getattr(
            import_module("tallow.torch.nn.functional"), name, None
        )
        if callable(found):
            return found
    raise AttributeError(f"torch.ops: '_OpNamespace' '{space}' object has no attribute {name!r}")


class OpPacket:
    """An op and its overloads, which are one function here."""

    def __init__(self, space: str, name: str, function: Callable[..., Any]) -> None:
        self._function = function
        self.__name__, self.__qualname__ = name, f"{space}.{name}"
        self._overloads = ("default",)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the op."""
        return self._function(*args, **kwargs)

    def overloads(self) -> list[str]:
        """The one overload."""
        return ["default"]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._function  # .default, .Tensor, .int, …


class OpNamespace:
    """The ops of one namespace."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return OpPacket(self.name, name, lookup(self.name, name))


def load_library(path: Any) -> None:
    """Load compiled ops: those of torchvision stand here already; others are refused.

    Raises:
        OSError: a library that needs PyTorch's own.
    """
    import os

    name = os.fspath(path)
    if "torchvision" not in name:
        raise OSError(f"torch.ops.load_library: expected no compiled ops of PyTorch, got {name}")
    loaded_libraries.add(name)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'torch.ops' has no attribute {name!r}")
    found = OpNamespace(name)
    globals()[name] = found
    return found
