"""einops on our tensors: its backend for them, made when both packages are there.

einops asks every subclass of its `AbstractBackend` whether a tensor is its own. It may be imported
before Tallow, or long after: then a finder, which compares one string per import, adds the subclass
when einops has run.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from .tensor import Tensor

_WATCHED = "einops._backends"


class _Methods:
    """What einops wants of a backend; the class that it finds has its base beside this one."""

    framework_name = "tallow"

    def is_appropriate_type(self, tensor: Any) -> bool:
        """Whether it is ours."""
        from .tensor import Tensor

        return isinstance(tensor, Tensor)

    def from_numpy(self, x: Any) -> Tensor:
        """A tensor on the array's memory."""
        from .borrowing import from_numpy

        return from_numpy(x)

    def to_numpy(self, x: Tensor) -> Any:
        """The values alone."""
        return x.detach().cpu().numpy()

    def arange(self, start: int, stop: int) -> Tensor:
        """The integers from start up to stop."""
        from .ops import arange

        return arange(start, stop)

    def reduce(self, x: Tensor, operation: str, axes: Sequence[int]) -> Tensor:
        """A reduction by its name."""
        if operation in ("min", "max"):
            reduced: Tensor = getattr(x, f"a{operation}")(tuple(axes))
        elif operation == "prod":
            reduced = x
            for axis in sorted(axes, reverse=True):
                reduced = reduced.prod(axis)
        elif operation in ("sum", "mean", "any", "all"):
            reduced = getattr(x, operation)(tuple(axes))
        else:
            raise NotImplementedError(f"einops: no reduction {operation!r} of tallow's tensors")
        return reduced

    def transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """The axes in another order."""
        return x.permute(tuple(axes))

    def stack_on_zeroth_dimension(self, tensors: list[Tensor]) -> Tensor:
        """The tensors along a new first axis."""
        from .ops import stack

        return stack(tensors)

    def add_axis(self, x: Tensor, new_position: int) -> Tensor:
        """The tensor with an axis of length 1."""
        return x.unsqueeze(new_position)

    def add_axes(self, x: Tensor, n_axes: int, pos2len: dict[int, int]) -> Tensor:
        """The tensor repeated along new axes, as a view."""
        lengths = [-1] * n_axes
        for position, length in pos2len.items():
            x = x.unsqueeze(position)
            lengths[position] = length
        return x.expand(*lengths)

    def tile(self, x: Tensor, repeats: Sequence[int]) -> Tensor:
        """The tensor repeated along its axes."""
        return x.repeat(*repeats)

    def concat(self, tensors: list[Tensor], axis: int) -> Tensor:
        """The tensors one after the other along an axis."""
        from .ops import cat

        return cat(tensors, axis)

    def is_float_type(self, x: Tensor) -> bool:
        """Whether a mean has a meaning."""
        return x.is_floating_point()

    def einsum(self, pattern: str, *x: Tensor) -> Tensor:
        """The sum of products that a pattern of single letters names."""
        from .ops import einsum

        return einsum(pattern, *x)


class _Loader:
    """Runs a module by its own loader, which it then has again, and adds our backend to it."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """What the loader itself makes."""
        module: ModuleType | None = self._own.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run it as if nobody watched, then register."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        module.__loader__ = self._own
        self._own.exec_module(module)
        _register(module)


class _Finder:
    """Lets the finders after it find einops' backends, and adds ours when they have run."""

    def __init__(self) -> None:
        self._asking: set[int] = set()  # threads; another hook may in its turn ask every finder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the next finders say, with a loader that registers; nothing for other modules."""
        if fullname != _WATCHED or get_ident() in self._asking:
            return None
        after = sys.meta_path.index(self) + 1 if self in sys.meta_path else 0
        self._asking.add(get_ident())
        try:
            found = (finder.find_spec(fullname, path, target) for finder in sys.meta_path[after:])
            spec = next(filter(None, found), None)
        finally:
            self._asking.discard(get_ident())
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]  # a loader all the same
        return spec


def _register(backends: ModuleType) -> None:
    """Give einops the class; it hangs on the module, since einops only remembers it weakly."""
    base = getattr(backends, "AbstractBackend", None)
    if base is None:  # an einops that works otherwise: it says itself that it does not know us
        return
    known = {getattr(kind, "framework_name", None) for kind in base.__subclasses__()}
    if _Methods.framework_name not in known:
        kind = type("TallowBackend", (_Methods, base), {"__doc__": _Methods.__doc__})
        vars(backends)[kind.__name__] = kind


def watch() -> None:
    """Register with einops now if it is there, otherwise when it comes."""
    mine = (_Finder.__module__, _Finder.__qualname__)
    for finder in list(sys.meta_path):  # of a Tallow that was imported and dropped
        if (type(finder).__module__, type(finder).__qualname__) == mine:
            sys.meta_path.remove(finder)
    sys.meta_path.insert(0, _Finder())
    if sys.modules.get(_WATCHED) is not None:
        _register(import_module(_WATCHED))  # which waits where another thread is still at it
