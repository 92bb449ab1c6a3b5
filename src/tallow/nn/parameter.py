"""Parameters and buffers: tensors that a module takes in when they are assigned to an attribute."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar, cast

from tallow.autograd.mode import no_grad
from tallow.device import CPU, Device, code_of
from tallow.dtype import Default, DType, as_dtype, f32
from tallow.errors import DTypeError, expect
from tallow.factories import empty
from tallow.overrides import disabled
from tallow.tensor import Size, Tensor, unwrap_tensor

FLOAT = "f"
FLOAT_OR_BLOCK = "fq"
DIFFERENTIABLE = "fc"  # the dtype kinds that can carry a gradient

T = TypeVar("T", bound=Tensor)

# What fills a new tensor with its initial values, in place: the functions of `nn.init` are rules.
Init = Callable[[Tensor], object]


class Parameter(Tensor):
    """A tensor that becomes a parameter of the module to whose attribute it is assigned.

    `Parameter(data)` is a leaf on the storage of `data` that requires a gradient, and an ordinary
    tensor to every op. DTypeError for a gradient of integers or of block dtypes.
    """

    __slots__ = ("_declared",)
    __torch_function__ = staticmethod(disabled)

    _declared: Declaration  # by its layer; a parameter that the user made has none

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        """Make a leaf of `data` (an empty f32 tensor by default)."""
        data = empty(0) if data is None else data
        unwrap_tensor(data, "Parameter")
        if requires_grad:
            wanted = "floats, or requires_grad=False"
            kind = data.dtype.kind
            expect(kind in DIFFERENTIABLE, "Parameter", wanted, data.dtype.name, DTypeError)
        made = _leaf(cls, data)
        made.requires_grad_(bool(requires_grad))
        return made

    def __deepcopy__(self, memo: dict[Any, Any]) -> Tensor:
        # As in torch: a copied model starts without gradients, a copied tensor keeps its own.
        made = super().__deepcopy__(memo)
        made.grad = None
        return made

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that becomes a buffer of the module to whose attribute it is assigned.

    A persistent one is in `state_dict`.
    """

    __slots__ = ()
    __torch_function__ = staticmethod(disabled)

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Buffer:
        """Make a tensor on the storage of `data` (an empty f32 tensor by default)."""
        data = empty(0) if data is None else data
        unwrap_tensor(data, "Buffer")
        made = _leaf(cls, data)
        made.requires_grad_(data.requires_grad)
        made.persistent = persistent
        return made


def _leaf(kind: type[T], data: Tensor) -> T:
    made = object.__new__(kind)
    made._array = data._array.basic_index(...)
    made._node = made._base = made._views = None
    return made


def as_parameter(value: Tensor, requires_grad: bool) -> Parameter:
    """A new leaf on the storage of `value`; block dtypes and integers never get gradients."""
    return Parameter(value, requires_grad and value.dtype.kind in DIFFERENTIABLE)


# --- declared by layers ---------------------------------------------------------------------------


class Declaration(NamedTuple):
    """What a layer says of one of its parameters."""

    shape: tuple[int, ...]
    init: Init
    dtype: DType | None  # that loaded values are converted to (None: as in the file)
    kinds: str  # the dtype kinds that it may be loaded in

    def __deepcopy__(self, _memo: object) -> Declaration:
        return self


class DeferredParameter(Parameter):
    """A parameter without memory: its first use draws the initial values, unless it was loaded."""

    __slots__ = ()

    def __new__(cls, declared: Declaration, requires_grad: bool = True) -> DeferredParameter:
        """Note the declaration."""
        made = object.__new__(cls)
        made._declared = declared
        made._node = made._base = made._views = None
        made.requires_grad_(requires_grad and made.dtype.kind in DIFFERENTIABLE)
        return made

    @property
    def shape(self) -> Size:
        """The declared shape."""
        return Size(self._declared.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._declared.shape)

    @property
    def dtype(self) -> DType:
        """The declared dtype, or what it would be drawn in."""
        return self._declared.dtype or Default.float

    @property
    def device(self) -> Device:
        """The CPU, where it will be drawn."""
        return CPU

    @property
    def is_meta(self) -> bool:
        """No: it will have values."""
        return False

    @property
    def is_cpu(self) -> bool:
        """Yes."""
        return True

    def numel(self) -> int:
        """The number of elements."""
        count = 1
        for n in self._declared.shape:
            count *= n
        return count

    def size(self, dim: int | None = None) -> Any:
        """The declared shape, or the length of axis `dim`."""
        return self.shape if dim is None else self._declared.shape[dim]

    def is_inference(self) -> bool:
        """False: there is no memory yet."""
        return False

    def convert(self, dtype: DType) -> None:
        """Ask for another dtype, without drawing."""
        self._declared = self._declared._replace(dtype=dtype)

    def place(self, value: Tensor) -> None:
        """Become an ordinary parameter on `value`'s storage."""
        self._array = value._array
        cast(Any, self).__class__ = Parameter

    def __getattr__(self, name: str) -> Any:
        if name != "_array":
            return cast(Any, Tensor).__getattr__(self, name)
        declared = self._declared
        with CPU:
            made = _leaf(Parameter, empty(declared.shape, dtype=self.dtype))
            draw(made, declared.init)
        self.place(made)
        return self._array

    def __deepcopy__(self, memo: dict[Any, Any]) -> Parameter:
        made = memo[id(self)] = DeferredParameter(self._declared, self.requires_grad)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return (DeferredParameter, (self._declared, self.requires_grad))


class _Deferring(threading.local):
    depth = 0


_deferring = _Deferring()


@contextmanager
def deferred() -> Iterator[None]:
    """In it, layers are made without memory or draws: for models whose weights are then loaded.

    A parameter that is used before it was loaded is drawn at that moment.
    """
    _deferring.depth += 1
    try:
        yield
    finally:
        _deferring.depth -= 1


def declare(
    *shape: int,
    init: Init | None = None,
    dtype: DType | str | None = None,
    loaded: DType | None = None,
    kinds: str | None = None,
) -> Parameter:
    """A parameter of a layer, its values still to be set by `reset_parameters`.

    `loaded` is the dtype that values are converted to by loading where `dtype` is None; the rest
    is as of `param`.
    """
    expect(min(shape, default=0) >= 0, "param", "sizes of at least 0", shape)
    allowed = kinds or (FLOAT_OR_BLOCK if len(shape) == 2 else FLOAT)
    rule = Tensor.zero_ if init is None else init
    wanted = None if dtype is None else as_dtype(dtype)
    declared = Declaration(shape, rule, wanted or loaded, allowed)
    if _deferring.depth and not code_of(None):
        return DeferredParameter(declared)
    made = as_parameter(empty(shape, dtype=wanted), True)
    made._declared = declared
    return made


def param(
    *shape: int,
    init: Init | None = None,
    dtype: DType | str | None = None,
    kinds: str | None = None,
) -> Parameter:
    """A parameter of this shape with its initial values; assign it to an attribute of a Module.

    `init` is a function that fills a tensor in place (zeros by default). Under `nn.deferred()` it
    is called only if the parameter is used before weights were loaded into it. `dtype` is the one
    that weights are converted to when they are loaded (None: as in the file); `kinds` the accepted
    dtype kinds, by default floats, and for matrices block formats too. Float parameters require
    gradients.
    """
    made = declare(*shape, init=init, dtype=dtype, kinds=kinds)
    reset(made, made._declared.init)
    return made


def reset(parameter: Parameter, rule: Init) -> None:
    """Set values by a rule: now, or when a deferred parameter is first used."""
    if isinstance(parameter, DeferredParameter):
        parameter._declared = parameter._declared._replace(init=rule)
    else:
        draw(parameter, rule)


def draw(tensor: Tensor, rule: Init) -> None:
    """Fill a tensor by a rule, outside the graph; on meta there is nothing to fill."""
    if tensor.is_meta:
        return
    with no_grad():
        if tensor.dtype.itemsize >= 4:
            rule(tensor)
        else:  # the halves would round each step of a rule
            wide = empty(tensor.shape, dtype=f32)
            rule(wide)
            tensor.copy_(wide)


class Param:
    """A parameter or persistent buffer with its declaration, as loaders see it."""

    __slots__ = ("_declared", "optional", "parameter")

    def __init__(
        self, parameter: Tensor, declared: Declaration | None = None, optional: bool = False
    ) -> None:
        self.parameter = parameter
        self._declared = declared
        self.optional = optional  # whether a file may lack it

    @property
    def declared(self) -> Declaration:
        """By its layer; else what a tensor of its own shape and kind declares."""
        return self._declared or _declaration_of(self.parameter)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that a tensor must have."""
        return self.declared.shape

    @property
    def dtype(self) -> DType | None:
        """What loaded values are converted to (None: as in the file)."""
        return self.declared.dtype

    @property
    def kinds(self) -> str:
        """The dtype kinds that are accepted."""
        return self.declared.kinds

    def fill(self, value: Tensor) -> None:
        """Make `value`'s storage that of the parameter, which stays the same object."""
        fill(self.parameter, value)


def fill(parameter: Tensor, value: Tensor) -> None:
    """Make `value`'s storage that of the parameter or buffer; block dtypes get no gradient."""
    if isinstance(parameter, DeferredParameter):
        parameter.place(value)
    else:
        parameter._array = value._array
    if value.dtype.kind not in DIFFERENTIABLE:
        parameter.requires_grad_(False)


def _declaration_of(value: Tensor) -> Declaration:
    """What a tensor declares that no layer declared: its own shape and kind; a buffer its dtype."""
    kinds = FLOAT_OR_BLOCK if value.ndim == 2 else FLOAT
    kinds = kinds if value.dtype.kind in kinds else value.dtype.kind
    if isinstance(value, Parameter):
        return Declaration(value.shape, Tensor.zero_, None, kinds)
    kinds = {"f": FLOAT, "i": "iu", "u": "iu"}.get(value.dtype.kind, value.dtype.kind)
    return Declaration(value.shape, Tensor.zero_, value.dtype, kinds)
