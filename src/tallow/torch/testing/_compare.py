"""assert_close: values within tolerances that depend on the dtype, in nested containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tallow import ops
from tallow.autograd.mode import no_grad
from tallow.dtype import DType, as_dtype
from tallow.errors import ArgumentError, expect
from tallow.factories import as_tensor, tensor
from tallow.numeric import promote_types
from tallow.tensor import Tensor

# dtype → relative and absolute tolerance, as torch.testing.assert_close documents them.
_TOLERANCES = {
    "f16": (1e-3, 1e-5), "bf16": (1.6e-2, 1e-5), "f32": (1.3e-6, 1e-5), "f64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}  # fmt: skip


class _Check:
    """The options of one comparison."""

    def __init__(self, **options: Any) -> None:
        self.__dict__.update(options)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def assert_close(
    actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None,
    atol: float | None = None, equal_nan: bool = False, check_device: bool = True,
    check_dtype: bool = True, check_layout: bool = True, check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:  # fmt: skip
    """Raise AssertionError unless both are of one shape and dtype, and close.

    Close is `|actual - expected| <= atol + rtol * |expected|`. Numbers, arrays of numpy, and
    nested sequences and mappings are compared too.
    """
    if (rtol is None) != (atol is None):
        raise ValueError("assert_close: expected both rtol and atol or neither, got one of them")
    options = _Check(
        rtol=rtol, atol=atol, nan=equal_nan, dtype=check_dtype, stride=check_stride,
        strict=allow_subclasses,
    )  # fmt: skip
    text = _compare(actual, expected, options, "")
    if text is not None:
        raise AssertionError(msg(text) if callable(msg) else msg if msg is not None else text)


def _compare(actual: Any, expected: Any, options: Any, place: str) -> str | None:
    where = f" (at {place})" if place else ""
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if actual.keys() != expected.keys():
            return f"The keys are not equal: {list(actual)} and {list(expected)}{where}"
        pairs = [(str(k), actual[k], expected[k]) for k in actual]
    elif _is_row(actual) and _is_row(expected):
        if len(actual) != len(expected):
            return f"The lengths are not equal: {len(actual)} != {len(expected)}{where}"
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(actual, expected, strict=True))]
    elif actual is None or expected is None:
        return None if actual is expected else f"None mismatch: {actual} is not {expected}{where}"
    elif isinstance(actual, str) or isinstance(expected, str):
        return None if actual == expected else f"{actual!r} != {expected!r}{where}"
    else:
        return _compare_values(actual, expected, options, where)
    for name, a, b in pairs:
        text = _compare(a, b, options, f"{place}.{name}" if place else f"item {name}")
        if text is not None:
            return text
    return None


def _is_row(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, str)


def _compare_values(actual: Any, expected: Any, options: Any, where: str) -> str | None:
    numbers = not isinstance(actual, Tensor) and not isinstance(expected, Tensor)
    a, b = _tensor(actual), _tensor(expected)
    if a.shape != b.shape:
        return f"The values for attribute 'shape' do not match: {a.shape} != {b.shape}{where}."
    if options.dtype and not numbers and a.dtype is not b.dtype:
        return f"The values for attribute 'dtype' do not match: {a.dtype} != {b.dtype}{where}."
    if options.stride and a.stride() != b.stride():
        return f"The values for attribute 'stride()' do not match: {a.stride()} != {b.stride()}."
    rtol, atol = _tolerances(a.dtype, b.dtype, options)
    wide = promote_types(a.dtype, b.dtype)
    with no_grad():
        a, b = a.detach().to(wide), b.detach().to(wide)
        good = ops.isclose(a, b, rtol=rtol, atol=atol, equal_nan=options.nan)
        if bool(good.all()):
            return None
        return _mismatch_text(a, b, good, rtol, atol, where)


def _tensor(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return x
    if isinstance(x, (bool, int, complex)):
        return tensor(x)
    return tensor(x, "f64") if isinstance(x, float) else as_tensor(x)


def _tolerances(a: DType, b: DType, options: Any) -> tuple[float, float]:
    if options.rtol is not None:
        return options.rtol, options.atol
    pairs = [_TOLERANCES.get(dtype.name, (0.0, 0.0)) for dtype in (a, b)]
    return max(p[0] for p in pairs), max(p[1] for p in pairs)


def _mismatch_text(a: Tensor, b: Tensor, good: Tensor, rtol: float, atol: float, where: str) -> str:
    if not a.ndim:
        return (
            f"Scalars are not close{where}!\n\nExpected {b.item()} but got {a.item()}.\n"
            f"Tolerances: rtol={rtol}, atol={atol}"
        )
    count, total = int((~good).sum()), a.numel()
    gap = (a.to("f64") - b.to("f64")).abs() if a.dtype.kind != "c" else (a - b).abs()
    gap = ops.where(good, 0.0, gap)
    ratio = gap / (b.to(gap.dtype).abs() if b.dtype.kind != "c" else b.abs())
    lines = [f"Tensor-likes are not close{where}!", ""]
    lines.append(f"Mismatched elements: {count} / {total} ({100 * count / total:.1f}%)")
    for name, x, limit in (("absolute", gap, atol), ("relative", ops.nan_to_num(ratio), rtol)):
        at = int(x.argmax())
        index = tuple(int(i) for i in _unravel(at, a.shape))
        lines.append(
            f"Greatest {name} difference: {x.flatten()[at].item()} at index {index} "
            f"(up to {limit} allowed)"
        )
    return "\n".join(lines)


def _unravel(at: int, shape: tuple[int, ...]) -> list[int]:
    found = []
    for n in reversed(shape):
        found.append(at % n)
        at //= n
    return found[::-1]


def assert_allclose(
    actual: Any, expected: Any, rtol: float | None = None, atol: float | None = None,
    equal_nan: bool = True, msg: str = "",
) -> None:  # fmt: skip
    """`assert_close` by its older name: dtypes may differ, NaN equals NaN."""
    assert_close(
        actual, _tensor(expected), rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False,
        msg=msg or None,
    )  # fmt: skip


def make_tensor(
    *shape: Any, dtype: DType | str, device: Any = "cpu", low: float | None = None,
    high: float | None = None, requires_grad: bool = False, noncontiguous: bool = False,
    exclude_zero: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Random values in [low, high): by default [-9, 9) for numbers, 0 and 1 for bool."""
    kind = as_dtype(dtype)
    sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
    given = (*sizes[:-1], sizes[-1] * 2) if noncontiguous and sizes else sizes
    first = (0.0 if kind.kind in "bu" else -9.0) if low is None else float(low)
    last = (2.0 if kind.kind == "b" else 9.0) if high is None else float(high)
    if kind.kind in "biu":
        made = ops.randint(int(first), max(int(last), int(first) + 1), given).to(kind)
    else:
        made = (ops.rand(given) * (last - first) + first).to(kind)
    if exclude_zero:
        made = ops.where(made == 0, made + 1, made)
    made = made[..., ::2] if noncontiguous and sizes else made
    if memory_format is not None:
        both = noncontiguous  # as in PyTorch, which allows one of them
        expect(not both, make_tensor, "noncontiguous or a memory_format", "both", ArgumentError)
        made = made.contiguous(memory_format=memory_format)
    return made.requires_grad_() if requires_grad else made
