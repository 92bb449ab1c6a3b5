"""Op rows: one typed function per op, its body the meaning; kernel, check, gradient hang on it.

The signature is the schema and the docstring the documentation. `@op` registers a row with a
meaning; `@primitive` one whose body is the binding of a native kernel. The caller that users reach
(as `tallow.ops.name` and as a Tensor method) is built for the row's own parameters when it is first
used: a generic `*args, **kwargs` one would cost a microsecond more per call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, overload

from . import _native
from .autograd.record import TENSOR, TENSORS, Rule
from .callers import (
    REQUIRED,
    VARIADIC,
    binary,
    build,
    inplace,
    native_inplace,
    spread,
    unary,
)
from .errors import ArgumentError
from .tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")


class _Rows(dict[str, "Row[..., Any]"]):
    """The rows by name; `rows[name]` opens the room of a row that is not loaded yet."""

    find: Callable[[str], bool] | None = None

    def __missing__(self, name: str) -> Row[..., Any]:
        if self.find is None or not self.find(name) or name not in self:
            raise KeyError(name)
        return self[name]


ROWS = _Rows()

# A row becomes a method of Tensor when its first parameter has one of these names.
SELF_NAMES = ("x", "a")


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
    star = [(names[count + named], False, VARIADIC)] if code.co_flags & 4 else []
    return (
        plain
        + star
        + [(name, True, keyword.get(name, REQUIRED)) for name in names[count : count + named]]
    )


def _kind(annotation: Any) -> int:
    """What a parameter takes, by its annotation: no tensor (0), TENSOR or TENSORS."""
    if annotation is None:
        return TENSOR  # a user's op without annotations: rather record too much than too little
    text = annotation if isinstance(annotation, str) else str(annotation)
    if "Tensor" not in text or "Callable" in text:
        return 0
    before = text.split("Tensor")[0].replace("Optional[", "").replace("Union[", "")
    return TENSORS if "[" in before else TENSOR


class Row(Generic[P, R]):
    """One op: its meaning, native kernel, argument check and gradient rule."""

    def __init__(
        self,
        meaning: Callable[P, R],
        *,
        is_primitive: bool,
        name: str | None = None,
        inplace: bool = False,
        view: bool = False,
    ) -> None:
        self.__name__ = name or meaning.__name__
        self.__qualname__ = self.__name__
        self.__module__ = meaning.__module__
        self.__doc__ = meaning.__doc__
        self.meaning = meaning
        self.is_primitive = is_primitive
        self.is_view = view
        self.has_inplace = inplace
        self.parameters = _parameters(meaning)
        self.cpu: Callable[P, R] | None = meaning if is_primitive else None
        self.native: tuple[Any, ...] | None = None  # arity and functions of an elementwise kernel
        self.checker: Callable[..., None] | None = None
        self.gradient: Callable[..., Any] | None = None
        self._uses: dict[str, tuple[str, ...]] | None = None
        self._copied: tuple[str, ...] = ()
        self._rule: Rule | None = None
        self._kinds: tuple[int, ...] | None = None
        self._caller: Callable[P, R] | None = None
        self._positional: Callable[[tuple[Any, ...]], R] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the op; `tallow.ops` has callers without this detour."""
        return (self._caller or self.caller())(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<op {self.__name__}>"

    def kernel(self, binding: Callable[..., R]) -> None:
        """Give the row a native kernel: `binding` prepares the outputs and calls it."""
        self.cpu = binding
        self._renew()

    def _renew(self) -> None:
        """Forget callers made before: a user may add a kernel when the op is in use."""
        old, self._caller, self._positional = self._caller, None, None
        if _installed and old is not None:
            _install_method(self.__name__, self)
            for module in ("tallow", "tallow.ops"):
                if vars(sys.modules[module]).get(self.__name__) is old:
                    delattr(sys.modules[module], self.__name__)

    def check(self, checker: Callable[..., None]) -> None:
        """Give the row a check of its arguments, for all backends; it raises through `expect`."""
        self.checker = checker
        self._renew()

    @overload
    def grad(self, rule: Callable[..., Any], /) -> None: ...
    @overload
    def grad(
        self,
        /,
        *,
        uses: dict[str, tuple[str, ...]] | None = None,
        copied: tuple[str, ...] = (),
    ) -> Callable[[Callable[..., Any]], None]: ...
    def grad(
        self,
        rule: Callable[..., Any] | None = None,
        /,
        *,
        uses: dict[str, tuple[str, ...]] | None = None,
        copied: tuple[str, ...] = (),
    ) -> Any:
        """Give the row its gradient: `rule(g, *parameters[, out])`, one entry per tensor parameter.

        An entry is a tensor, None, or a function of nothing that is called when the gradient is
        wanted. Parameters named with a leading underscore are not kept: the rule gets their shape
        and dtype. `uses={"b": ("a",)}`: b is kept only when the gradient of a is wanted;
        so may be the results, under the name "out". A last parameter `indices` in the place of
        `out` is the result of integers alone. What `copied` names may be changed in place before
        backward: it is copied then, and only then.
        """

        def hang(function: Callable[..., Any]) -> None:
            self.gradient = function
            self._uses = uses
            self._copied = copied
            self._rule = None
            self._renew()

        if rule is None:
            return hang
        hang(rule)
        return None

    @property
    def kinds(self) -> tuple[int, ...]:
        """Per parameter: 0, TENSOR or TENSORS."""
        if self._kinds is None:
            notes = getattr(self.meaning, "__annotations__", {})
            self._kinds = tuple(_kind(notes.get(name)) for name, _, _ in self.parameters)
        return self._kinds

    @property
    def rule(self) -> Rule | None:
        """The gradient rule with what it needs kept; None without one."""
        if self._rule is None and self.gradient is not None:
            names = [name for name, _, _ in self.parameters]
            self._rule = Rule(self.gradient, names, self.kinds, self._uses, self._copied)
        return self._rule

    @property
    def takes_out(self) -> bool:
        """Whether `out=` names what to write into: a tensor, or one for each of several results."""
        names = {name for name, _, _ in self.parameters}
        hidden = self.__name__.startswith("nn.") or self.__name__.endswith("_")
        return not (self.is_view or hidden or "out" in names)

    @property
    def is_composite(self) -> bool:
        """Whether the row is its meaning, whose ops are recorded one by one."""
        return self.cpu is None and self.native is None and self.gradient is None

    @property
    def positional(self) -> Callable[[tuple[Any, ...]], R]:
        """The kernel (or meaning), called with all parameters in order."""
        if self._positional is None:
            self._positional = spread(self, self.cpu or self._native_run() or self.meaning)
        return self._positional

    def _native_run(self) -> Callable[..., Any] | None:
        if self.native is None:
            return None
        maker = unary if self.native[0] == 1 else binary
        run: Callable[..., Any] = maker(self, self.native[1], recorded=False)
        return run

    def caller(self) -> Callable[P, R]:
        """What users call: check, then kernel, or the meaning where there is no kernel."""
        if self._caller is None:
            if self.native is not None and self.cpu is None and self.checker is None:
                maker = unary if self.native[0] == 1 else binary
                self._caller = maker(self, self.native[1], recorded=True)
            else:
                self._caller = build(self)
        return self._caller

    @property
    def inplace(self) -> Callable[..., Tensor] | None:
        """The twin `name_`, which writes the result over its first argument; None without one."""
        if self.native is not None and self.native[2] is not None:
            twin: Callable[..., Tensor] = native_inplace(self, self.native[2])
            return twin
        return inplace(self) if self.has_inplace or self.native is not None else None


# --- registration ---------------------------------------------------------------------------------


@overload
def op(meaning: Callable[P, R], /) -> Row[P, R]: ...
@overload
def op(
    *, name: str | None = None, inplace: bool = False, view: bool = False
) -> Callable[[Callable[P, R]], Row[P, R]]: ...
def op(meaning: Any = None, /, **options: Any) -> Any:
    """Register an op by its meaning; an elementwise kernel of the same name is bound at once.

    `name` is for a row in a namespace (`linalg.inv`); `inplace` asks for a twin `name_`; `view`
    says that the result shares the first argument's memory.
    """
    if meaning is None:
        return lambda function: _register(function, options)
    return _register(meaning, {})


def _register(meaning: Any, options: dict[str, Any]) -> Row[..., Any]:
    row: Row[..., Any] = Row(meaning, is_primitive=False, **options)
    row.native = _native.elementwise(row.__name__)
    return _enter(row)


@overload
def primitive(binding: Callable[P, R], /) -> Row[P, R]: ...
@overload
def primitive(
    *, name: str | None = None, inplace: bool = False, view: bool = False
) -> Callable[[Callable[P, R]], Row[P, R]]: ...
def primitive(binding: Any = None, /, **options: Any) -> Any:
    """Register an op without a meaning in other ops: its body is the binding of the CPU kernel."""
    if binding is None:
        return lambda function: _enter(Row(function, is_primitive=True, **options))
    return _enter(Row(binding, is_primitive=True))


def _enter(row: Row[..., Any]) -> Row[..., Any]:
    before = ROWS.get(row.__name__)
    # Run again in a notebook, a definition replaces its former self, but nobody else's row.
    if before is not None and before.__module__ != row.__module__:
        raise ArgumentError(
            f"op: expected a name that is free, got {row.__name__!r} of {before.__module__}"
        )
    ROWS[row.__name__] = row
    if _installed:
        _install_method(row.__name__, row)
    return row


class _Method:
    """Stands on Tensor for a row's method until it is first used, and then makes way for it."""

    __slots__ = ("inplace", "name", "row")

    def __init__(self, row: Row[..., Any], name: str, inplace: bool) -> None:
        self.row, self.name, self.inplace = row, name, inplace

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        made: Any = self.row.inplace if self.inplace else self.row.caller()
        setattr(Tensor, self.name, made)
        return made if instance is None else made.__get__(instance, owner)


_installed = False
OWN = frozenset(dir(Tensor))  # what the class defines itself is a richer form of the row


def _install_method(name: str, row: Row[..., Any]) -> None:
    if "." in name or not row.parameters or row.parameters[0][0] not in SELF_NAMES:
        return
    if name not in OWN:
        setattr(Tensor, name, _Method(row, name, False))
    if row.has_inplace or row.native is not None:
        setattr(Tensor, f"{name}_", _Method(row, f"{name}_", True))


def when_missing(find: Callable[[str], bool]) -> None:
    """Let Tensor ask `find` to load the row of a method that it does not have yet."""
    ROWS.find = find

    def method(self: Tensor, name: str) -> Any:
        row = name.removesuffix("_")
        if name.startswith("_") or not (find(name) or find(row)) or name not in Tensor.__dict__:
            raise AttributeError(f"'Tensor' object has no attribute {name!r}")
        return getattr(self, name)

    Tensor.__getattr__ = method  # type: ignore[attr-defined]  # installed late


def install() -> None:
    """Put all rows onto Tensor; `tallow.ops` finds them by name."""
    global _installed
    for name, row in ROWS.items():
        _install_method(name, row)
    _installed = True


def namespace(module: str) -> tuple[list[str], Callable[[str], Any]]:
    """What a module for the rows named `module.…` needs: `__all__` and its `__getattr__`."""
    from .ops._places import PLACES

    prefix = module.rpartition(".")[2]
    names = {name for name in (*ROWS, *PLACES) if name.startswith(f"{prefix}.")}

    def find(name: str) -> Any:
        full = f"{prefix}.{name}"
        if name.startswith("_") or full not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        made = ROWS[full].caller()
        setattr(sys.modules[module], name, made)
        return made

    return sorted(name.removeprefix(f"{prefix}.") for name in names), find
