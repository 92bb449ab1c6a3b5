"""Register ops, and put them where users find them: on Tensor and in modules of ops."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, overload

from . import _native
from .definition import OPS, Op, P, R, caller_of
from .errors import ArgumentError
from .tensor import Tensor
from .tensor_methods import Ops

__all__ = [
    "OPS", "OWN", "SELF_NAMES", "Op", "caller_of", "install", "namespace", "op", "op_of",
    "primitive", "when_missing",
]  # fmt: skip

# An op becomes a method of Tensor when its first parameter has one of these names.
SELF_NAMES = ("x", "a")


@overload
def op(function: Callable[P, R], /) -> Op[P, R]: ...
@overload
def op(
    *,
    name: str | None = None,
    inplace: bool | None = None,
    view: bool = False,
    result: Callable[..., Any] | None = None,
    cached: bool = False,
) -> Callable[[Callable[P, R]], Op[P, R]]: ...
def op(function: Any = None, /, **options: Any) -> Any:
    """Register an op by its signature and reference (a body of `...`: a primitive, without one).

    `name` is for an op in a namespace (`linalg.inv`); `inplace` asks for an in-place variant,
    `name_`; `view` says that the result shares the first argument's memory; `result` makes a named
    tuple of several results. An elementwise kernel of the op's name that takes no numbers is bound
    at once; the op has such a variant then, unless `inplace` is False.

    `cached`: which ops the body calls, and what `.check`, `.out`, `.kernel` and its arguments come
    to, is decided by the shapes, strides and dtypes of tensors and by the values of all else. They
    are asked twice for each signature; reading elements of a tensor is noticed and turns it off
    for that signature, reading other state (a default, a generator) is not and is forbidden.
    """
    if function is None:
        return lambda function: op_of(function, options)
    return op_of(function, {})


def op_of(function: Any, options: dict[str, Any]) -> Op[..., Any]:
    """Register what `op` decorates."""
    made: Op[..., Any] = Op(function, **options)
    operands, numbers = _native.elementwise_operands(made.__name__) or (0, 0)
    if operands in (1, 2) and not numbers:
        made.elementwise = made.__name__
        made.has_inplace = options.get("inplace") is not False
    return _register(made)


@overload
def primitive(binding: Callable[P, R], /) -> Op[P, R]: ...
@overload
def primitive(
    *, name: str | None = None, inplace: bool = False, view: bool = False
) -> Callable[[Callable[P, R]], Op[P, R]]: ...
def primitive(binding: Any = None, /, **options: Any) -> Any:
    """Register an op without a reference: its body is the binding of the CPU kernel."""
    if binding is None:
        return lambda function: _register(Op(function, is_primitive=True, **options))
    return _register(Op(binding, is_primitive=True))


def _register(made: Op[..., Any]) -> Op[..., Any]:
    before = OPS.get(made.__name__)
    # Run again in a notebook, a definition replaces its former self, but nobody else's op.
    if before is not None and before.__module__ != made.__module__:
        raise ArgumentError(
            f"op: expected a name that is free, got {made.__name__!r} of {before.__module__}"
        )
    OPS[made.__name__] = made
    if _installed:
        _install_method(made.__name__, made)
    return made


class _Method:
    """Stands on Tensor for an op's method until it is first used, and then makes way for it."""

    __slots__ = ("inplace", "name", "op")

    def __init__(self, op: Op[..., Any], name: str, inplace: bool) -> None:
        self.op, self.name, self.inplace = op, name, inplace

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        made: Any = self.op.inplace if self.inplace else self.op.caller()
        setattr(Tensor, self.name, made)
        return made if instance is None else made.__get__(instance, owner)


_installed = False
OWN = frozenset(dir(Tensor))  # what the class defines itself is a richer form of the op


def _install_method(name: str, op: Op[..., Any]) -> None:
    if "." in name or not op.parameters or op.parameters[0][0] not in SELF_NAMES:
        return
    if name not in OWN:
        setattr(Tensor, name, _Method(op, name, False))
    if op.has_inplace:
        setattr(Tensor, f"{name}_", _Method(op, f"{name}_", True))


class _Unloaded:
    """Stands on Tensor for the method of an op not loaded yet, which takes its place then."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        name = self.name
        assert OPS.find is not None, "set where methods are"
        if not (OPS.find(name) or OPS.find(name.removesuffix("_"))) or (
            Tensor.__dict__.get(name) is self  # asked for by the module that is to give it
        ):
            raise AttributeError(f"'Tensor' object has no attribute {name!r}")
        return getattr(owner if instance is None else instance, name)


def when_missing(
    find: Callable[[str], bool], modules: Mapping[str, str], methods: Iterable[str]
) -> None:
    """Let `OPS` and Tensor ask `find` to load an op; `methods` are those of ops in `modules`."""
    OPS.find, OPS.modules = find, modules
    for name in methods:
        setattr(Tensor, name, _Unloaded(name))


def install() -> None:
    """Put all ops onto Tensor; `tallow.ops` finds them by name."""
    global _installed
    for name, op in OPS.items():
        _install_method(name, op)
    _installed, Op.replace_caller = True, _replace_caller
    Ops.named = caller_of


def _replace_caller(op: Op[..., Any], old: Any) -> None:
    _install_method(op.__name__, op)
    for module in ("tallow", "tallow.ops"):
        if vars(sys.modules[module]).get(op.__name__) is old:
            delattr(sys.modules[module], op.__name__)


def namespace(module: str) -> tuple[list[str], Callable[[str], Any]]:
    """What a module for the ops named `module.…` needs: `__all__` and its `__getattr__`."""
    prefix = module.rpartition(".")[2]
    names = {name for name in (*OPS, *OPS.modules) if name.startswith(f"{prefix}.")}

    def find(name: str) -> Any:
        full = f"{prefix}.{name}"
        if name.startswith("_") or full not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        made = OPS[full].caller()
        setattr(sys.modules[module], name, made)
        return made

    return sorted(name.removeprefix(f"{prefix}.") for name in names), find
