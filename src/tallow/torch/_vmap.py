"""vmap: a function of single samples as one of batches, by a loop over the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow import ops
from tallow.errors import ArgumentError, ShapeError, expect
from tallow.random import default_generator
from tallow.tensor import Tensor
from tallow.torch.utils._pytree import _broadcast_to_and_flatten, tree_flatten, tree_unflatten


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """`func` of each entry along axis `in_dims` of the arguments, stacked along `out_dims`.

    Arguments and results may be nested; None as a dim hands an argument over whole. Gradients pass.
    Random draws are refused unless `randomness` is "different" (a draw of its own for each entry)
    or "same".
    """
    known = ("error", "different", "same")
    expect(randomness in known, vmap, f"randomness of {known}", randomness, ArgumentError)

    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, spec = tree_flatten(args)
        dims = _dims(in_dims, args, spec)
        size = _size(leaves, dims)
        outs = []
        for i in range(size):
            before = default_generator.get_state()
            one = [x if d is None else x.select(d, i) for x, d in zip(leaves, dims, strict=True)]
            outs.append(func(*tree_unflatten(one, spec), **kwargs))
            if randomness != "different":
                _settle(randomness, before, i == size - 1)
        return _stacked(outs, out_dims)

    return call


def _dims(in_dims: Any, args: tuple[Any, ...], spec: Any) -> list[int | None]:
    given = tuple(in_dims) if isinstance(in_dims, list) else in_dims
    given_dims = given if not isinstance(given, int) else tuple(given for _ in args)
    found = _broadcast_to_and_flatten(given_dims, spec, lambda x: x is None)
    expect(found is not None, vmap, f"in_dims like the arguments ({spec.num_leaves} tensors)",
           in_dims, ArgumentError)  # fmt: skip
    dims: list[int | None] = found
    return dims


def _size(leaves: list[Any], dims: list[int | None]) -> int:
    sizes = set()
    for x, d in zip(leaves, dims, strict=True):
        if d is None:
            continue
        expect(isinstance(x, Tensor), vmap, "tensors where in_dims is a number",
               type(x).__name__, ArgumentError)  # fmt: skip
        expect(-x.ndim <= d < x.ndim, vmap, f"an axis {d}", x.shape)
        sizes.add(x.shape[d])
    expect(bool(sizes), vmap, "at least one tensor to map over", "none", ArgumentError)
    expect(len(sizes) == 1, vmap, "axes of one length", sorted(sizes))
    size: int = sizes.pop()
    if not size:
        raise ShapeError("vmap: expected at least one entry, got an empty axis")
    return size


def _settle(randomness: str, before: Any, last: bool) -> None:
    """After one entry: were numbers drawn, and does the next entry draw the same ones?"""
    if bool((default_generator.get_state() == before).all()):
        return
    wanted = "no random draws (or randomness='different' or 'same')"
    expect(randomness == "same", vmap, wanted, "a draw", ArgumentError)
    if not last:
        default_generator.set_state(before)


def _stacked(outs: list[Any], out_dims: Any) -> Any:
    flat = [tree_flatten(out) for out in outs]
    spec = flat[0][1]
    dims = _broadcast_to_and_flatten(
        tuple(out_dims) if isinstance(out_dims, list) else out_dims, spec
    )
    expect(dims is not None, vmap, "out_dims like the results", out_dims, ArgumentError)
    columns = zip(*(leaves for leaves, _ in flat), strict=True)
    made = []
    for column, d in zip(columns, dims, strict=True):
        for x in column:
            if not isinstance(x, Tensor):
                raise ArgumentError(f"vmap: expected tensors as results, got {type(x).__name__}")
        whole = ops.stack(list(column), 0)
        made.append(whole if d == 0 else ops.movedim(whole, 0, d))
    return tree_unflatten(made, spec)
