"""Tensors by coordinates, kept dense: the numbers of sparse programs, not their memory."""

from __future__ import annotations

from typing import Any

from tallow.device import Device
from tallow.dtype import DType
from tallow.errors import expect
from tallow.factories import as_tensor, zeros
from tallow.tensor import Tensor


def sparse_coo_tensor(
    indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: DType | str | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> Tensor:
    """A dense tensor of `size` with `values` `(n, ...)` at `indices` `(axes, n)`, 0 elsewhere.

    Values at the same place are added. Without `size` it reaches as far as the indices.
    """
    where = as_tensor(indices).to("i64")
    given = as_tensor(values, dtype, device)
    expect(where.ndim == 2, sparse_coo_tensor, "indices (axes, n)", where.shape)
    expect(where.shape[1:] == given.shape[:1], sparse_coo_tensor, f"{where.shape[1]} values",
           given.shape)  # fmt: skip
    if size is None:
        size = [int(n) + 1 for n in where.amax(1).tolist()] + list(given.shape[1:])
    made = zeros(tuple(size), dtype=given.dtype)
    if where.shape[1]:
        made = made.index_put(tuple(where[i] for i in range(where.shape[0])), given, True)
    return made.requires_grad_() if requires_grad else made
