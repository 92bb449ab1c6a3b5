"""Parameters: declared without memory, drawn or loaded later; `Parameter` is torch's way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast
from weakref import ReferenceType, ref

from tallow.dtype import Default, DType, as_dtype, f32
from tallow.errors import DTypeError, expect
from tallow.tensor import Tensor, empty, unwrap_tensor

if TYPE_CHECKING:
    from tallow.nn.module import Module

FLOAT = "f"
FLOAT_OR_BLOCK = "fq"
DIFFERENTIABLE = "fc"  # the dtype kinds that can carry a gradient

# What fills a new tensor with its initial values, in place: the functions of `nn.init` are rules.
Init = Callable[[Tensor], object]


class _ParameterType(type):
    """Makes `isinstance(x, Parameter)` ask whether `x` was made one: its type stays Tensor."""

    def __instancecheck__(cls, instance: object) -> bool:
        known = _known.get(id(instance))
        return known is not None and known() is instance


class Parameter(Tensor, metaclass=_ParameterType):
    """A tensor that becomes a parameter of the module to whose attribute it is assigned.

    `Parameter(data)` is a leaf on the storage of `data` that requires a gradient, and an ordinary
    Tensor to every op. DTypeError for a gradient of integers or of block dtypes.
    """

    __slots__ = ()

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        """Make a leaf of `data` (an empty f32 tensor by default)."""
        if data is None:
            data = empty(0)
        unwrap_tensor(data, "Parameter")
        if requires_grad:
            wanted = "floats, or requires_grad=False"
            expect(
                data.dtype.kind in DIFFERENTIABLE, "Parameter", wanted, data.dtype.name, DTypeError
            )
        return as_parameter(data, requires_grad)


# The parameters that live, by id; what dies takes itself out.
_known: dict[int, ReferenceType[Tensor]] = {}


def as_parameter(value: Tensor, requires_grad: bool) -> Parameter:
    """A new leaf on the storage of `value`; block dtypes and integers never get gradients."""
    return mark(value.detach(), requires_grad)


def mark(leaf: Tensor, requires_grad: bool) -> Parameter:
    """Make a leaf a parameter in place."""
    key = id(leaf)
    _known[key] = ref(leaf, lambda _: _known.pop(key, None))
    leaf.requires_grad_(requires_grad and leaf.dtype.kind in DIFFERENTIABLE)
    return cast(Parameter, leaf)


class Param:
    """What a parameter will be: shape, initial values and the dtypes it may be filled with.

    It holds no memory. Modules that share a parameter share this object; `owners` are the
    attributes to set when the value arrives, weakly held, so that a dropped model and the file it
    borrows are freed at once.
    """

    __slots__ = ("dtype", "init", "kinds", "owners", "requires_grad", "shape")

    def __init__(self, shape: tuple[int, ...], init: Init, dtype: DType | None, kinds: str) -> None:
        self.shape = shape
        self.init = init
        self.dtype = dtype
        self.kinds = kinds
        self.requires_grad = True
        self.owners: list[tuple[ReferenceType[Module], str]] = []

    def __getstate__(self) -> tuple[Any, ...]:
        # Owners are known to the modules, which sign in again when they are restored.
        return (self.shape, self.init, self.dtype, self.kinds, self.requires_grad)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.shape, self.init, self.dtype, self.kinds, self.requires_grad = state
        self.owners = []

    def value(self) -> Parameter | None:
        """The tensor, or None while there is none."""
        for owner, name in self.owners:
            module = owner()
            if module is not None and name in module.__dict__:
                return cast(Parameter, module.__dict__[name])
        return None

    def fill(self, value: Tensor) -> None:
        """Make `value`'s storage the parameter of every owner.

        A parameter that has values stays the same object, so that optimisers keep it.
        """
        current = self.value()
        if current is None:
            self.place(as_parameter(value, self.requires_grad))
            return
        current._array = value._array
        if current.dtype.kind not in DIFFERENTIABLE:
            current.requires_grad_(False)

    def place(self, made: Parameter) -> None:
        """Set the attribute of every owner."""
        for owner, name in self.owners:
            module = owner()
            if module is not None:
                module.__dict__[name] = made

    def draw(self) -> None:
        """Fill with initial values."""
        wanted = self.dtype or Default.float
        # The halves would round each step of a rule.
        made = empty(self.shape, dtype=wanted if wanted.itemsize >= 4 else f32)
        self.init(made)
        self.fill(made.to(wanted))

    def fits(self, value: Tensor) -> bool:
        """Whether shape and kind of dtype are the declared ones."""
        return tuple(value.shape) == self.shape and value.dtype.kind in self.kinds

    def own(self, module: Module, name: str) -> None:
        """Take `module.name` into the owners."""
        self.owners.append((ref(module), name))

    def disown(self, module: Module, name: str) -> None:
        """Take `module.name` out of the owners."""
        self.owners.remove((ref(module), name))


def param(
    *shape: int,
    init: Init | None = None,
    dtype: DType | str | None = None,
    kinds: str | None = None,
) -> Tensor:
    """Declare a parameter without memory; assign it to an attribute of a Module.

    The first read of the attribute draws the initial values (`init`, a function that fills a
    tensor in place; zeros by default), unless weights were loaded before. `dtype` is the one that
    weights are converted to when they are loaded (None: as in the file); `kinds` the accepted
    dtype kinds, by default floats, and for matrices block formats too. Float parameters require
    gradients.
    """
    expect(min(shape, default=0) >= 0, param, "sizes of at least 0", shape)
    allowed = kinds or (FLOAT_OR_BLOCK if len(shape) == 2 else FLOAT)
    rule = Tensor.zero_ if init is None else init
    return cast(Tensor, Param(shape, rule, None if dtype is None else as_dtype(dtype), allowed))


def declaration_of(value: Parameter) -> Param:
    """What a given Parameter declares: its own shape and dtype."""
    kinds = FLOAT_OR_BLOCK if value.ndim == 2 else FLOAT
    kinds = kinds if value.dtype.kind in kinds else value.dtype.kind
    made = Param(value.shape, Tensor.zero_, None, kinds)
    made.requires_grad = value.requires_grad
    return made
