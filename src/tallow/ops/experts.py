"""Mixtures of experts: products of rows with the weights that a router chose for them."""

from __future__ import annotations

from typing import Any

from ..dtype import bf16, f16, f32, i64
from ..errors import DTypeError, expect
from ..factories import zeros
from ..registry import op
from ..tensor import Tensor

_KERNEL_DTYPES = (f32, f16, bf16)


@op(cached=True)
def expert_linear(
    x: Tensor, weight: Tensor, ids: Tensor, bias: Tensor | None = None, *, exact: bool = False
) -> Tensor:
    """For each token the products with the weights of its experts: (tokens, chosen, n).

    `ids` (tokens, chosen), integers in [0, experts), say which of `weight` (experts, n, k), of any
    dtype, and `bias` (experts, n) a token takes. `x` is (tokens, k), one row for all choices, or
    (tokens, chosen, k). `exact` is that of `linear`. Weights of experts that no token chose are not
    read, and a token's result does not depend on the others.

    Raises ShapeError, DTypeError, and RuntimeError for an id that is not that of an expert.
    """
    rows = x.unsqueeze(1) if x.ndim == 2 else x
    out = (weight.to(x.dtype)[ids] @ rows.unsqueeze(-1)).squeeze(-1)
    return out if bias is None else out + bias.to(out.dtype)[ids]


@expert_linear.check
def _(x: Tensor, weight: Tensor, ids: Tensor, bias: Tensor | None, exact: bool) -> None:
    _choices(expert_linear, x, ids)
    w = weight.shape
    if len(w) != 3 or x.shape[-1] != w[2]:
        wanted = f"weight of shape (experts, n, {x.shape[-1]})"
        expect(False, expert_linear, wanted, tuple(w))
    if bias is not None and bias.shape != w[:2]:
        expect(False, expert_linear, f"bias of shape {tuple(w[:2])}", tuple(bias.shape))


def _choices(where: Any, x: Tensor, ids: Tensor) -> None:
    if ids.ndim != 2:
        expect(False, where, "ids of shape (tokens, chosen)", tuple(ids.shape))
    if ids.dtype.kind not in "iu":
        expect(False, where, "integer ids", ids.dtype.name, DTypeError)
    if x.ndim not in (2, 3) or x.shape[:-1] != ids.shape[: x.ndim - 1]:
        tokens, chosen = ids.shape
        wanted = f"x of shape ({tokens}, k) or ({tokens}, {chosen}, k)"
        expect(False, where, wanted, tuple(x.shape))
    if x.dtype.kind != "f":
        expect(False, where, "x of a float dtype", x.dtype.name, DTypeError)


@expert_linear.out
def _(x: Tensor, weight: Tensor, ids: Tensor, bias: Tensor | None, exact: bool) -> Any:
    return (*ids.shape, weight.shape[1]), x.dtype


@expert_linear.kernel("expert_linear", dtypes=_KERNEL_DTYPES)
def _(x: Tensor, weight: Tensor, ids: Tensor, bias: Tensor | None, exact: bool) -> tuple[Any, ...]:
    return x.contiguous(), weight, ids.to(i64), bias, bool(exact)


@expert_linear.grad(uses={"x": ("weight", "ids"), "weight": ("x", "ids"), "bias": ("ids",)})
def _(
    g: Tensor, x: Tensor, weight: Tensor, ids: Tensor, _bias: Any, exact: bool
) -> tuple[Any, ...]:
    from . import index_add

    experts, n, _ = weight.shape

    def of_x() -> Tensor:
        each: Tensor = expert_linear(g, weight.to(g.dtype).transpose(1, 2), ids, exact=True)
        return each.sum(1) if x.ndim == 2 else each

    def of_bias() -> Tensor:
        none = zeros((experts, n), dtype=g.dtype, device=g.device)
        return index_add(none, 0, ids.reshape(-1).to(i64), g.reshape(-1, n))

    return of_x, lambda: expert_outer(g, x, ids, experts), None, of_bias


@op
def expert_outer(g: Tensor, x: Tensor, ids: Tensor, experts: int) -> Tensor:
    """The gradient (experts, n, k) of the weight of `expert_linear`, of `g` (tokens, chosen, n).

    For each expert the sum of the outer products of what chose it; `x` and `ids` as there.
    """
    from . import index_add

    rows = x.unsqueeze(1) if x.ndim == 2 else x
    each = g.unsqueeze(-1) * rows.unsqueeze(-2)
    none = zeros((experts, g.shape[-1], x.shape[-1]), dtype=g.dtype, device=g.device)
    return index_add(none, 0, ids.reshape(-1).to(i64), each.flatten(0, 1))


@expert_outer.check
def _(g: Tensor, x: Tensor, ids: Tensor, experts: int) -> None:
    _choices(expert_outer, x, ids)
    if g.ndim != 3 or g.shape[:2] != ids.shape:
        expect(False, expert_outer, f"g of shape {(*ids.shape, 'n')}", tuple(g.shape))
    if g.dtype is not x.dtype:
        expect(False, expert_outer, f"g of {x.dtype.name}", g.dtype.name, DTypeError)


@expert_outer.out
def _(g: Tensor, x: Tensor, ids: Tensor, experts: int) -> Any:
    return (int(experts), g.shape[-1], x.shape[-1]), g.dtype


@expert_outer.kernel("expert_outer", dtypes=_KERNEL_DTYPES)
def _(g: Tensor, x: Tensor, ids: Tensor, experts: int) -> tuple[Any, ...]:
    return g.contiguous(), x.contiguous(), ids.to(i64)


@expert_outer.grad(uses={"g": ("x", "ids"), "x": ("g", "ids")})
def _(full: Tensor, g: Tensor, x: Tensor, ids: Tensor, experts: int) -> tuple[Any, ...]:
    def of_x() -> Tensor:
        each: Tensor = expert_linear(g, full.transpose(1, 2), ids, exact=True)
        return each.sum(1) if x.ndim == 2 else each

    return lambda: expert_linear(x, full, ids, exact=True), of_x, None
