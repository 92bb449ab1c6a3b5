"""Op rows: one typed function per op, its body the meaning; kernel, check, gradient hang on it.

The signature is the schema and the docstring the documentation. `@op` registers a row with a
meaning; `@primitive` one whose body is the binding of a native kernel. The caller that users reach
(as `tallow.ops.name` and as a Tensor method) is built once, for the row's own parameters: a generic
`*args, **kwargs` one would cost a microsecond more per call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from . import _native
from .tensor import Tensor, unwrap, unwrap_tensor

P = ParamSpec("P")
R = TypeVar("R")

ROWS: dict[str, Row[..., Any]] = {}

# A row becomes a method of Tensor when its first parameter has one of these names.
SELF_NAMES = ("x", "a")


REQUIRED: Any = object()


def _parameters(function: Any) -> list[tuple[str, bool, Any]]:
    """(name, keyword only, default or REQUIRED) of each parameter.

    Read off the code object: `inspect` takes 10 ms to load.
    """
    code = function.__code__
    count, named = code.co_argcount, code.co_kwonlyargcount
    defaults = function.__defaults__ or ()
    values = (REQUIRED,) * (count - len(defaults)) + defaults
    keyword = function.__kwdefaults__ or {}
    names = code.co_varnames
    plain = [(name, False, value) for name, value in zip(names[:count], values, strict=True)]
    return plain + [
        (name, True, keyword.get(name, REQUIRED)) for name in names[count : count + named]
    ]


class Row(Generic[P, R]):
    """One op: its meaning, native kernel, argument check and gradient rule."""

    def __init__(self, meaning: Callable[P, R], *, is_primitive: bool) -> None:
        self.__name__ = meaning.__name__
        self.__doc__ = meaning.__doc__
        self.meaning = meaning
        self.is_primitive = is_primitive
        self.parameters = _parameters(meaning)
        self.cpu: Callable[P, R] | None = meaning if is_primitive else None
        self.checker: Callable[..., None] | None = None
        self.gradient: Callable[..., Any] | None = None
        self.inplace: Callable[[Tensor, Any], Tensor] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the op; `tallow.ops` has callers without this detour."""
        return self.caller()(*args, **kwargs)

    def kernel(self, binding: Callable[..., R]) -> None:
        """Give the row a native kernel: `binding` prepares the outputs and calls it."""
        self.cpu = binding

    def check(self, checker: Callable[..., None]) -> None:
        """Give the row a check of its arguments, for all backends; it raises through `expect`."""
        self.checker = checker

    def grad(self, rule: Callable[..., Any]) -> None:
        """Give the row its gradient: `rule(g, *arguments)`, one (or None) per tensor argument."""
        self.gradient = rule

    def caller(self) -> Callable[P, R]:
        """What users call: check, then kernel, or the meaning where there is no kernel."""
        run = self.cpu or self.meaning
        if self.checker is None:
            return run
        return _checked(self, self.checker, run)


def _checked(row: Row[P, R], checker: Callable[..., None], run: Callable[..., R]) -> Callable[P, R]:
    """A function with the row's own signature that calls `checker`, then `run`."""
    names: list[str] = []
    heads: list[str] = []
    scope: dict[str, Any] = {"check": checker, "run": run}
    for name, keyword_only, default in row.parameters:
        if keyword_only and "*" not in heads:
            heads.append("*")
        scope[f"_{name}"] = default
        heads.append(name if default is REQUIRED else f"{name}=_{name}")
        names.append(f"{name}={name}" if keyword_only else name)
    given = ", ".join(names)
    code = f"def {row.__name__}({', '.join(heads)}):\n check({given})\n return run({given})"
    exec(code, scope)
    made: Any = scope[row.__name__]
    made.__doc__ = row.__doc__
    return made  # type: ignore[no-any-return]


def op(meaning: Callable[P, R]) -> Row[P, R]:
    """Register an op by its meaning; an elementwise kernel of the same name is bound at once."""
    row = Row(meaning, is_primitive=False)
    native = _native.elementwise(row.__name__)
    if native is not None:
        arity, function, inplace = native
        name = row.__name__
        row.cpu = _unary(function, name) if arity == 1 else _binary(function, name)
        if inplace is not None:
            row.inplace = _inplace(inplace, name)
    ROWS[row.__name__] = row
    return row


def primitive(binding: Callable[P, R]) -> Row[P, R]:
    """Register an op without a meaning in other ops: its body is the binding of the CPU kernel."""
    row = Row(binding, is_primitive=True)
    ROWS[row.__name__] = row
    return row


def _unary(native: Callable[[Any], Any], name: str) -> Any:
    new = object.__new__

    def call(x: Tensor) -> Tensor:
        out = new(Tensor)
        out._array = native(x._array if type(x) is Tensor else unwrap_tensor(x, name))
        return out

    return call


def _binary(native: Callable[[Any, Any], Any], name: str) -> Any:
    new = object.__new__

    def call(a: Tensor, b: Tensor | float) -> Tensor:
        out = new(Tensor)
        out._array = native(
            a._array if type(a) is Tensor else unwrap(a, name),
            b._array if type(b) is Tensor else unwrap(b, name),
        )
        return out

    return call


def _inplace(native: Callable[[Any, Any], None], name: str) -> Any:
    def call(a: Tensor, b: Tensor | float) -> Tensor:
        native(unwrap_tensor(a, name), unwrap(b, name))
        return a

    return call


def install(namespace: dict[str, Any]) -> None:
    """Put the callers of all rows into `namespace` (the package `tallow.ops`) and onto Tensor."""
    for name, row in ROWS.items():
        caller = row.caller()
        namespace[name] = caller
        if row.parameters and row.parameters[0][0] in SELF_NAMES:
            setattr(Tensor, name, caller)
            if row.inplace is not None:
                setattr(Tensor, f"{name}_", row.inplace)
