"""Op: the definition of an op, what it computes said apart from how a device does it.

The typed signature is the schema, the docstring the documentation, the body the *reference*: the
op in other ops, or `...` for a primitive. To it are attached `.check` (of the arguments), `.out`
(shape and dtype of the results), `.kernel` (its name and arguments) and `.grad` (docs/adr/0017).
No op allocates or calls native code: one path checks, allocates, calls and records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar, overload

from . import _native
from .autograd.record import TENSOR, TENSORS, GradientRule
from .callers import AUTOCAST, REQUIRED, VARIADIC, inplace, positional
from .device import get_default_device
from .dtype import DType
from .errors import ArgumentError, NoKernelError, expect
from .older_orders import OLDER
from .tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")


class _Ops(dict[str, "Op[..., Any]"]):
    """The ops by name; `ops[name]` imports the module of an op that is not loaded yet."""

    find: Callable[[str], bool] | None = None
    modules: Mapping[str, str] = {}  # where each op stands, loaded or not

    def __missing__(self, name: str) -> Op[..., Any]:
        if self.find is None or not self.find(name) or name not in self:
            raise KeyError(name)
        return self[name]


OPS = _Ops()


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


class Op(Generic[P, R]):
    """One op: signature, reference, and what is attached to it: check, results, kernel, gradient.

    All that is attached takes the op's parameters by position, in order.
    """

    # Puts a new caller in the place of one that stands where users find it; set by `install`.
    replace_caller: ClassVar[Callable[[Op[..., Any], Any], None] | None] = None

    def __init__(
        self,
        function: Callable[P, R],
        *,
        is_primitive: bool = False,
        name: str | None = None,
        inplace: bool | None = None,
        view: bool = False,
        result: Callable[..., Any] | None = None,
        cached: bool = False,
    ) -> None:
        self.__name__ = self.__qualname__ = name or function.__name__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.signature = function
        self.is_primitive = is_primitive or _is_empty(function)
        self.reference: Callable[P, R] = _missing(self) if self.is_primitive else function
        self.is_view = view
        self.has_inplace = bool(inplace)
        self.result, self.cached = result, cached or view
        self.parameters = _parameters(function)
        self.cpu: Callable[P, R] | None = function if is_primitive else None
        self.elementwise: str | None = None  # the line of csrc/ops/elementwise.def that it is
        self.view_name: str | None = None
        self.kernel_name: str | None = None
        self.kernel_dtypes: frozenset[int] | None = None  # codes; None: any
        self.applies: Callable[..., bool] | None = None
        self.arguments: Callable[..., tuple[Any, ...]] | None = None
        self.outputs: Callable[..., Any] | str | None = None
        self.checker: Callable[..., None] | None = None
        self.gradient: Callable[..., Any] | None = None
        self.inplace_reference: Callable[..., Any] | None = None
        self._uses: dict[str, tuple[str, ...]] | None = None
        self._copied: tuple[str, ...] = ()
        self._rule: GradientRule | None = None
        self._parameter_kinds: tuple[int, ...] | None = None
        self._caller: Callable[P, R] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the op; `tallow.ops` has callers without this detour."""
        return (self._caller or self.caller())(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<op {self.__name__}>"

    # --- what is attached -------------------------------------------------------------------------

    def check(self, checker: Callable[..., None]) -> None:
        """Attach a check of the arguments, for all devices; it raises through `expect`."""
        self.checker = (
            checker if not checker.__code__.co_kwonlyargcount else positional(self, checker)
        )
        self._renew()

    def out(self, outputs: Callable[..., Any] | str) -> None:
        """Attach what the results are, from shapes and dtypes alone.

        A tensor: like it, its order of axes in memory too. `(shape, dtype)`: row-major;
        `(shape, dtype, order)`: the axes from the outermost in memory to the innermost;
        `(tensor, dtype)`: like the tensor in another dtype. A list: one entry for each of several
        results. None: none. A text: the structured op (csrc/core/contract.h) that says so natively.
        """
        self.outputs = outputs
        self._renew()

    @overload
    def kernel(self, binding: Callable[..., R], /) -> None: ...
    @overload
    def kernel(
        self,
        name: str,
        /,
        *,
        dtypes: Iterable[DType] | None = None,
        when: Callable[..., bool] | None = None,
    ) -> Callable[[Callable[..., tuple[Any, ...]]], None]: ...
    def kernel(
        self,
        name: Any,
        /,
        *,
        dtypes: Iterable[DType] | None = None,
        when: Callable[..., bool] | None = None,
    ) -> Any:
        """Attach a kernel: a native one by its name, or a function in Python that runs on the CPU.

        The kernel's arguments behind its outputs are the op's parameters in order, unless the
        function that this decorates gives others (it may call ops); with a first parameter `out`
        it gets the results and gives the outputs too. The reference runs for first tensors of
        other `dtypes`, and where `when` says no.

        An elementwise kernel (csrc/ops/elementwise.def) needs no `.out`: its result has the shape
        and dtype of its promoted operands, and `dtypes` is asked of these. It takes operands, then
        numbers; the reference runs, too, for None in the place of an operand or a tensor in that
        of a number, and where an option behind them is not at its default.
        """
        if not isinstance(name, str):
            self.cpu, self.kernel_name, self.elementwise = name, None, None
            self._renew()
            return None
        if _native.elementwise_operands(name) is None:
            self.kernel_name = name
        else:
            self.elementwise = name
        self.kernel_dtypes = None if dtypes is None else frozenset(d.code for d in dtypes)
        self.applies = when
        self._renew()
        return self._map

    def view(self, name: str, /) -> Callable[[Callable[..., tuple[Any, ...]]], None]:
        """Attach the native view function that gives the result's shape and strides.

        Its arguments are the op's parameters in order, unless the function that this decorates
        gives others: the tensor to view first. It may give a list of these, for a tuple of views,
        or a tensor, which is the result.
        """
        self.view_name = name
        self._renew()
        return self._map

    def _map(self, arguments: Callable[..., tuple[Any, ...]]) -> None:
        self.arguments = arguments
        self._renew()

    def in_place(self, reference: Callable[..., Any], /) -> None:
        """Attach what `name_` does in place, unrecorded, where an elementwise kernel cannot.

        Without it the op's result is written into the tensor.
        """
        self.inplace_reference = reference
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
        """Attach the gradient: `rule(g, *parameters[, out])`, one entry per tensor parameter.

        An entry is a tensor, None, or a function of nothing that is called when the gradient is
        wanted. Parameters named with a leading underscore are not kept: the rule gets their shape
        and dtype. `uses={"b": ("a",)}`: b is kept only when the gradient of a is wanted;
        so may be the results, under the name "out". A last parameter `indices` in the place of
        `out` is the result of integers alone. What `copied` names may be changed in place before
        backward: it is copied then, and only then.
        """

        def attach(function: Callable[..., Any]) -> None:
            self.gradient = function
            self._uses = uses
            self._copied = copied
            self._rule = None
            self._renew()

        if rule is None:
            return attach
        attach(rule)
        return None

    def _renew(self) -> None:
        """Forget callers made before: a user may attach a kernel when the op is in use."""
        alone = self.elementwise is None or self.outputs is None
        expect(alone, self, "an elementwise kernel without an .out", "one", ArgumentError)
        old, self._caller = self._caller, None
        if old is not None and Op.replace_caller is not None:
            _native.forget_calls()
            Op.replace_caller(self, old)

    @property
    def parameter_kinds(self) -> tuple[int, ...]:
        """Per parameter: 0, TENSOR or TENSORS."""
        if self._parameter_kinds is None:
            notes = getattr(self.signature, "__annotations__", {})
            self._parameter_kinds = tuple(_kind(notes.get(name)) for name, _, _ in self.parameters)
        return self._parameter_kinds

    @property
    def rule(self) -> GradientRule | None:
        """The gradient rule with what it needs kept; None without one."""
        if self._rule is None and self.gradient is not None:
            names = [name for name, _, _ in self.parameters]
            self._rule = GradientRule(
                self.gradient, names, self.parameter_kinds, self._uses, self._copied
            )
        return self._rule

    @property
    def takes_out(self) -> bool:
        """Whether `out=` names what to write into: a tensor, or one for each of several results."""
        names = {name for name, _, _ in self.parameters}
        hidden = self.__name__.startswith("nn.") or self.__name__.endswith("_")
        return not (self.is_view or hidden or "out" in names)

    @property
    def has_kernel(self) -> bool:
        """Whether the CPU has a kernel for it."""
        return (self.kernel_name or self.view_name or self.cpu or self.elementwise) is not None

    @property
    def has_reference(self) -> bool:
        """Whether it can be computed by other ops."""
        return not self.is_primitive

    @property
    def is_composite(self) -> bool:
        """Whether the op is its reference, whose ops are recorded one by one."""
        return not self.has_kernel and self.gradient is None

    @property
    def run(self) -> Callable[..., R]:
        """What computes the op in its own signature, not checked, not recorded."""
        return self.cpu or self.reference

    def caller(self, flags: int = 0) -> Any:
        """What users call; `flags` of the native core: as an operator, swapped, in place."""
        if flags:
            return _native.Caller(self, flags, inplace(self) if flags & _native.IN_PLACE else None)
        if self._caller is None:
            self._caller = _native.Caller(self)
        return self._caller

    def operator(self, *, swapped: bool = False, inplace: bool = False) -> Any:
        """What Python calls for `a + b`, for `b + a` of a number `b`, or for `a += b`."""
        flags = swapped * _native.SWAPPED | inplace * _native.IN_PLACE
        return self.caller(_native.OPERATOR | flags)

    @property
    def inplace(self) -> Callable[..., Tensor] | None:
        """The in-place variant, which writes over its first argument; None without one."""
        if not self.has_inplace:
            return None
        native = self.elementwise is not None
        variant: Callable[..., Tensor] = self.caller(_native.IN_PLACE) if native else inplace(self)
        return variant

    # --- for the native caller --------------------------------------------------------------------

    REQUIRED, VARIADIC = REQUIRED, VARIADIC

    @property
    def itself(self) -> Op[P, R]:
        """The op."""
        return self

    @property
    def reduced(self) -> tuple[Any, ...]:
        """How pickle finds the caller again."""
        return caller_of, (self.__name__,)

    @property
    def view_function(self) -> Any:
        """The native function of a view."""
        assert self.view_name is not None
        name = self.view_name
        return getattr(_native.Array, name, None) or getattr(_native, name)

    @property
    def takes_results(self) -> bool:
        """Whether the function of the kernel's arguments gets the results."""
        return self.arguments is not None and self.arguments.__code__.co_varnames[:1] == ("out",)

    @property
    def takes_older(self) -> bool:
        """Whether PyTorch has an older order of its arguments."""
        return self.__name__ in OLDER

    @property
    def autocast(self) -> str | None:
        """What `amp.autocast` does with its tensors."""
        return AUTOCAST.get(self.__name__)


def caller_of(name: str) -> Any:
    """What users call of the op of this name."""
    return OPS[name].caller()


def _empty() -> None:
    """A body of nothing, as that of a primitive."""


def _is_empty(function: Any) -> bool:
    code = function.__code__
    return bool(code.co_code == _empty.__code__.co_code and code.co_consts[1:] == (None,))


def _first_tensor(values: Iterable[Any]) -> Tensor | None:
    for value in values:
        if isinstance(value, (list, tuple)) and (found := _first_tensor(value)) is not None:
            return found
        if isinstance(value, Tensor):
            return value
    return None


def _missing(op: Any) -> Callable[..., Any]:
    def missing(*args: Any, **named: Any) -> Any:
        x = _first_tensor((*args, *named.values()))
        where = get_default_device() if x is None else f"{x.dtype} on {x.device}"
        raise NoKernelError(
            f"{op.__name__}: expected a device and a dtype with a kernel for it, got {where}"
            " (no other ops define it; move the operands with .cpu())"
        )

    missing.__wrapped__ = op.signature  # type: ignore[attr-defined]  # for inspect.signature
    return missing
