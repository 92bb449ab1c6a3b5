"""What adapters add to one module: low-rank products, magnitudes, biases, or another module."""

from __future__ import annotations

from typing import Any

from tallow.autograd.mode import is_grad_enabled, no_grad
from tallow.dtype import f32
from tallow.nn import Module, Parameter
from tallow.nn import functional as F
from tallow.nn.attributes import TABLES
from tallow.ops import embedding, linear, linear_act
from tallow.tensor import Tensor


def is_table(module: Module) -> bool:
    """Whether a module looks rows up."""
    return hasattr(module, "num_embeddings")


def matrix_shape(module: Module) -> tuple[int, int] | None:
    """`(out, in)` of a module that a low-rank product can change; None for any other.

    Of a table of vectors it is `(size, rows)`.
    """
    weight = module._parameters.get("weight")
    if weight is None or len(weight.shape) != 2:
        return None
    rows, columns = weight.shape
    if is_table(module) or getattr(module, "fan_in_fan_out", False):
        return columns, rows
    return (rows, columns) if hasattr(module, "in_features") else None


def plain_weight(module: Module) -> Tensor:
    """The weight of a linear layer, `(out, in)` of f32."""
    weight: Tensor = module.weight.detach().to(f32)
    return weight.transpose(0, 1) if getattr(module, "fan_in_fan_out", False) else weight


class Part(Module):
    """What one adapter adds to one module; `scale` is of the adapter, `weight` of a selection."""

    def add(self, x: Any, out: Tensor, base: Module, weight: float) -> Tensor:
        """What the module gives for `x`, of what it gave without this: `out`."""
        raise NotImplementedError


class LowRank(Part):
    """`weight * scale * B A` beside a linear layer, or beside a table, whose A is `(rows, r)`.

    With `magnitude` `(out,)` the rows of the sum with the layer's own weight are brought to that
    length (DoRA, arXiv 2402.09353), whose norm is taken for a constant as there.
    """

    def __init__(
        self,
        a: Tensor,
        b: Tensor,
        scale: float,
        *,
        bias: Tensor | None = None,
        magnitude: Tensor | None = None,
        dropout: float = 0.0,
        trainable: bool = False,
    ) -> None:
        self.lora_A = Parameter(a, trainable)
        self.lora_B = Parameter(b, trainable)
        made = {"bias": bias, "magnitude": magnitude}
        for name, value in made.items():
            parameter = None if value is None else Parameter(value, trainable)
            self.register_parameter(name, parameter)
        self.scale, self.dropout = scale, dropout
        self._norms: dict[tuple[int, float], Tensor] = {}

    def add(self, x: Any, out: Tensor, base: Module, weight: float) -> Tensor:
        """The sum."""
        scale = self.scale * weight
        if is_table(base):
            h = embedding(x, self.lora_A) * scale
        else:
            if self.training and self.dropout:
                x = F.dropout(x, self.dropout, training=True)
            h = linear(x, self.lora_A) * scale
        if self.magnitude is None:
            if self.bias is not None:
                out = out + self.bias * scale
            return linear_act(h, self.lora_B, None, out)
        ratio: Tensor = self.magnitude / self._norm(base, scale)
        own = getattr(base, "bias", None)
        plain = out if own is None else out - own
        low = linear(h, self.lora_B, None if self.bias is None else self.bias * scale)
        return out + (ratio - 1) * plain + ratio * low

    def product(self, weight: float) -> Tensor:
        """`weight * scale * B A`, `(out, in)`."""
        a = self.lora_A.detach()
        return (self.lora_B.detach() @ a) * (self.scale * weight)

    def merged(self, base: Module, weight: float) -> Tensor:
        """The weight of a linear layer with this in it, `(out, in)` of f32."""
        whole: Tensor = plain_weight(base) + self.product(weight)
        if self.magnitude is None:
            return whole
        norm = whole.square().sum(1).sqrt()
        scaled: Tensor = whole * (self.magnitude.detach() / norm).unsqueeze(1)
        return scaled

    def _norm(self, base: Module, scale: float) -> Tensor:
        """Lengths of the rows of the sum; kept while nothing is trained."""
        key = (id(base.weight), scale)
        found = self._norms.get(key)
        if found is not None and not self.lora_A.requires_grad:
            return found
        with no_grad():
            whole = plain_weight(base) + self.lora_B.detach() @ self.lora_A.detach() * scale
            norm = whole.square().sum(1).sqrt()
        self._norms = {key: norm} if not is_grad_enabled() else {}
        return norm


class OtherBias(Part):
    """A bias in the place of the module's own."""

    def __init__(self, bias: Tensor, *, trainable: bool = False) -> None:
        self.bias = Parameter(bias, trainable)

    def add(self, x: Any, out: Tensor, base: Module, weight: float) -> Tensor:
        """What the module gives with the other bias."""
        own = getattr(base, "bias", None)
        return out + (self.bias if own is None else self.bias - own.detach())


class Whole(Part):
    """A module in the place of another, of the same kind and with weights of its own."""

    def __init__(self, module: Module, *, trainable: bool = False) -> None:
        self.module = _copied(module, trainable)

    def add(self, x: Any, out: Tensor, base: Module, weight: float) -> Tensor:
        """What the other gives."""
        found: Tensor = self.module(x)
        return found


def _copied(module: Module, trainable: bool) -> Module:
    """The module and those within it, with parameters of their own in f32."""
    made = type(module).__new__(type(module))
    members = {*module._parameters, *module._buffers, *module._modules, "forward", *TABLES}
    made.__dict__.update({k: v for k, v in vars(module).items() if k not in members})
    for name, value in module._parameters.items():
        own = None if value is None else Parameter(value.detach().to(f32).clone(), trainable)
        made.register_parameter(name, own)
    for name, buffer in module._buffers.items():
        made.register_buffer(name, buffer)
    for name, child in module._modules.items():
        made.add_module(name, None if child is None else _copied(child, trainable))
    return made
