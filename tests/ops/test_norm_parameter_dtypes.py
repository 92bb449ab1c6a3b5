"""Norms by channels take parameters of any dtype that floats are computed with, as they did."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import tallow as tl
from tallow import Tensor, _native

F = tl.nn.functional
CALLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "batch_norm": lambda x, p: F.batch_norm(x, p, p, p, p),
    "batch_norm in training": lambda x, p: F.batch_norm(x, None, None, p, p, training=True),
    "group_norm": lambda x, p: F.group_norm(x, 2, p, p),
    "instance_norm": lambda x, p: F.instance_norm(x, None, None, p, p),
}


@pytest.mark.parametrize("dtype", ["i64", "u8", "f64", "f16", "bf16"])
@pytest.mark.parametrize("name", CALLS)
def test_parameters_of_other_dtypes_count_as_floats(name: str, dtype: str) -> None:
    x = tl.randn(2, 4, 3, 5, generator=tl.Generator().manual_seed(0))
    p = tl.tensor([1, 2, 1, 2])
    call = CALLS[name]
    assert call(x, p.to(dtype)).tolist() == call(x, p.float()).tolist()


@pytest.mark.parametrize("kernel", ["batch_norm", "group_norm"])
def test_kernels_name_the_dtype_that_they_refuse(kernel: str) -> None:
    x, fine, odd = tl.ones(1, 2, 3)._array, tl.ones(2)._array, tl.tensor([1, 2])._array
    rest = (fine, odd, None, None, 1e-5) if kernel == "batch_norm" else (odd, None, 1, 1e-5)
    with pytest.raises(tl.errors.TallowError, match="i64"):
        _native.call(kernel, tl.empty(1, 2, 3)._array, x, *rest)
