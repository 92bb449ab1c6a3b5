"""Activations by transformers' names, alone and after a linear layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tallow.nn import Linear, Module
from tallow.nn import functional as F
from tallow.ops import clamp, linear_act, quick_gelu
from tallow.tensor import Tensor

Activation = Callable[[Tensor], Tensor]


def _clipped_gelu(x: Tensor) -> Tensor:
    return clamp(F.gelu(x), -10, 10)


def _relu2(x: Tensor) -> Tensor:
    return F.relu(x).square()


def _linear(x: Tensor) -> Tensor:
    return x


_tanh_gelu = partial(F.gelu, approximate="tanh")
ACTIVATIONS: dict[str, Activation] = {
    "gelu": F.gelu,
    "gelu_10": _clipped_gelu,
    "gelu_accurate": _tanh_gelu,
    "gelu_fast": _tanh_gelu,
    "gelu_new": _tanh_gelu,
    "gelu_python": F.gelu,
    "gelu_python_tanh": _tanh_gelu,
    "gelu_pytorch_tanh": _tanh_gelu,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "leaky_relu": F.leaky_relu,
    "linear": _linear,
    "mish": F.mish,
    "quick_gelu": quick_gelu,
    "relu": F.relu,
    "relu2": _relu2,
    "relu6": F.relu6,
    "sigmoid": F.sigmoid,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": F.tanh,
}
# What the kernel of a product can do to its results before it writes them.
_IN_PRODUCTS: dict[Activation | None, str] = {
    None: "",
    F.gelu: "gelu",
    _tanh_gelu: "gelu_tanh",
    quick_gelu: "quick_gelu",
    F.relu: "relu",
    F.silu: "silu",
}


def linear_then(
    layer: Module, x: Tensor, act: Activation | None = None, residual: Tensor | None = None
) -> Tensor:
    """`act(layer(x)) + residual`; one pass over the result where `layer` is just a `Linear`.

    A layer with hooks, of a class of its own or with another `forward` is called as ever.
    """
    name = _IN_PRODUCTS.get(act)
    plain = type(layer) is Linear and layer._hooks is None and "forward" not in layer.__dict__
    if plain and name is not None:
        return linear_act(x, layer.weight, layer.bias, residual, act=name, exact=layer.exact)
    out: Tensor = layer(x)
    if act is not None:
        out = act(out)
    return out if residual is None else out + residual
