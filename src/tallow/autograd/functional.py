"""`torch.autograd.functional`'s functions: Jacobian and Hessian, and products with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import GradError, expect
from ..factories import ones_like
from ..tensor import Tensor
from . import transforms

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _like(inputs: Any, found: Any) -> Any:
    """Products in the form of the inputs: a tensor, or a tuple."""
    if isinstance(inputs, Tensor):
        return found
    return (found,) if isinstance(found, Tensor) else tuple(found)


def _ones(values: Any) -> Any:
    return ones_like(values) if isinstance(values, Tensor) else tuple(ones_like(x) for x in values)


def _result(found: tuple[Any, Any], create_graph: bool) -> tuple[Any, Any]:
    return found if create_graph else (_detached(found[0]), _detached(found[1]))


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else tuple(x.detach() for x in value)


def _strictly(func: Callable[..., Any], strict: bool) -> Callable[..., Any]:
    """`func`, which raises where a result does not depend on its inputs."""

    def call(*args: Any) -> Any:
        out = func(*args)
        live = all(y.requires_grad for y in ([out] if isinstance(out, Tensor) else out))
        said = "outputs that depend on the inputs"
        expect(live, "autograd.functional", said, "one that does not", GradError)
        return out

    return call if strict else func


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """`func`'s value and `v` times its Jacobian (ones for a missing `v`)."""
    primals = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    out, pull = transforms.vjp(_strictly(func, strict), *primals)
    return _result((out, _like(inputs, pull(_ones(out) if v is None else v))), create_graph)


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """`func`'s value and its Jacobian times `v` (ones for a missing `v`)."""
    pushed = transforms.jvp(_strictly(func, strict), inputs, _ones(inputs) if v is None else v)
    return _result(pushed, create_graph)


def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """`func`'s value and its Hessian times `v`."""
    pushed = transforms.hvp(_strictly(func, strict), inputs, _ones(inputs) if v is None else v)
    return _result(pushed, create_graph)


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """`func`'s value and `v` times its Hessian, which is symmetric."""
    return hvp(func, inputs, v, create_graph, strict)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """All derivatives of `func`; `vectorize` and `strategy` change nothing of what comes out."""
    return transforms.jacobian(func, inputs, create_graph, strict)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Second derivatives of a scalar `func`; see `jacobian` for the options."""
    return transforms.hessian(_strictly(func, strict), inputs, create_graph)
