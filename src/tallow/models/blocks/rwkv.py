"""Parts of RWKV: a step back in the text, norms of heads, channel mixing, and the layer.

From "Eagle and Finch", arXiv 2404.05892, and "RWKV-7", arXiv 2503.14456.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.dtype import f32
from tallow.factories import tensor
from tallow.models.blocks.mamba import masked
from tallow.models.recurrent_model import RecurrentModel
from tallow.models.states import Recurrent
from tallow.nn import Linear, Module, param
from tallow.nn.init import ones, zeros
from tallow.ops import layer_norm, relu
from tallow.ops.state_space import causal_conv1d
from tallow.tensor import Tensor


class StepBack(Module):
    """What the position before has more than each position; a state keeps the last one."""

    def __init__(self, size: int, name: str) -> None:
        self.name = name
        # One row for all channels, as a hostile config may say any number of them.
        self.size, self.taps = size, tensor([[1.0, -1.0]], dtype=f32, device="cpu")

    def forward(self, x: Tensor, state: Recurrent | None = None) -> Tensor:
        """`(batch, n, size)` → the same shape; a state has `(1, size)` under the name."""
        held, counts = (None, None) if state is None else (state.held(self.name), state.counts)
        taps = self.taps.to(x.device).expand(self.size, 2)
        return causal_conv1d(x, taps, None, held, counts)


class HeadNorm(Module):
    """Heads at mean 0 and variance 1, then all channels scaled and shifted."""

    def __init__(self, size: int, eps: float) -> None:
        self.weight = param(size, init=ones, dtype=f32)
        self.bias = param(size, init=zeros, dtype=f32)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, n, heads, head size)` → `(batch, n, size)`."""
        return layer_norm(x, None, None, self.eps).flatten(2) * self.weight + self.bias


class ChannelMix(Module):
    """`value(relu(key(·))²)`, and where there is one, times `sigmoid(receptance(·))`.

    `names` are those of how much of the step back goes into the key, and into the receptance, of
    the given `shape`; `of_new` says that they are how much of the new position goes in.
    """

    def __init__(
        self,
        size: int,
        hidden: int,
        names: Sequence[str],
        *,
        shape: tuple[int, ...],
        of_new: bool = False,
    ) -> None:
        for name in names:
            setattr(self, name, param(*shape, init=zeros, dtype=f32, kinds="f"))
        self.key = Linear(size, hidden, bias=False)
        self.value = Linear(hidden, size, bias=False)
        self.receptance = Linear(size, size, bias=False) if len(names) > 1 else None
        self.back = StepBack(size, "feed")
        self._names, self._of_new = names, of_new

    def forward(self, x: Tensor, state: Recurrent | None = None) -> Tensor:
        """`(batch, n, size)` → the same shape."""
        back = self.back(x, state)
        shares = [getattr(self, name) for name in self._names]
        shares = [1.0 - share for share in shares] if self._of_new else shares
        out: Tensor = self.value(relu(self.key(x + back * shares[0])).square())
        if self.receptance is None:
            return out
        return self.receptance(x + back * shares[1]).sigmoid() * out


class RwkvLayer(Module):
    """Time mixing and channel mixing, each behind a norm and added to its input.

    `parts` are its modules by the names of checkpoints, in order: a norm before everything (None
    but in the first layer), the norm and the mixer of times, and those of channels. `halved` says
    that what comes out is divided by 2.
    """

    def __init__(self, size: int, parts: dict[str, Module | None], halved: bool = False) -> None:
        self.size, self._parts, self.halved = size, tuple(parts), halved
        for name, part in parts.items():
            setattr(self, name, part)

    def make_state(self) -> Recurrent:
        """The last position that goes into each part, and what the mixer of times carries."""
        size, mixer = self.size, getattr(self, self._parts[2])
        return Recurrent(shift=(1, size), feed=(1, size), **mixer.carried)

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        state: Recurrent | None = None,
        first: list[Tensor],
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; `first` takes the values of the first layer."""
        before, norm, mixer, norm_2, feed = (getattr(self, name) for name in self._parts)
        x = x if before is None else before(x)
        x = x + mixer(masked(norm(x), mask), state, first, mask)
        x = x + feed(masked(norm_2(x), mask), state)
        return x * 0.5 if self.halved else x


class RwkvModel(RecurrentModel):
    """The decoder without a head."""

    def handed(self) -> dict[str, Any]:
        """What the first layer leaves for the others."""
        return {"first": []}
