"""What calls of ops do in Python: arguments by other names, classes that take over, `out=`.

The usual path is native (csrc/bind/dispatch.cpp); it comes here for what is rare.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from . import _native
from .autograd.record import OpNode
from .borrowing import unwrap
from .device import code_of
from .dtype import as_dtype
from .errors import ArgumentError, DeviceError, DTypeError
from .older_orders import call_older, in_order
from .overrides import PLAIN, ask, overloaded
from .tensor import Tensor, unwrap_tensor

if TYPE_CHECKING:
    from .registry import Op

P = ParamSpec("P")
R = TypeVar("R")


class nothing:  # noqa: N801  (its name stands in the error for an argument that is not there)
    """What a parameter without a default holds until it is given by position or by any name."""


REQUIRED: Any = object()
MISSING: Any = nothing()
MANY = 1 << 30
VARIADIC: Any = object()  # the default of a `*name` parameter

# Ops that `amp.autocast` casts for: "low" where the arithmetic is, "full" where sums and
# exponentials would be too coarse in 16 bits.
AUTOCAST = dict.fromkeys(
    (
        "matmul", "mm", "bmm", "mv", "addmm", "addmv", "addbmm", "baddbmm", "linear", "bilinear",
        "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
        "attention",
    ), "low",
) | dict.fromkeys(
    (
        "softmax", "log_softmax", "logsumexp", "cross_entropy", "nll_loss", "mse_loss", "l1_loss",
        "smooth_l1_loss", "huber_loss", "kl_div", "binary_cross_entropy", "ctc_loss",
        "binary_cross_entropy_with_logits", "cosine_similarity", "cosine_embedding_loss", "prod",
        "std", "var", "norm", "cumsum", "cumprod", "dist", "cdist",
    ), "full",
)  # fmt: skip


def positional(op: Op[..., Any], run: Callable[..., Any]) -> Callable[..., Any]:
    """`run`, which has the op's signature, as a function of all parameters by position."""
    keyword = [name for name, only, _ in op.parameters if only]
    variadic = any(default is VARIADIC for _, _, default in op.parameters)
    plain = len(op.parameters) - len(keyword)

    def call(*args: Any) -> Any:
        given = (*args[: plain - 1], *args[plain - 1]) if variadic else args[:plain]
        return run(*given, **dict(zip(keyword, args[plain:], strict=True)))

    return call


def asked(op: Op[..., Any], values: tuple[Any, ...], caller: Any) -> tuple[Any] | None:
    """What a class among the arguments that takes the op over makes of the call, in a tuple."""
    found = overloaded(
        value
        for kind, value in zip(op.parameter_kinds, values, strict=True)
        if kind and value is not None
    )
    if not found:
        return None
    plain: list[Any] = []
    keyword: dict[str, Any] = {}
    for (name, only, default), value in zip(op.parameters, values, strict=True):
        if default is VARIADIC:
            plain += value
        elif only:
            keyword |= {} if value is default else {name: value}
        else:
            plain.append(value)
    defaults = [d for _, only, d in op.parameters if not only and d is not VARIADIC]
    if len(plain) == len(defaults):
        while len(plain) > 1 and plain[-1] is defaults[len(plain) - 1]:
            plain.pop()
    target = op.caller() if caller is op else caller
    return (ask(target, found, tuple(plain), keyword),)


def refuse(op: Op[..., Any], values: tuple[Any, ...], error: Exception) -> NoReturn:
    """Raise a clear error for an argument of the wrong kind or too large, else `error` itself."""
    if isinstance(error, OverflowError) or str(error) == "std::bad_cast":  # nanobind's words
        raise ArgumentError(
            f"{op.__name__}: expected integers of at most 64 bits, got larger ones"
        ) from None
    for (name, _, _), value in zip(op.parameters, values, strict=True):
        if value is MISSING:
            raise DTypeError(f"{op.__name__}: expected an argument {name}, got none") from None
    if isinstance(error, DeviceError) and (said := str(error).partition(": expected a tensor"))[1]:
        raise DeviceError(f"{op.__name__}{said[1]}{said[2]}") from None  # not the reader of values
    from .refusals import explained

    if clear := explained(op, values, error):
        raise clear from error
    raise error


# --- arguments by PyTorch's names, and numpy's ----------------------------------------------------

# What PyTorch calls a parameter -> what ops call it, the first that the op has.
_NAMES = {
    "axis": ("dim", "dims"),
    "axes": ("dim", "dims"),
    "dim": ("dims",),
    "dims": ("dim", "dims"),
    "keepdims": ("keepdim",),
    "dtype": ("shape",),  # of `view`
    "size": ("shape", "sizes", "size"),
    "shape": ("size", "sizes"),
    "sizes": ("shape", "size"),
    "repeats": ("sizes", "shape", "size"),
    "from": ("from_", "low", "start"),
    "to": ("high", "end"),
    "end": ("stop",),
    "a": ("from_", "low"),
    "b": ("to", "high"),
    "test_element": ("test_elements",),
    "element": ("elements",),
    "input2": ("L",),
    **dict.fromkeys(("split_size_or_sections", "split_sizes"), ("split_size", "split_sizes")),
    **dict.fromkeys(
        ("sections", "indices", "tensor_indices_or_sections"), ("indices_or_sections",)
    ),
    **dict.fromkeys(
        ("other", "exponent", "mat2", "vec2", "vec", "tensor", "values"), ("b", "other")
    ),
}
ONLY_OF = {("max", "other"): "dim", ("min", "other"): "dim"}  # a tensor there is an operand
_FIRST = ("input", "self", "tensor", "x1", "condition", "A")
# Hints about memory that change nothing here: what a tensor is made of is settled by its dtype.
HINTS = ("layout", "pin_memory", "non_blocking", "names", "memory_format")


def by_name(op: Op[..., Any], values: tuple[Any, ...], more: dict[str, Any]) -> Any:
    """Call the op again with the arguments that came by a name other than its own, and `out`."""
    names = [name for name, _, _ in op.parameters]
    given = dict(zip(names, values, strict=True))
    defaults = {name: default for name, _, default in op.parameters}
    out = more.pop("out", None) if op.takes_out else None
    if isinstance(out, Tensor) and "dtype" in given and given["dtype"] is None:
        given["dtype"] = out.dtype
    for key, value in more.items():
        if key in HINTS and "device" in names:
            continue
        target = parameter_called(key, names, given)
        if target is None and (op.__name__, key) in ONLY_OF:
            target = ONLY_OF[op.__name__, key]
        if target is None:
            raise DTypeError(f"{op.__name__}: expected arguments {', '.join(names)}, got {key}=")
        free = given[target] is MISSING or given[target] is defaults[target]
        if not (free or (defaults[target] is VARIADIC and given[target] == ())):
            raise DTypeError(f"{op.__name__}: expected {target} once, got {key}= too")
        given[target] = (value,) if defaults[target] is VARIADIC else value
    plain = [given[name] for name, only, d in op.parameters if not only and d is not VARIADIC]
    for name, _, default in op.parameters:
        if default is VARIADIC:
            plain += given[name]
    keyword = {name: given[name] for name, only, _ in op.parameters if only}
    made = op.caller()(*plain, **keyword)
    if out is None:
        return made
    from .autograd.inplace import write_out

    return write_out(made, out, op.__name__)


def parameter_called(key: str, names: list[str], given: dict[str, Any]) -> str | None:
    """The parameter that goes by another library's name, None where there is none."""
    if key in _FIRST:
        for name in (names[0], "x", "input"):  # the tensor need not come first: polygamma(n, x)
            if name in names and given[name] is MISSING:
                return name
    return next((name for name in _NAMES.get(key, ()) if name in names), None)


def inplace(op: Op[..., Any]) -> Any:
    """The in-place variant `name_` of any op: the op, its result written into the tensor."""
    from .autograd.inplace import change

    caller, name = op.caller(), f"{op.__name__}_"
    most = sum(not only for _, only, _ in op.parameters) if op.takes_older else MANY

    def call(x: Tensor, *args: Any, **options: Any) -> Any:
        if len(args) >= most:
            tensors, named = in_order(op.__name__, (x, *args))
            return getattr(tensors[0], name)(*tensors[1:], **named, **options)
        if (type(x) not in PLAIN or args) and (found := overloaded((x, *args))):
            return ask(call, found, (x, *args), options)
        unwrap_tensor(x, name)
        return change(x, args, options, caller, name)

    call.__name__, call.__doc__ = name, f"`{op.__name__}`, written into the tensor."
    return call


def is_operand(value: Any) -> bool:
    """Whether an operator takes the value; else the other operand's class is asked."""
    return (
        isinstance(value, (Tensor, int, float, complex))
        or hasattr(value, "__array_interface__")
        or hasattr(value, "__dlpack__")
    )


_native.set_tensor_type(Tensor)
_native.set_direct_type(Tensor)
_native.set_dispatch(
    MISSING,
    PLAIN,
    OpNode,
    by_name,
    asked,
    refuse,
    call_older,
    unwrap,
    is_operand,
    code_of,
    lambda dtype: as_dtype(dtype).code,
)
