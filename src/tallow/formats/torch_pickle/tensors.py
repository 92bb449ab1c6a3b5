"""Our functions for the names by which a pickle rebuilds tensors.

Source: torch/_utils.py and torch/_tensor.py of PyTorch 2.13, for what the arguments mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tallow._native import Size
from tallow.dtype import DType, by_name
from tallow.formats.torch_pickle.machine import Machine, apply
from tallow.formats.torch_pickle.values import (
    DTYPES,
    STORAGES,
    SUPPORTED,
    Global,
    Storage,
    TensorRef,
)
from tallow.lazy_dataclasses import replace

MAX_AXES: Final = 64  # PyTorch's own limit
_NO_DATA = "one of a device without data (meta)"

Call = Callable[[Machine, tuple[Any, ...]], Any]
CALLS: dict[str, Call] = {}


def _named(*names: str) -> Callable[[Call], Call]:
    def register(call: Call) -> Call:
        CALLS.update(dict.fromkeys(names, call))
        return call

    return register


def dtype_value(name: str) -> DType | Global:
    """A dtype of PyTorch as a value: ours, or its bare name where Tallow lacks it."""
    return by_name(DTYPES[name][0]) if name in SUPPORTED else Global(f"torch.{name}")


_DTYPE_NAMES = {DTYPES[name][0]: name for name in SUPPORTED}


def dtype_name(value: Any) -> str | None:
    """PyTorch's name of a dtype in a pickle, or None when the value is no dtype."""
    if isinstance(value, DType):
        return _DTYPE_NAMES.get(value.name)
    name = value.name.removeprefix("torch.") if isinstance(value, Global) else ""
    return name if name in DTYPES else None


def storage_dtype(value: Any) -> str | None:
    """The element type of a storage class, by PyTorch's name, or None when it is none."""
    name = value.name.removeprefix("torch.") if isinstance(value, Global) else ""
    return STORAGES.get(name)


def _finish(m: Machine, ref: TensorRef) -> Any:
    m.spend(100)
    return m.tensor(ref) if m.tensor else ref


def _layout(m: Machine, shape: Any, strides: Any) -> None:
    for numbers in (shape, strides):
        m.check(isinstance(numbers, tuple), "a tuple of sizes or strides", numbers)
        m.check(len(numbers) <= MAX_AXES, f"at most {MAX_AXES} axes", numbers)
        for number in numbers:
            m.check(type(number) is int and 0 <= number < 2**63, "a size or stride", number)
    m.check(len(shape) == len(strides), f"a stride for each of {len(shape)} axes", strides)
    count = 1
    for size in sorted(shape):  # 0 first: an empty tensor may have any other sizes
        count *= size
        m.need(count < 2**63, "fewer than 2^63 elements", "more")


def _tensor(
    m: Machine,
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    dtype: str | None = None,
    requires_grad: Any = False,
    problem: str = "",
) -> Any:
    """A view of a storage, all of whose elements lie inside it."""
    m.check(isinstance(storage, Storage), "a storage", storage)
    m.check(type(offset) is int and 0 <= offset < 2**63, "an offset of elements", offset)
    _layout(m, shape, strides)
    name = storage.dtype if dtype is None else dtype
    size = DTYPES[name][1]
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if 0 not in shape and not storage.meta and (last + 1) * size > storage.nbytes:
        wanted = f"elements within the {storage.nbytes // size} of their storage"
        m.fail(wanted, f"one at {last}")
    problem = problem or (_NO_DATA if storage.meta else "")
    if storage.root:
        offset, storage = offset + storage.start // size, storage.root
    return _finish(
        m, TensorRef(storage, name, offset, shape, strides, bool(requires_grad), problem)
    )


@_named("torch._utils._rebuild_tensor")
def _rebuild_tensor(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(len(args) == 4, "4 arguments", args)
    return _tensor(m, *args)


def _hooks_and_metadata(m: Machine, hooks: Any, metadata: Any) -> str:
    """Hooks are code, so there are none; metadata may say that the values are yet to be changed."""
    m.check(hooks is None or (isinstance(hooks, dict) and not hooks), "no hooks", hooks)
    m.check(metadata is None or isinstance(metadata, dict), "a dict of metadata", metadata)
    changed = isinstance(metadata, dict) and (
        len(metadata) > 8 or any(value is not False for value in metadata.values())
    )
    return "one to be conjugated or negated" if changed else ""


@_named("torch._utils._rebuild_tensor_v2")
def _rebuild_tensor_v2(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(6 <= len(args) <= 7, "6 or 7 arguments", args)
    storage, offset, shape, strides, requires_grad, hooks = args[:6]
    problem = _hooks_and_metadata(m, hooks, args[6] if len(args) == 7 else None)
    return _tensor(m, storage, offset, shape, strides, None, requires_grad, problem)


@_named("torch._utils._rebuild_tensor_v3")
def _rebuild_tensor_v3(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(7 <= len(args) <= 8, "7 or 8 arguments", args)
    storage, offset, shape, strides, requires_grad, hooks, kind = args[:7]
    problem = _hooks_and_metadata(m, hooks, args[7] if len(args) == 8 else None)
    name = dtype_name(kind)
    m.check(name is not None, "a dtype", kind)
    return _tensor(m, storage, offset, shape, strides, name, requires_grad, problem)


@_named("torch._utils._rebuild_qtensor")
def _rebuild_qtensor(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(len(args) == 7, "7 arguments", args)
    storage, offset, shape, strides, _, requires_grad, hooks = args
    _hooks_and_metadata(m, hooks, None)
    problem = "one quantised by PyTorch (qint8 and the like)"
    return _tensor(m, storage, offset, shape, strides, None, requires_grad, problem)


@_named("torch._utils._rebuild_meta_tensor_no_storage")
def _rebuild_meta(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(len(args) == 4, "4 arguments", args)
    kind, shape, strides, requires_grad = args
    name = dtype_name(kind)
    m.check(name is not None, "a dtype", kind)
    assert name is not None
    _layout(m, shape, strides)
    ref = TensorRef(None, name, 0, shape, strides, bool(requires_grad), _NO_DATA)
    return _finish(m, ref)


@_named("torch._utils._rebuild_sparse_tensor")
def _rebuild_sparse(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(len(args) == 2 and isinstance(args[1], tuple), "a layout and its parts", args)
    m.check(len(args[1]) in (3, 4), "3 or 4 parts", args[1])
    dense = args[1][-2] if len(args[1]) == 4 and isinstance(args[1][-2], tuple) else args[1][-1]
    m.check(isinstance(dense, tuple), "a shape", dense)
    _layout(m, dense, (0,) * len(dense))
    values = next((part for part in args[1][::-1] if isinstance(part, TensorRef)), None)
    name = values.dtype if values else "float32"
    return _finish(m, TensorRef(None, name, 0, dense, (0,) * len(dense), False, "a sparse one"))


def _unreadable(problem: str) -> Call:
    """A function that rebuilds what Tallow has no like of: known by name, refused when taken."""

    def make(m: Machine, args: tuple[Any, ...]) -> Any:
        found = (dtype_name(value) or _dtype_of(value) for value in args)
        name = next((name for name in found if name), "float32")
        return _finish(m, TensorRef(None, name, 0, (), (), False, problem))

    return make


CALLS["torch._utils._rebuild_nested_tensor"] = _unreadable("a nested one")
CALLS["torch._utils._rebuild_wrapper_subclass"] = _unreadable("one of a wrapper class")
CALLS["torch._utils._rebuild_device_tensor_from_numpy"] = _unreadable("one of another device")


@_named("torch._utils._rebuild_device_tensor_from_cpu_tensor")
def _rebuild_from_cpu(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(len(args) == 4, "4 arguments", args)
    data, kind, _, requires_grad = args
    found = _dtype_of(data)
    m.check(found is not None and found == dtype_name(kind), f"a tensor of {found}", kind)
    return _with_grad(m, data, requires_grad)


def _dtype_of(value: Any) -> str | None:
    if isinstance(value, TensorRef):
        return value.dtype
    return dtype_name(getattr(value, "dtype", None))


def _is_tensor(value: Any) -> bool:
    from tallow.tensor import Tensor

    return isinstance(value, TensorRef | Tensor)


def _with_grad(m: Machine, data: Any, requires_grad: Any) -> Any:
    """The tensor as a leaf that asks for gradients, where it can have one."""
    m.check(_is_tensor(data), "a tensor", data)
    m.check(isinstance(requires_grad, bool), "True or False", requires_grad)
    if isinstance(data, TensorRef):
        return replace(data, requires_grad=requires_grad)
    return data.requires_grad_(requires_grad and data.dtype.kind in "fc")


@_named("torch._utils._rebuild_parameter")
def _rebuild_parameter(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(len(args) == 3, "3 arguments", args)
    _hooks_and_metadata(m, args[2], None)
    return _with_grad(m, args[0], args[1])


@_named("torch._utils._rebuild_parameter_with_state")
def _rebuild_parameter_with_state(m: Machine, args: tuple[Any, ...]) -> Any:
    # The state is attributes that Python code once hung on the parameter; a Tensor has no place
    # for them.
    m.check(len(args) == 4, "4 arguments", args)
    return _rebuild_parameter(m, args[:3])


def parameter(m: Machine, args: tuple[Any, ...]) -> Any:
    """The class `Parameter`, called or made by NEWOBJ as before PyTorch 0.4."""
    m.check(1 <= len(args) <= 2, "a tensor and a flag", args)
    return _with_grad(m, args[0], args[1] if len(args) == 2 else True)


@_named("torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type")
def _rebuild_from_type(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(3 <= len(args) <= 4, "3 or 4 arguments", args)
    function, kind, inner = args[:3]
    plain = isinstance(kind, Global) and kind.name in ("torch.Tensor", "torch.nn.Parameter")
    plain = plain or getattr(kind, "name", "") == "torch.nn.parameter.Parameter"
    m.check(plain, "a Tensor or Parameter", kind)
    value = apply(m, function, inner)
    m.check(_is_tensor(value), "a function that gives a tensor", function)
    return value


@_named("torch.Size")
def _size(m: Machine, args: tuple[Any, ...]) -> Any:
    fits = len(args) == 1 and isinstance(args[0], tuple | list)
    m.check(fits and all(type(n) is int for n in args[0]), "a tuple of sizes", args)
    m.spend(48 + 8 * len(args[0]))
    return Size(args[0])


@_named("torch.device")
def _device(m: Machine, args: tuple[Any, ...]) -> Any:
    fits = 1 <= len(args) <= 2 and isinstance(args[0], str) and isinstance(args[-1], str | int)
    m.check(fits and len(args[0]) < 100, "a device", args)
    return ":".join(map(str, args))


@_named("torch.serialization._get_layout")
def _get_layout(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(len(args) == 1 and isinstance(args[0], str), "the name of a layout", args)
    return args[0]


# TorchScript marks lists and dicts with the types of their items.


@_named("torch.jit._pickle.restore_type_tag")
def _restore_type_tag(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(len(args) == 2, "a value and its type", args)
    return args[0]


@_named(*(f"torch.jit._pickle.build_{kind}list" for kind in ("int", "double", "bool", "tensor")))
def _build_list(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(len(args) == 1 and isinstance(args[0], list | tuple), "a list", args)
    m.spend(64 + 8 * len(args[0]))
    return list(args[0])
