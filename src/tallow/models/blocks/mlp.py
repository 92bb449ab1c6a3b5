"""The gated feed-forward network of Llama and its relatives (SwiGLU, arXiv 2002.05202)."""

from __future__ import annotations

from collections.abc import Callable

from tallow.nn import Linear, Module
from tallow.ops import silu_mul
from tallow.tensor import Tensor


class GatedMlp(Module):
    """`down(act(gate(x)) * up(x))`; `act` is silu unless given."""

    def __init__(
        self,
        size: int,
        hidden: int,
        *,
        bias: bool = False,
        act: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.gate_proj = Linear(size, hidden, bias=bias)
        self.up_proj = Linear(size, hidden, bias=bias)
        self.down_proj = Linear(hidden, size, bias=bias)
        self._act = act

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        gate, up = self.gate_proj(x), self.up_proj(x)
        inner = silu_mul(gate, up) if self._act is None else self._act(gate) * up
        return self.down_proj(inner)
