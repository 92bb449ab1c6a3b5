"""The functions that users call: built from a op for its own parameters when first used.

A generic `*args, **kwargs` caller would cost a microsecond more per call, so each has the op's
signature and exactly the tests that it needs: is a gradient wanted, is there an `out`, a check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from . import _native
from .autograd.mode import MODE
from .autograd.record import FLOAT_CODES, TENSOR, record, run_recorded
from .autograd.views import link_part
from .borrowing import unwrap
from .errors import ArgumentError, DTypeError, GradError, expect
from .older_orders import OLDER, call_older
from .overrides import PLAIN, ask, overloaded
from .tensor import Tensor, is_hidden, link, unwrap_tensor, wrap

if TYPE_CHECKING:
    from .registry import Op

P = ParamSpec("P")
R = TypeVar("R")


DIRECT: Any = Tensor  # what quick tests take at once; see torch/_function_modes.py


class nothing:  # noqa: N801  (its name stands in the error for an argument that is not there)
    """What a parameter without a default holds until it is given by position or by any name."""


REQUIRED: Any = object()
MISSING: Any = nothing()
VARIADIC: Any = object()  # the default of a `*name` parameter

# Rows that `amp.autocast` casts for: "low" where the arithmetic is, "full" where sums and
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


def spread_tuple(op: Op[..., Any], run: Callable[..., Any]) -> Callable[[tuple[Any, ...]], Any]:
    """`run`, which has the op's signature, as a function of one tuple with all parameters."""
    keyword = [name for name, only, _ in op.parameters if only]
    star = [default is VARIADIC for _, _, default in op.parameters]
    if not keyword and not any(star):
        return lambda args: run(*args)
    plain = len(op.parameters) - len(keyword)

    def call(args: tuple[Any, ...]) -> Any:
        given = args[:plain]
        if star and any(star):
            given = (*args[: plain - 1], *args[plain - 1])
        return run(*given, **dict(zip(keyword, args[plain:], strict=True)))

    return call


def spread(op: Op[..., Any], run: Callable[..., Any]) -> Callable[..., Any]:
    """`run`, which has the op's signature, as a function of all parameters by position."""
    call = spread_tuple(op, run)
    return lambda *args: call(args)


def run_kernel(op: Op[..., Any]) -> Callable[..., Any]:
    """The one path of ops with a kernel: results by `.out`, its arguments, the call."""
    name, outputs, arguments = op.kernel_name, op.outputs, op.arguments
    dtypes, applies, result = op.kernel_dtypes, op.applies, op.result
    assert name is not None and outputs is not None, f"{op.__name__}: a kernel without .out"
    first = next((i for i, kind in enumerate(op.kinds) if kind), None)
    whole = arguments is not None and arguments.__code__.co_varnames[:1] == ("out",)
    reference = spread(op, op.reference)
    call = _native.call

    def run(*args: Any) -> Any:
        device = 0
        if first is not None:
            given = args[first] if op.kinds[first] == TENSOR else args[first][0]
            if isinstance(given, Tensor):
                device = given._array.device
            if dtypes is not None and given._array.dtype not in dtypes:
                return reference(*args)
        if applies is not None and not applies(*args):
            return reference(*args)
        wanted = outputs(*args)
        several = type(wanted) is list
        made = [
            _allocated(one, device)
            for one in (wanted if several else [wanted] if wanted is not None else [])
        ]
        shown: Any = made if several else made[0] if made else None
        if arguments is None:
            given = (*made, *args)
        elif whole:
            given = arguments(shown, *args)
        else:
            given = (*made, *arguments(*args))
        call(name, *[getattr(x, "_array", x) for x in given])
        return result(*made) if result is not None else tuple(made) if several else shown

    return run


def run_view(op: Op[..., Any]) -> Callable[..., Any]:
    """The path of views: arguments, the native view function, a tensor around its array."""
    name, arguments = op.view_name, op.arguments
    assert name is not None
    function = getattr(_native.Array, name, None) or getattr(_native, name)

    def run(*args: Any) -> Any:
        given: Any = args if arguments is None else arguments(*args)
        if type(given) is tuple:
            return wrap(function(given[0]._array, *given[1:]))
        if type(given) is list:
            return tuple([wrap(function(x._array, *rest)) for x, *rest in given])
        return given

    if arguments is None and len(op.parameters) == 1:
        return lambda x: wrap(function(x._array))

    return run


def _allocated(wanted: Any, device: int) -> Tensor:
    """A tensor as `.out` says (see `Op.out`)."""
    if isinstance(wanted, Tensor):
        return wrap(_native.Array.like(wanted._array))
    shape, dtype, *order = wanted
    if isinstance(shape, Tensor):
        return wrap(_native.Array.like(shape._array, dtype.code))
    if not order:
        return wrap(_native.Array.empty(shape, dtype.code, device))
    axes = order[0]
    array = _native.Array.empty([shape[i] for i in axes], dtype.code, device)
    return wrap(array.permute(sorted(range(len(axes)), key=axes.__getitem__)))


def build(op: Op[P, R]) -> Callable[P, R]:
    """A function with the op's own signature: check, record when a gradient is wanted, run."""
    names: list[str] = []
    heads: list[str] = []
    values: list[str] = []
    scope: dict[str, Any] = {
        "CHECK": op.checker,
        "RUN": op.run,
        "MODE": MODE,
        "Tensor": Tensor,
        "ROW": op,
        "RECORD": run_recorded,
        "LINK": link,
        "LINK_PART": link_part,
        "REFERENCE": op.reference,
        "BY_NAME": by_name,
        "REFUSE": _refuse,
        "MISSING": MISSING,
        "PLAIN": PLAIN,
        "ASKED": asked,
        "CALL_OLDER": call_older,
    }  # fmt: skip  (capitals: a parameter of a op may be called op)
    for name, keyword_only, default in op.parameters:
        if default is VARIADIC:
            heads.append(f"*{name}")
            names.append(f"*{name}")
            values.append(name)
            continue
        if keyword_only and not any(head.startswith("*") for head in heads):
            heads.append("*older" if op.__name__ in OLDER else "*")
        scope[f"_{name}"] = default
        heads.append(f"{name}=MISSING" if default is REQUIRED else f"{name}=_{name}")
        names.append(f"{name}={name}" if keyword_only else name)
        values.append(name)
    given = by_signature = ", ".join(names)
    every = ", ".join(values)
    if op.takes_positions:
        given = every
    title = op.__name__.replace(".", "_")
    heads.append("**more")
    code = ""
    if op.__name__ in AUTOCAST:
        tensors = "".join(
            f"{value}, " for kind, value in zip(op.kinds, values, strict=True) if kind == TENSOR
        )
        kind = AUTOCAST[op.__name__]
        code += f" if MODE.autocast is not None: {tensors} = MODE.autocast({kind!r}, {tensors})\n"
    if op.checker is not None:
        code += f" CHECK({every})\n"
    condition = " or ".join(
        f"isinstance({value}, Tensor) and {value}._node is not None"
        if kind == TENSOR
        else f"any(isinstance(e, Tensor) and e._node is not None for e in {value})"
        for kind, value in zip(op.kinds, values, strict=True)
        if kind
    )
    if condition and not op.is_composite:
        if op.gradient is None and not op.is_primitive:
            recorded = f"REFERENCE({by_signature})"
        else:
            recorded = f"RECORD(ROW, ({', '.join(values)},))"
        then = f"out = {recorded}" if op.is_view else f"return {recorded}"
        code += f" if ({condition}) and MODE.enabled:\n  {then}\n"
        if op.is_view:
            code += " else:\n "
    if not op.is_view:
        code += f" return RUN({given})"
    else:
        first = op.parameters[0][0]
        code += (
            f" out = RUN({given})\n"
            f" if not MODE.inference and out is not {first}:\n"
            "  if isinstance(out, Tensor):\n"
            f"   if out._array.storage_id == {first}._array.storage_id: LINK(out, {first})\n"
            "  else:\n"
            f"   for each in out: LINK_PART(each, {first})\n"
            " return out"
        )
    odd = " or ".join(
        f"type({value}) not in PLAIN"
        if kind == TENSOR
        else f"not PLAIN.issuperset(map(type, {value}))"
        for kind, value in zip(op.kinds, values, strict=True)
        if kind
    )
    if odd:
        everything = f"({', '.join(values)},)"
        code = (
            f" if {odd}:\n  asked = ASKED(ROW, {everything})\n"
            f"  if asked is not None: return asked[0]\n{code}"
        )
    # A number where a tensor is needed shows as a missing attribute somewhere inside.
    code = "".join(f" {line}\n" for line in code.splitlines())
    code = (
        f"def {title}({', '.join(heads)}):\n{_older(op)}"
        f" if more: return BY_NAME(ROW, ({', '.join(values)},), more)\n try:\n{code}"
        " except (AttributeError, RuntimeError, TypeError) as error:\n"
        f"  REFUSE(ROW, ({', '.join(values)},), error)"
    )
    exec(code, scope)
    made: Any = scope[title]
    made.__doc__, made.__name__, made.__module__ = op.__doc__, op.__name__, op.__module__
    caller: Callable[P, R] = made
    return caller


def _older(op: Op[..., Any]) -> str:
    """The line that takes arguments in an older order, of rows that have one."""
    if op.__name__ not in OLDER:
        return ""
    plain = "".join(f"{name}, " for name, only, _ in op.parameters if not only)
    keyword = ", ".join(f"{name!r}: {name}" for name, only, _ in op.parameters if only)
    return f" if older: return CALL_OLDER(ROW, ({plain}*older), {{{keyword}}} | more)\n"


def asked(op: Op[..., Any], values: tuple[Any, ...]) -> tuple[Any] | None:
    """What a class among the arguments that takes the op over makes of the call, in a tuple."""
    found = overloaded(
        value for kind, value in zip(op.kinds, values, strict=True) if kind and value is not None
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
    return (ask(op.caller(), found, tuple(plain), keyword),)


def _refuse(op: Op[..., Any], values: tuple[Any, ...], error: Exception) -> NoReturn:
    """Raise a clear error for an argument that is no tensor or too large, else `error` itself."""
    if str(error) == "std::bad_cast":  # what the binding says of an integer beyond 64 bits
        raise ArgumentError(
            f"{op.__name__}: expected integers of at most 64 bits, got larger ones"
        ) from None
    for (name, _, _), value in zip(op.parameters, values, strict=True):
        if value is MISSING:
            raise DTypeError(f"{op.__name__}: expected an argument {name}, got none") from None
    if not isinstance(error, AttributeError):
        raise error
    notes = getattr(op.signature, "__annotations__", {})
    for (name, _, _), value in zip(op.parameters, values, strict=True):
        if notes.get(name) == "Tensor" and not isinstance(value, Tensor):
            raise DTypeError(
                f"{op.__name__}: expected a Tensor for {name}, got {type(value).__name__}"
            ) from None
    raise error


def unary(op: Op[..., Any], native: Callable[[Any], Any], *, recorded: bool) -> Any:
    """The caller of an elementwise kernel of one argument; `recorded`: with the test for it."""
    new, mode, name = object.__new__, MODE, op.__name__

    def call(x: Tensor) -> Tensor:
        out = new(Tensor)
        out._array = native(x._array if type(x) is Tensor else unwrap_tensor(x, name))
        out._node = out._base = out._views = None
        return out

    if not recorded:
        return call

    def recorded_call(x: Tensor = MISSING, **more: Any) -> Any:
        if more:
            return by_name(op, (x,), more)
        if type(x) is not DIRECT:
            if type(x) not in PLAIN and (found := overloaded((x,))):
                return ask(op.caller(), found, (x,), {})
            unwrap_tensor(x, name)
        wanted = x._node is not None and mode.enabled
        if wanted and through_reference(op):
            return op.reference(x)
        made = new(Tensor)
        made._array = native(x._array)
        made._node = made._base = made._views = None
        if wanted and made._array.dtype in FLOAT_CODES:
            record(op, (x,), (made,))
        return made

    recorded_call.__name__ = name
    return recorded_call


def binary(op: Op[..., Any], native: Callable[[Any, Any], Any], *, recorded: bool) -> Any:
    """The caller of an elementwise kernel of two arguments, tensors or numbers."""
    new, mode, name = object.__new__, MODE, op.__name__

    def call(a: Tensor, b: Tensor | float) -> Tensor:
        out = new(Tensor)
        out._array = native(
            a._array if type(a) is Tensor else unwrap(a, name),
            b._array if type(b) is Tensor else unwrap(b, name),
        )
        out._node = out._base = out._views = None
        return out

    if not recorded:
        return call

    def recorded_call(a: Any = MISSING, b: Any = MISSING, **more: Any) -> Any:
        if more:
            return by_name(op, (a, b), more)
        if type(a) is DIRECT:
            left, tracked = a._array, a._node is not None
        else:
            if type(a) not in PLAIN and (found := overloaded((a, b))):
                return ask(op.caller(), found, (a, b), {})
            left = unwrap(a, name)
            tracked = getattr(a, "_node", None) is not None  # a Parameter is a Tensor too
        if type(b) is DIRECT:
            right = b._array
            tracked = tracked or b._node is not None
        else:
            if type(b) not in PLAIN and (found := overloaded((a, b))):
                return ask(op.caller(), found, (a, b), {})
            right = unwrap(b, name)
            tracked = tracked or getattr(b, "_node", None) is not None
        wanted = tracked and mode.enabled
        if wanted and through_reference(op):
            return op.reference(a, b)
        made = new(Tensor)
        made._array = native(left, right)
        made._node = made._base = made._views = None
        if wanted and made._array.dtype in FLOAT_CODES:
            record(op, (a, b), (made,))
        return made

    recorded_call.__name__ = name
    return recorded_call


# --- arguments by PyTorch's names, and numpy's ----------------------------------------------------

# What PyTorch calls a parameter -> what rows call it, the first that the op has.
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
_ONLY_OF = {("max", "other"): "dim", ("min", "other"): "dim"}  # a tensor there is an operand
_FIRST = ("input", "self", "tensor", "x1", "condition", "A")
# Hints about memory that change nothing here: what a tensor is made of is settled by its dtype.
_HINTS = ("layout", "pin_memory", "non_blocking", "names", "memory_format")


def by_name(op: Op[..., Any], values: tuple[Any, ...], more: dict[str, Any]) -> Any:
    """Call the op again with the arguments that came by a name other than its own, and `out`."""
    names = [name for name, _, _ in op.parameters]
    given = dict(zip(names, values, strict=True))
    defaults = {name: default for name, _, default in op.parameters}
    out = more.pop("out", None) if op.takes_out else None
    if isinstance(out, Tensor) and "dtype" in given and given["dtype"] is None:
        given["dtype"] = out.dtype
    for key, value in more.items():
        if key in _HINTS and "device" in names:
            continue
        target = _parameter_called(key, names, given)
        if target is None and (op.__name__, key) in _ONLY_OF:
            target = _ONLY_OF[op.__name__, key]
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
    return made if out is None else write_out(made, out, op.__name__)


def _parameter_called(key: str, names: list[str], given: dict[str, Any]) -> str | None:
    if key in _FIRST:
        for name in (names[0], "x", "input"):  # the tensor need not come first: polygamma(n, x)
            if name in names and given[name] is MISSING:
                return name
    return next((name for name in _NAMES.get(key, ()) if name in names), None)


def write_out(made: Any, out: Any, name: str) -> Any:
    """What `out=` asks for: `made` written into `out`, which takes its shape when it is empty."""
    from .autograd.inplace import write

    if isinstance(made, tuple):
        fits = isinstance(out, (tuple, list)) and len(out) == len(made)
        given = f"{len(out)}" if isinstance(out, (tuple, list)) else type(out).__name__
        expect(fits, name, f"out= of {len(made)} tensors", given, DTypeError)
        parts = [write_out(part, into, name) for part, into in zip(made, out, strict=True)]
        return type(made)(*parts) if hasattr(made, "_fields") else tuple(parts)
    if not isinstance(made, Tensor):
        raise DTypeError(f"{name}: expected no out=, since it gives no tensor, got one")
    unwrap_tensor(out, name)
    if made._node is not None or (out._node is not None and MODE.enabled):
        raise GradError(f"{name}: expected no gradients beside out=, which records nothing")
    if out.shape != made.shape and not out.numel():
        out._array = _native.Array.empty(made.shape, out._array.dtype)
    write(out, made, name)
    return out


def elementwise(name: str) -> Callable[..., Tensor]:
    """`where`, or a kernel of three floats and a constant, as a function of tensors and numbers."""
    function = _native.where if name == "where" else _native.ternary(name)
    return lambda *operands: wrap(function(*[unwrap(x, name) for x in operands]))


def through_reference(op: Op[..., Any]) -> bool:
    """Whether a recorded call goes by the op's reference, because it has no rule of its own."""
    return op.gradient is None and not op.is_primitive


def native_inplace(op: Op[..., Any], native: Callable[..., None]) -> Any:
    """The twin `name_` of an elementwise op whose kernel can write over its first argument."""
    slow = inplace(op)
    name, mode = op.__name__, MODE

    def unary_call(a: Tensor) -> Any:
        if type(a) not in PLAIN and (found := overloaded((a,))):
            return ask(unary_call, found, (a,), {})
        array = unwrap_tensor(a, name)
        tracked = a._node is not None or (a._base is not None and is_hidden(a))
        if tracked and mode.enabled:
            return slow(a)
        native(array)
        return a

    def binary_call(a: Tensor, b: Tensor | float) -> Any:
        if (type(a) not in PLAIN or type(b) not in PLAIN) and (found := overloaded((a, b))):
            return ask(binary_call, found, (a, b), {})
        array = a._array if type(a) is Tensor else unwrap_tensor(a, name)
        tracked = a._node is not None or (a._base is not None and is_hidden(a))
        if type(b) is Tensor:
            other, tracked = b._array, tracked or b._node is not None
        else:
            other = unwrap(b, name)
            tracked = tracked or getattr(b, "_node", None) is not None
        if tracked and mode.enabled:
            return slow(a, b)
        native(array, other)
        return a

    made = unary_call if op.native is not None and op.native[0] == 1 else binary_call
    made.__name__ = f"{name}_"
    return made


def inplace(op: Op[..., Any]) -> Any:
    """The twin `name_` of any op: the op, its result written into the tensor."""
    from .autograd.inplace import change

    caller, name = op.caller(), f"{op.__name__}_"

    def call(x: Tensor, *args: Any, **options: Any) -> Any:
        if (type(x) not in PLAIN or args) and (found := overloaded((x, *args))):
            return ask(call, found, (x, *args), options)
        unwrap_tensor(x, name)
        return change(x, args, options, caller, name)

    call.__name__, call.__doc__ = name, f"`{op.__name__}`, written into the tensor."
    return call
