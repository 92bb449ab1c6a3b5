"""The gated feed-forward network of Llama and its relatives (SwiGLU, arXiv 2002.05202)."""

from __future__ import annotations

from tallow.models.config import DecoderConfig
from tallow.nn import Linear, Module
from tallow.ops import silu_mul
from tallow.tensor import Tensor


class GatedMlp(Module):
    """`down(silu(gate(x)) * up(x))`."""

    def __init__(self, cfg: DecoderConfig) -> None:
        size, inner, bias = cfg.hidden_size, cfg.intermediate_size, cfg.mlp_bias
        self.gate_proj = Linear(size, inner, bias=bias)
        self.up_proj = Linear(size, inner, bias=bias)
        self.down_proj = Linear(inner, size, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., hidden_size)` → the same shape."""
        out: Tensor = self.down_proj(silu_mul(self.gate_proj(x), self.up_proj(x)))
        return out
