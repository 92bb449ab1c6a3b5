"""Feed-forward networks of decoders: gated (SwiGLU, arXiv 2002.05202) and plain."""

from __future__ import annotations

from collections.abc import Callable

from tallow.models.blocks.activation import linear_then
from tallow.nn import Linear, Module
from tallow.ops import silu_mul
from tallow.tensor import Tensor


class GatedMlp(Module):
    """`down(act(gate(x)) * up(x))`; `act` is silu unless given.

    With a `joined` name one matrix of that name holds gate and up, one behind the other.
    """

    def __init__(
        self,
        size: int,
        hidden: int,
        *,
        bias: bool = False,
        act: Callable[[Tensor], Tensor] | None = None,
        joined: str | None = None,
    ) -> None:
        if joined is None:
            self.gate_proj = Linear(size, hidden, bias=bias)
            self.up_proj = Linear(size, hidden, bias=bias)
        else:
            setattr(self, joined, Linear(size, 2 * hidden, bias=bias))
        self.down_proj = Linear(hidden, size, bias=bias)
        self._act, self._joined, self._hidden = act, joined, hidden

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        if self._joined is None:
            gate, up = self.gate_proj(x), self.up_proj(x)
        else:
            both, hidden = getattr(self, self._joined)(x), self._hidden
            gate, up = both[..., :hidden], both[..., hidden:]
        inner = silu_mul(gate, up) if self._act is None else self._act(gate) * up
        return self.down_proj(inner)


class Mlp(Module):
    """`down(act(up(x)))`, with layers of the given `names`."""

    def __init__(
        self,
        size: int,
        hidden: int,
        act: Callable[[Tensor], Tensor],
        *,
        bias: bool = True,
        names: tuple[str, str] = ("up_proj", "down_proj"),
    ) -> None:
        setattr(self, names[0], Linear(size, hidden, bias=bias))
        setattr(self, names[1], Linear(hidden, size, bias=bias))
        self._act, self._names = act, names

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        up, down = (getattr(self, name) for name in self._names)
        return down(linear_then(up, x, self._act))
