"""New tensors: of values, unset, of one value, in the likeness of another, of a range."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

from . import _native
from .borrowing import from_dlpack, frombuffer, of_numpy, unwrap
from .device import BY_CODE, Device, code_of
from .dtype import DTYPES, Default, DType, as_dtype, bool_, complex64, f32, i64
from .errors import ArgumentError, DTypeError, ShapeError, expect
from .layout import contiguous_format, order_of, strided
from .overrides import PLAIN, ask, overloaded
from .tensor import Tensor, unwrap_tensor, wrap

_P = ParamSpec("_P")

# What may be asked of a new tensor and changes nothing: there is one layout, and one memory.
_HINTS = frozenset(("layout", "pin_memory", "names", "memory_format", "out"))


def _refuse_hints(hints: dict[str, Any], *, out: bool = False) -> None:
    """Refuse keywords that PyTorch has not either, or that ask for what is not there."""
    for key, value in hints.items():
        known = key in _HINTS and (key != "out" or value is None or out)
        known = known and (key != "layout" or value is None or value == strided)
        expect(known, "a new tensor", "keywords that factories take", f"{key}={value}", DTypeError)


def _into(made: Tensor, hints: dict[str, Any]) -> Tensor:
    """A new tensor, or what `out=` names with its values."""
    if hints.get("out") is None:
        return made
    from .autograd.inplace import write_out

    written: Tensor = write_out(made, hints["out"], "a new tensor")
    return written


def _kind(dtype: DType | str | None, hints: dict[str, Any], usual: DType | None = None) -> Any:
    """The dtype of a new tensor: what is asked for, that of `out=`, else the usual one."""
    out = hints.get("out")
    if out is None:
        return usual if dtype is None else as_dtype(dtype)
    same = dtype is None or as_dtype(dtype) is out.dtype
    expect(same, "a new tensor", f"out= of {dtype}", out.dtype, DTypeError)
    return out.dtype


def _sizes(shape: tuple[Any, ...], size: Any = None, hints: dict[str, Any] | None = None) -> Any:
    if hints:
        _refuse_hints(hints, out=True)
    if size is not None:
        expect(not shape, "a new tensor", "sizes once", f"{shape} and {size}", DTypeError)
        shape = (size,)
    return shape[0] if len(shape) == 1 and not hasattr(shape[0], "__index__") else shape


def _on(x: Tensor, device: Device | str | None) -> Tensor:
    """`x` where the keyword of the factories asks for it."""
    place = code_of(device, x._array.device)
    return x if place == x._array.device else x.to(BY_CODE[place])


def _leaf(out: Tensor, requires_grad: bool) -> Tensor:
    return out.requires_grad_() if requires_grad else out


# --- of values ------------------------------------------------------------------------------------


def tensor(
    data: Any,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """A new tensor from a number, nested lists, a numpy array or another tensor (always a copy).

    Without `dtype`: bool, i64, f32 or complex64 for Python values, as in PyTorch; the source's own
    for arrays.
    """
    if hints:
        _refuse_hints(hints)
    code = -1 if dtype is None else as_dtype(dtype).code
    if isinstance(data, Sequence) and not isinstance(data, (list, tuple, str, bytes, memoryview)):
        data = list(data)  # a range, a deque
    if isinstance(data, Tensor):
        data = data.detach()
        made = data.to(DTYPES[code], copy=True) if code >= 0 else data.clone()
    elif isinstance(data, (bool, int, float, complex, list, tuple)):
        if isinstance(data, (list, tuple)) and any(hasattr(row, "tolist") for row in data):
            data = [row.tolist() if hasattr(row, "tolist") else row for row in data]
        try:
            made = wrap(_native.Array.from_list(data, code))
        except DTypeError:
            made = wrap(_native.Array.from_list(_numbers(data), code))
    else:
        made = wrap(wrap(unwrap(data, tensor))._array.clone())
        made = made.to(DTYPES[code]) if code >= 0 else made
    return _leaf(_on(made, device), requires_grad)


def _numbers(data: Any) -> Any:
    """Nested lists in which 0-d tensors and numpy's scalars have become Python numbers."""
    if isinstance(data, (list, tuple)):
        return [_numbers(row) for row in data]
    return data.tolist() if hasattr(data, "tolist") else data


def as_tensor(
    data: Any, dtype: DType | str | None = None, device: Device | str | None = None
) -> Tensor:
    """`data` itself if it is a tensor of this dtype, a borrowed numpy array, else a new tensor."""
    if isinstance(data, Tensor) or hasattr(data, "__array_interface__"):
        x = data if isinstance(data, Tensor) else of_numpy(data)
        return _on(x if dtype is None else x.to(dtype), device)
    return tensor(data, dtype, device)


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`obj` as a tensor, without a copy where that can be, or always with one."""
    if isinstance(obj, Tensor) and not requires_grad:
        obj = obj if copy is not True else obj.clone()
    buffer = isinstance(obj, (bytes, bytearray, memoryview))
    if buffer:
        made = frombuffer(obj, dtype=dtype or "u8")
    elif (
        hasattr(obj, "__dlpack__")
        and not isinstance(obj, Tensor)
        and not hasattr(obj, "__array_interface__")
    ):
        made = from_dlpack(obj)
        made = made if dtype is None else made.to(dtype)
    else:
        made = as_tensor(obj, dtype, device)
    if copy and (buffer or made is obj or hasattr(obj, "__array_interface__")):
        made = made.clone()
    return made.detach().requires_grad_() if requires_grad else made


# --- of sizes -------------------------------------------------------------------------------------


def empty(
    *shape: Any,
    size: Any = None,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """A tensor whose elements are not set; of f32 unless told otherwise."""
    sizes = _sizes(shape, size, hints)
    code = _kind(dtype, hints, Default.float).code
    if device is None:
        made = wrap(_native.Array.empty(sizes, code))
    else:
        made = wrap(_native.Array.empty(sizes, code, code_of(device)))
    if requires_grad:
        made.requires_grad_()
    return _into(made, hints) if hints else made


def _is_integer(value: Any) -> bool:
    """Whether it is an integer: Python's, numpy's, a tensor's."""
    return isinstance(value, int) or getattr(getattr(value, "dtype", None), "kind", "") in (
        "i",
        "u",
    )


def _is_truth(value: Any) -> bool:
    """Whether it is a bool of numpy's."""
    return getattr(getattr(value, "dtype", None), "kind", "") == "b"


def full(
    size: Sequence[int],
    fill_value: Any,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """A tensor of one value; without `dtype` bool, i64, f32 or complex64 by the kind of it."""
    if hints:
        _refuse_hints(hints, out=True)
        dtype = _kind(dtype, hints)
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    if dtype is None:
        kinds = ((bool, bool_), (int, i64), (complex, complex64))
        chosen = next((own for kind, own in kinds if isinstance(value, kind)), Default.float)
        if chosen is Default.float and (_is_integer(value) or _is_truth(value)):
            chosen = i64 if _is_integer(value) else bool_
    else:
        chosen = as_dtype(dtype)
    if isinstance(size, int):
        size = (size,)
    if device is None:
        made = wrap(_native.Array.full(size, value, chosen.code))
    else:
        made = wrap(_native.Array.full(size, value, chosen.code, code_of(device)))
    if requires_grad:
        made.requires_grad_()
    return _into(made, hints) if hints else made


def zeros(
    *shape: Any,
    size: Any = None,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """A tensor of zeros; of f32 unless told otherwise."""
    sizes = _sizes(shape, size, hints)
    made = full(sizes, 0, _kind(dtype, hints, Default.float), device, requires_grad)
    return _into(made, hints) if hints else made


def ones(
    *shape: Any,
    size: Any = None,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """A tensor of ones; of f32 unless told otherwise."""
    sizes = _sizes(shape, size, hints)
    made = full(sizes, 1, _kind(dtype, hints, Default.float), device, requires_grad)
    return _into(made, hints) if hints else made


# --- in the likeness of another -------------------------------------------------------------------


def _asking(function: Callable[_P, Tensor]) -> Callable[_P, Tensor]:
    """A factory that takes after a tensor, asking the class of that one first."""

    @functools.wraps(function)
    def call(*args: _P.args, **options: _P.kwargs) -> Tensor:
        input: Any = args[0] if args else options.get("input")
        if type(input) not in PLAIN and (found := overloaded((input,))):
            return ask(call, found, args, options)  # type: ignore[no-any-return]  # as it likes
        return function(*args, **options)

    return call


def _like(
    input: Tensor, dtype: DType | str | None, device: Device | str | None, hints: dict[str, Any]
) -> Tensor:
    """A tensor like `input` in the order of its axes, or as `memory_format` in `hints` says."""
    _refuse_hints(hints)
    code = -1 if dtype is None else as_dtype(dtype).code
    place = -1 if device is None else code_of(device)
    array, asked = input._array, hints.get("memory_format")
    order = order_of(asked, array.ndim, "a new tensor")
    if order is not None:
        back = [order.index(axis) for axis in range(len(order))]
        return wrap(_native.Array.empty_like(array.permute(order), code, place).permute(back))
    plain = asked == contiguous_format
    return wrap((_native.Array.empty_like if plain else _native.Array.like)(array, code, place))


def _filled_like(
    input: Tensor,
    value: Any,
    dtype: DType | str | None,
    device: Device | str | None,
    hints: dict[str, Any],
) -> Tensor:
    if input._array.is_contiguous and 1 not in input.shape and not hints:
        return full(input.shape, value, dtype or input.dtype, device or input.device)
    return _like(input, dtype, device, hints).fill_(value)


@_asking
def empty_like(
    input: Tensor,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """A tensor of `x`'s shape, in the order of its axes, whose elements are not set."""
    return _leaf(_like(input, dtype, device, hints), requires_grad)


@_asking
def zeros_like(
    input: Tensor,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """Zeros of `x`'s shape and, unless given, dtype."""
    return _leaf(_filled_like(input, 0, dtype, device, hints), requires_grad)


@_asking
def ones_like(
    input: Tensor,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """Ones of `x`'s shape and, unless given, dtype."""
    return _leaf(_filled_like(input, 1, dtype, device, hints), requires_grad)


@_asking
def full_like(
    input: Tensor,
    fill_value: Any,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    **hints: Any,
) -> Tensor:
    """One value in `x`'s shape and, unless given, dtype."""
    return _leaf(_filled_like(input, fill_value, dtype, device, hints), requires_grad)


# --- of others ------------------------------------------------------------------------------------


def joined(tensors: Sequence[Tensor], dim: int, where: str, *, grow: bool = False) -> Tensor:
    """The elements of tensors one after the other along an axis, promoted; `grow`: a new axis."""
    arrays = [x._array if type(x) is Tensor else unwrap_tensor(x, where) for x in tensors]
    dtype = arrays[0].dtype if arrays else 0
    for array in arrays:
        if array.dtype != dtype:
            dtype = _native.promote_types(dtype, array.dtype)
    if grow:
        shape = arrays[0].shape
        for array in arrays:
            if array.shape != shape:
                expect(False, where, f"shapes equal to {shape}", array.shape)
        arrays = [array.unsqueeze(dim) for array in arrays]
    return wrap(_native.Array.cat(arrays, dim, dtype))


# --- ranges ---------------------------------------------------------------------------------------

_fill_range: Callable[..., None] = _native.kernel("arange")


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
) -> Tensor:
    """`start, start + step, …` below `stop`; i64 when all three are integers, else f32."""
    if stop is None:
        start, stop = 0, start
    if step == 0 or (stop - start) * step < 0:
        raise ShapeError(
            f"arange: expected a step that leads from start to stop, got {start}, {stop}, {step}"
        )
    whole = all(isinstance(value, int) for value in (start, stop, step))
    if not whole and all(_is_integer(value) for value in (start, stop, step)):
        start, stop, step = int(start), int(stop), int(step)
        whole = True
    if not (whole or math.isfinite((stop - start) / step)):
        raise ArgumentError(f"arange: expected finite numbers, got {start}, {stop}, {step}")
    count = -int((start - stop) // step) if whole else -int(-((stop - start) / step) // 1)
    wanted = as_dtype(dtype) if dtype is not None else i64 if whole else Default.float
    out = empty(
        count,
        dtype=wanted if wanted.name in ("f32", "f64", "i32", "i64") else i64 if whole else f32,
        device=device,
    )
    if whole and wanted.kind in "iu" and max(abs(start), abs(stop)) > 1 << 52:
        # Beyond what a double counts exactly: from 0 in steps of 1, the rest in integers.
        _fill_range(out._array, 0.0, 1.0)
        return (out.to(i64) * step + start).to(wanted)
    _fill_range(out._array, float(start), float(step))
    return out.to(wanted)
