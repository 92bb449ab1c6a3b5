"""Derivatives of functions whose arguments are nested dicts, lists and tuples of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow.autograd import engine, transforms
from tallow.autograd.mode import enable_grad
from tallow.errors import ArgumentError, GradError, expect
from tallow.factories import zeros
from tallow.tensor import Tensor
from tallow.torch._names import refused
from tallow.torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

linearize = refused("tallow.torch.func", "linearize", "it is not supported (use jvp)")


def _fresh(tree: Any, live: bool) -> Any:
    """Leaves of their own in the place of tensors; tied to the old ones when these are recorded."""

    def leaf(x: Any) -> Any:
        if not isinstance(x, Tensor) or x.dtype.kind not in "fc":
            return x
        return x.view_as(x) if live and x.requires_grad else x.detach().requires_grad_()

    return tree_map(leaf, tree)


def _recorded(*trees: Any) -> bool:
    return any(isinstance(x, Tensor) and x.requires_grad for x in tree_flatten(trees)[0])


def _plain(tree: Any, live: bool) -> Any:
    return tree if live else tree_map(lambda x: x.detach() if isinstance(x, Tensor) else x, tree)


def grad_and_value(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function: arguments → gradients by those numbered `argnums`, and the value (with aux)."""

    def call(*args: Any, **kwargs: Any) -> Any:
        numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        live = _recorded(args, kwargs)
        placed = list(args)
        with enable_grad():
            for i in numbers:
                placed[i] = _fresh(placed[i], live)
            out = func(*placed, **kwargs)
            value, aux = out if has_aux else (out, None)
            if not isinstance(value, Tensor) or value.numel() != 1:
                raise GradError("grad: expected a function with a scalar result")
            leaves, spec = tree_flatten(tuple(placed[i] for i in numbers))
            found = engine.grad(value, leaves, create_graph=live, materialize_grads=True)
        grads = tree_unflatten(found, spec)
        result = grads[0] if isinstance(argnums, int) else grads
        value = _plain(value, live)
        return (result, (value, _plain(aux, live))) if has_aux else (result, value)

    return call


def grad(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function: arguments → gradients by those numbered `argnums` (and aux)."""
    both = grad_and_value(func, argnums, has_aux)

    def call(*args: Any, **kwargs: Any) -> Any:
        result, value = both(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return call


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """`func(*primals)` and a function: cotangents like the output → one per primal."""
    live = _recorded(primals)
    with enable_grad():
        inputs = _fresh(primals, live)
        out = func(*inputs)
    out, aux = out if has_aux else (out, None)
    outputs, shape = tree_flatten(out)
    leaves, spec = tree_flatten(inputs)

    def pull(*cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        vectors = tree_flatten(given)[0]
        create = (live or _recorded(vectors)) if create_graph is None else create_graph
        pairs = [(y, v) for y, v in zip(outputs, vectors, strict=True) if y.requires_grad]
        if pairs:
            found = engine.grad(
                [y for y, _ in pairs], leaves, [v for _, v in pairs],
                retain_graph=True, create_graph=create, materialize_grads=True,
            )  # fmt: skip
        else:
            found = tuple(zeros(x.shape, dtype=x.dtype) for x in leaves)
        return tree_unflatten(found, spec)

    plain = _plain(tree_unflatten(outputs, shape), live)
    return (plain, pull, _plain(aux, live)) if has_aux else (plain, pull)


def jvp(
    func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False,
    has_aux: bool = False,
) -> Any:  # fmt: skip
    """`func(*primals)` and its derivative in the direction of `tangents`."""
    leaves, spec = tree_flatten(tuple(primals))
    directions = tree_flatten(tuple(tangents))[0]
    kept: dict[str, Any] = {}

    def flat(*given: Tensor) -> Any:
        out = func(*tree_unflatten(given, spec))
        out, kept["aux"] = out if has_aux else (out, None)
        outputs, kept["shape"] = tree_flatten(out)
        return tuple(outputs)

    values, pushed = transforms.jvp(flat, tuple(leaves), tuple(directions))
    pair = tree_unflatten(values, kept["shape"]), tree_unflatten(pushed, kept["shape"])
    return (*pair, kept["aux"]) if has_aux else pair


def jacrev(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False,
    chunk_size: int | None = None, _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:  # fmt: skip
    """A function: arguments → all derivatives, (output…, input…) for each output and input.

    `chunk_size` is how many rows PyTorch makes at once; here each is made alone.
    """
    whole = chunk_size is None or (type(chunk_size) is int and chunk_size > 0)
    expect(whole, jacrev, "a chunk_size above 0", chunk_size, ArgumentError)

    def call(*args: Any, **kwargs: Any) -> Any:
        numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        kept: dict[str, Any] = {}
        chosen = args[argnums] if isinstance(argnums, int) else tuple(args[i] for i in numbers)
        leaves, spec = tree_flatten(chosen)
        live = _recorded(args, kwargs)

        def flat(*given: Tensor) -> Any:
            placed = list(args)
            back = tree_unflatten(given, spec)
            for i, value in zip(
                numbers, (back,) if isinstance(argnums, int) else back, strict=True
            ):
                placed[i] = value
            out = func(*placed, **kwargs)
            out, kept["aux"] = out if has_aux else (out, None)
            outputs, kept["shape"] = tree_flatten(out)
            return tuple(outputs)

        rows = transforms.jacobian(flat, tuple(leaves), create_graph=live)
        made = tree_unflatten((tree_unflatten(row, spec) for row in rows), kept["shape"])
        return (made, _plain(kept["aux"], live)) if has_aux else made

    return call


def jacfwd(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False, *,
    randomness: str = "error",
) -> Callable[..., Any]:  # fmt: skip
    """The same as `jacrev`: rows are cheaper than columns here.

    `randomness` is of PyTorch's vmap, which is not made use of.
    """
    known = ("error", "different", "same")
    expect(randomness in known, jacfwd, f"a randomness of {known}", randomness, ArgumentError)
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """A function: arguments → all second derivatives."""
    return jacrev(jacrev(func, argnums), argnums)
