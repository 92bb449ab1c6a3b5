"""Derivatives of functions: value and gradient, products with Jacobians, Jacobian, Hessian."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ArgumentError, DTypeError, GradError, expect
from ..factories import zeros, zeros_like
from ..tensor import Tensor
from ..tensor_methods import Ops
from . import engine
from .mode import enable_grad


def _tuple(values: Any) -> tuple[Tensor, ...]:
    found = (values,) if isinstance(values, Tensor) else values
    if not isinstance(found, (tuple, list)) or not all(isinstance(x, Tensor) for x in found):
        raise DTypeError(f"autograd: expected Tensors, got {type(values).__name__}")
    return tuple(found)


def _fresh(values: Sequence[Tensor], create_graph: bool) -> tuple[Tensor, ...]:
    """The inputs as the start of a graph: themselves seen anew, or leaves of their own."""
    if create_graph:
        return tuple(
            x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in values
        )
    return tuple(x.detach().requires_grad_() for x in values)


def value_and_grad(
    func: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives `func`'s value and its gradient by the arguments numbered `argnums`.

    `func` returns a scalar tensor, or (scalar, anything) with `has_aux`. The result can be
    differentiated again.
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def call(*args: Any, **options: Any) -> Any:
        with enable_grad():
            outer = any(isinstance(a, Tensor) and a.requires_grad for a in args)
            chosen = _fresh([args[i] for i in numbers], outer)
            placed = list(args)
            for i, x in zip(numbers, chosen, strict=True):
                placed[i] = x
            out = func(*placed, **options)
            value, aux = out if has_aux else (out, None)
            if not isinstance(value, Tensor) or value.numel() != 1:
                raise GradError("grad: expected a function with a scalar result")
            grads = engine.grad(value, chosen, create_graph=outer, materialize_grads=True)
        result = grads[0] if isinstance(argnums, int) else grads
        value = value if outer else value.detach()
        return ((value, aux) if has_aux else value), result

    return call


def grad(
    func: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives the gradient of `func` (see `value_and_grad`)."""
    both = value_and_grad(func, argnums, has_aux)

    def call(*args: Any, **options: Any) -> Any:
        value, result = both(*args, **options)
        return (result, value[1]) if has_aux else result

    return call


def vjp(func: Callable[..., Any], *primals: Tensor) -> tuple[Any, Callable[..., Any]]:
    """`func(*primals)` and a function: vector → vector times Jacobian, one per primal."""
    with enable_grad():
        outer = any(x.requires_grad for x in primals)
        inputs = _fresh(primals, outer)
        out = func(*inputs)
    outputs = _tuple(out)

    def pull(*vectors: Any) -> Any:
        given = _tuple(vectors[0] if len(vectors) == 1 else vectors)
        create = outer or any(v.requires_grad for v in given)
        pairs = [(y, v) for y, v in zip(outputs, given, strict=True) if y.requires_grad]
        if not pairs:
            found: tuple[Any, ...] = tuple(zeros_like(x) for x in inputs)
        else:
            found = engine.grad(
                [y for y, _ in pairs], inputs, [v for _, v in pairs],
                retain_graph=True, create_graph=create, materialize_grads=True,
            )  # fmt: skip
        return found if len(found) > 1 else found[0] if len(vectors) == 1 else found

    shown = out if outer else _map(out, Tensor.detach)
    return shown, pull


def jvp(func: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
    """`func(*primals)` and its derivative in the direction of `tangents`.

    Taken as the derivative of the vector-Jacobian product by its vector, where it is linear.
    """
    inputs, directions = _tuple(primals), _tuple(tangents)
    expect(len(inputs) == len(directions), "jvp", f"{len(inputs)} tangents", len(directions))
    with enable_grad():
        outer = any(x.requires_grad for x in (*inputs, *directions))
        starts = _fresh(inputs, outer)
        out = func(*starts)
        outputs = _tuple(out)
        live = [y for y in outputs if y.requires_grad]
        dummies = [zeros_like(y).requires_grad_() for y in live]
        if live:
            pulled = engine.grad(live, starts, dummies, create_graph=True, materialize_grads=True)
            linked = [
                (p, t)
                for p, t in zip(pulled, directions, strict=True)
                if p is not None and p.requires_grad
            ]
            pushed: tuple[Any, ...] = (
                engine.grad(
                    [p for p, _ in linked], dummies, [t for _, t in linked],
                    create_graph=outer, materialize_grads=True,
                )
                if linked
                else tuple(zeros_like(y) for y in live)
            )  # fmt: skip
        else:
            pushed = ()
    each = iter(pushed)
    products = tuple(next(each) if y.requires_grad else zeros_like(y) for y in outputs)
    shown = out if outer else _map(out, Tensor.detach)
    return shown, products[0] if isinstance(out, Tensor) else products


def hvp(func: Callable[..., Any], inputs: Any, v: Any) -> tuple[Any, Any]:
    """`func`'s value and the product of its Hessian with `v`."""
    xs = _tuple(inputs)
    alone = isinstance(inputs, Tensor)

    def slope(*args: Tensor) -> Any:
        with enable_grad():
            return engine.grad(func(*args), args, create_graph=True, materialize_grads=True)

    _, product = jvp(slope, xs, v)
    return func(*xs).detach(), product[0] if alone else product


def jacobian(
    func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False
) -> Any:
    """All derivatives of `func`: for an output (m…) by an input (n…) a tensor (m…, n…).

    Tuples of outputs and inputs give tuples of tuples, as in PyTorch.
    """
    alone_in = isinstance(inputs, Tensor)
    with enable_grad():
        xs = _fresh(_tuple(inputs), create_graph)
        out = func(*xs)
        alone_out = isinstance(out, Tensor)
        rows = tuple(_jacobian_of(y, xs, create_graph, strict) for y in _tuple(out))
    shaped = tuple(row[0] for row in rows) if alone_in else rows
    return shaped[0] if alone_out else shaped


def _jacobian_of(
    y: Tensor, xs: tuple[Tensor, ...], create_graph: bool, strict: bool
) -> tuple[Tensor, ...]:
    if not y.requires_grad:
        expect(not strict, "jacobian", "outputs that depend on the inputs", "one that does not")
        return tuple(zeros((*y.shape, *x.shape), dtype=x.dtype) for x in xs)
    lines: list[tuple[Any, ...]] = []
    for i in range(y.numel()):
        unit = zeros(y.numel(), dtype=y.dtype)
        unit[i] = 1
        lines.append(
            engine.grad(
                y, xs, unit.reshape(y.shape),
                retain_graph=True, create_graph=create_graph, materialize_grads=True,
            )
        )  # fmt: skip
    return tuple(
        Ops.named("stack")([line[k] for line in lines]).reshape((*y.shape, *x.shape))
        if lines
        else zeros((*y.shape, *x.shape), dtype=x.dtype)
        for k, x in enumerate(xs)
    )


def hessian(func: Callable[..., Any], inputs: Any, create_graph: bool = False) -> Any:
    """The second derivatives of a scalar function: (n…, n…), or tuples of tuples of them."""
    alone = isinstance(inputs, Tensor)

    def slope(*args: Tensor) -> Any:
        out = func(*args)
        expect(out.numel() == 1, "hessian", "a scalar result", out.shape)
        found = engine.grad(out, args, create_graph=True, materialize_grads=True)
        return found[0] if alone else found

    return jacobian(slope, inputs, create_graph)


def batched_grad(
    outputs: Any, inputs: Any, grad_outputs: Any, retain_graph: bool | None, create_graph: bool,
    *options: Any,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    """`grad` for each of the weights along the first axis of `grad_outputs`, stacked."""
    weights = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs or ())
    sizes = {w.shape[:1] for w in weights if w is not None}
    said = "grad_outputs with one first axis, which is not empty"
    fits = len(sizes) == 1 and sizes != {(0,)} and sizes != {()}
    expect(fits, "grad", said, sizes, ArgumentError)
    (count,) = sizes.pop()
    keep = create_graph if retain_graph is None else retain_graph
    rows = [
        engine.grad(outputs, inputs, [None if w is None else w[i] for w in weights],
             keep or i < count - 1, create_graph, True, False, *options)
        for i in range(count)
    ]  # fmt: skip
    return tuple(
        None if g[0] is None else Ops.named("stack")(list(g)) for g in zip(*rows, strict=True)
    )


def _map(value: Any, f: Callable[[Tensor], Tensor]) -> Any:
    return f(value) if isinstance(value, Tensor) else tuple(f(x) for x in value)
