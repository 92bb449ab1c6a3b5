"""Classes that take functions of tensors over: `__torch_function__` of subclasses and of others.

A subclass of Tensor keeps its class through ops by the default `Tensor.__torch_function__`; a class
of its own, or one that is no Tensor, is asked for each function that is called with an instance.
Plain tensors pay a test of their type, which is in `PLAIN`.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .errors import DTypeError

# Types of arguments that take nothing over.
PLAIN: set[type] = {int, float, bool, complex, str, type(None)}
HIDDEN: set[type] = set()  # types of PLAIN that are not in it while a mode is on


class _State(threading.local):
    asked = True  # whether classes are asked
    modes: list[Any] | None = None  # the innermost last


_STATE = _State()


@contextmanager
def disable_overrides() -> Iterator[None]:
    """In it functions take subclasses as plain tensors, and give plain tensors."""
    before, _STATE.asked = _STATE.asked, False
    try:
        yield
    finally:
        _STATE.asked = before


def disabled(func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """The `__torch_function__` of classes whose results are plain tensors, as Parameter's."""
    with disable_overrides():
        return func(*args, **(kwargs or {}))


def modes() -> list[Any]:
    """The modes that are on in this thread, the innermost last."""
    if _STATE.modes is None:
        _STATE.modes = []
    return _STATE.modes


def is_watched() -> bool:
    """Whether a mode sees all calls: what is right for some sizes only is not to be shown to it."""
    return bool(_STATE.modes)


def has_override(kind: type) -> bool:
    """Whether instances of a type are asked for functions that get them."""
    if kind in PLAIN or kind in HIDDEN:
        return False
    found = getattr(kind, "__torch_function__", None)
    return found is not None and found is not disabled


def overloaded(values: Iterable[Any]) -> list[Any]:
    """One value of each type that takes over, subclasses before their bases."""
    found: list[Any] = []
    if not _STATE.asked:
        return found
    if _STATE.modes:
        return [_STATE.modes[-1], *_classes(values)]
    return _classes(values)


def _classes(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        kind = type(value)
        if kind in PLAIN:
            continue
        if isinstance(value, (list, tuple)) and not hasattr(kind, "__torch_function__"):
            more = _classes(value)
        else:
            more = [value] if has_override(kind) else []
        for one in more:
            if any(type(one) is type(other) for other in found):
                continue
            at = next((i for i, o in enumerate(found) if isinstance(one, type(o))), len(found))
            found.insert(at, one)
    return found


def ask(
    func: Callable[..., Any], found: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """What the first class that does not answer NotImplemented makes of the call."""
    inner = _STATE.modes
    if inner and found[0] is inner[-1]:
        return _ask_mode(func, found[1:], args, kwargs)
    types = tuple(map(type, found))
    for one in found:
        made = type(one).__torch_function__(func, types, args, kwargs)
        if made is not NotImplemented:
            return made
    names = ", ".join(kind.__name__ for kind in types)
    raise DTypeError(
        f"{getattr(func, '__name__', func)}: expected a __torch_function__ that knows it,"
        f" got none among {names}"
    )


def _ask_mode(
    func: Callable[..., Any], found: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """What the innermost mode, off meanwhile, makes of the call; else the classes; else itself."""
    mode = modes().pop()
    try:
        made = mode.__torch_function__(func, tuple(map(type, found)), args, kwargs)
        if made is not NotImplemented:
            return made
        return ask(func, found, args, kwargs) if found else func(*args, **kwargs)
    finally:
        modes().append(mode)


def default(
    cls: type[Any],
    func: Callable[..., Any],
    types: Iterable[type],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> Any:
    """Call `func`, and give its tensors the class; NotImplemented beside a class of no kin."""
    if not all(issubclass(cls, kind) for kind in types):
        return NotImplemented
    named = kwargs or {}
    with disable_overrides():
        made = func(*args, **named)
    return _as(made, cls, set(_ids([*args, *named.values()])))


def _ids(values: Iterable[Any]) -> Iterator[int]:
    """What tells each value, and each in a list of them, from all others."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _ids(value)
        else:
            yield id(value)


def _as(made: Any, cls: type[Any], given: set[int]) -> Any:
    from .tensor import Tensor

    if type(made) is Tensor:
        if id(made) in given:  # the caller's own stays what it is
            return made.as_subclass(cls)
        made.__class__ = cls  # a new tensor: its history and its views stay what they are
    elif isinstance(made, (tuple, list)) and any(isinstance(one, Tensor) for one in made):
        parts = [_as(one, cls, given) for one in made]
        return type(made)(*parts) if hasattr(made, "_fields") else type(made)(parts)
    return made


# What Tensor defines itself rather than by an op: a subclass gets versions that ask.
METHODS = (
    "to", "float", "double", "half", "bfloat16", "long", "int", "short", "char", "byte", "bool",
    "cfloat", "type", "type_as", "contiguous", "to_dense", "cpu", "copy_", "fill_", "zero_",
    "detach", "new", "backward", "item", "tolist", "__getitem__", "__repr__",
)  # fmt: skip
_PROPERTIES = ("T", "mT", "H", "mH", "data")


def asking(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method that asks first."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        found = overloaded(args)
        return ask(function, found, args, kwargs) if found else function(*args, **kwargs)

    return call


def _property(kept: Any) -> Any:
    def get(self: Any) -> Any:
        found = overloaded((self,))
        return ask(kept.__get__, found, (self,), {}) if found else kept.__get__(self)

    return property(get, kept.fset, doc=kept.__doc__)


def adopt(base: type[Any], cls: type[Any]) -> None:
    """Let a new subclass of Tensor take part: its own methods ask, or its results are plain."""
    if cls.__torch_function__ is disabled:
        PLAIN.add(cls)
        return
    above = [kind for kind in cls.__mro__[1:] if kind is not base and issubclass(kind, base)]
    if any(map(has_override, above)):
        return  # inherits what asks
    own = vars(cls)
    for name in METHODS:
        if name not in own:
            setattr(cls, name, asking(getattr(base, name)))
    for name in _PROPERTIES:
        if name not in own:
            setattr(cls, name, _property(_descriptor(base, name)))


def _descriptor(base: type[Any], name: str) -> Any:
    """The descriptor itself."""
    return next(vars(kind)[name] for kind in base.__mro__ if name in vars(kind))
