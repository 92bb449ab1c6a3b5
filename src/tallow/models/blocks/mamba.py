"""Mixers of Mamba 1 and 2: a convolution, a state space that inputs choose, a gate.

From "Mamba", arXiv 2312.00752, and "Transformers are SSMs", arXiv 2405.21060.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tallow.dtype import f32
from tallow.factories import arange
from tallow.models.states import Recurrent
from tallow.nn import Linear, Module, param
from tallow.nn.init import ones, uniform
from tallow.ops import rms_norm, silu_mul, softplus
from tallow.ops.state_space import causal_conv1d, linear_attention, selective_scan
from tallow.tensor import Tensor


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """`(batch, n, size)` with zeros where `mask` `(batch, n)` is 0."""
    return x if mask is None else x * mask.ne(0).to(x.dtype).unsqueeze(-1)


class CausalConv(Module):
    """A depthwise convolution over the last `taps` positions, kept in a state between passes."""

    def __init__(self, channels: int, taps: int, *, bias: bool, silu: bool = True) -> None:
        bound = uniform(taps**-0.5)
        self.weight = param(channels, 1, taps, init=bound, dtype=f32, kinds="f")
        self.bias = param(channels, init=bound, dtype=f32) if bias else None
        self.silu = silu

    @property
    def sizes(self) -> tuple[int, int]:
        """What a state keeps of each row."""
        channels, _, taps = self.weight.shape
        return taps - 1, channels

    def forward(self, x: Tensor, state: Recurrent | None = None) -> Tensor:
        """`(batch, n, channels)` → the same shape; a state has `conv` of `sizes`."""
        held, counts = (None, None) if state is None else (state.held("conv"), state.counts)
        return causal_conv1d(x, self.weight.squeeze(1), self.bias, held, counts, self.silu)


def _one_to_size(x: Tensor) -> None:
    """Logarithms of 1, 2, … along the last axis: decays of S4D (arXiv 2206.11893)."""
    x.copy_(arange(1, x.shape[-1] + 1, dtype=f32).log().expand(x.shape))


class ScanMixer(Module):
    """The mixer of Mamba 1: a state of `state_size` for each of `inner` channels.

    `norms` make those of the time step, B and C, for families that have them, by their sizes.
    """

    def __init__(
        self,
        size: int,
        inner: int,
        *,
        state_size: int,
        rank: int,
        taps: int,
        bias: bool = False,
        conv_bias: bool = True,
        norms: Sequence[Module] = (),
    ) -> None:
        self.inner, self.state_size, self.rank = inner, state_size, rank
        self.in_proj = Linear(size, 2 * inner, bias=bias)
        self.conv1d = CausalConv(inner, taps, bias=conv_bias)
        self.x_proj = Linear(inner, rank + 2 * state_size, bias=False)
        self.dt_proj = Linear(rank, inner)
        self.A_log = param(inner, state_size, init=_one_to_size, dtype=f32, kinds="f")
        self.D = param(inner, init=ones, dtype=f32)
        self.out_proj = Linear(inner, size, bias=bias)
        if norms:
            self.dt_layernorm, self.b_layernorm, self.c_layernorm = norms
        self.has_norms = bool(norms)

    def make_state(self) -> Recurrent:
        """What the mixer carries along."""
        return Recurrent(conv=self.conv1d.sizes, scan=(self.inner, self.state_size))

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        state: Recurrent | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; `mask` `(batch, n)` is 0 where there is padding."""
        inner, gate = self.in_proj(masked(x, mask)).chunk(2, -1)
        inner = masked(self.conv1d(inner, state), mask)
        dt, b, c = self.x_proj(inner).split([self.rank, self.state_size, self.state_size], -1)
        if self.has_norms:
            dt, b, c = self.dt_layernorm(dt), self.b_layernorm(b), self.c_layernorm(c)
        dt = softplus(self.dt_proj(dt))
        held, counts = (None, None) if state is None else (state.held("scan"), state.counts)
        y = selective_scan(inner, dt, -self.A_log.exp(), b, c, self.D, held, counts)
        return self.out_proj(silu_mul(gate, y))


class GatedNorm(Module):
    """RMS norm of `x * silu(gate)` in groups of `group` channels each, times a weight."""

    def __init__(self, size: int, group: int, eps: float) -> None:
        self.weight = param(size, init=ones)
        self.group, self.eps = group, eps

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """`(..., size)` of both → the same shape."""
        x = silu_mul(gate, x)
        if self.group == x.shape[-1]:
            return rms_norm(x, self.weight, self.eps)
        groups = x.reshape(*x.shape[:-1], x.shape[-1] // self.group, self.group)
        return rms_norm(groups, None, self.eps).reshape(x.shape) * self.weight.to(x.dtype)


class HeadMixer(Module):
    """The mixer of Mamba 2: a matrix of state for each head; `groups` of heads share B and C."""

    def __init__(
        self,
        size: int,
        heads: int,
        head_dim: int,
        *,
        state_size: int,
        groups: int,
        taps: int,
        norm: Module,
        bias: bool = False,
        conv_bias: bool = True,
        limits: tuple[float, float] = (0.0, math.inf),
    ) -> None:
        self.heads, self.head_dim, self.state_size = heads, head_dim, state_size
        self.groups, self.limits = groups, limits
        inner = heads * head_dim
        self.widths = [inner, inner + 2 * groups * state_size, heads]
        self.in_proj = Linear(size, sum(self.widths), bias=bias)
        self.conv1d = CausalConv(self.widths[1], taps, bias=conv_bias)
        self.dt_bias = param(heads, init=ones, dtype=f32)
        self.A_log = param(heads, init=_one_to_size, dtype=f32)
        self.D = param(heads, init=ones, dtype=f32)
        self.norm = norm
        self.out_proj = Linear(inner, size, bias=bias)

    def make_state(self) -> Recurrent:
        """What the mixer carries along."""
        return Recurrent(conv=self.conv1d.sizes, scan=(self.heads, self.state_size, self.head_dim))

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        state: Recurrent | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; `mask` `(batch, n)` is 0 where there is padding."""
        batch, n, _ = x.shape
        gate, inner, dt = self.in_proj(masked(x, mask)).split(self.widths, -1)
        inner = masked(self.conv1d(inner, state), mask)
        shared = self.groups * self.state_size
        parts = inner.split([self.widths[0], shared, shared], -1)
        values = parts[0].unflatten(-1, (self.heads, self.head_dim))
        b, c = (part.unflatten(-1, (self.groups, self.state_size)) for part in parts[1:])
        dt = softplus(dt + self.dt_bias)
        if self.limits != (0.0, math.inf):
            dt = dt.clamp(*self.limits)
        decay = (dt * -self.A_log.exp()).exp()
        held, counts = (None, None) if state is None else (state.held("scan"), state.counts)
        y = (
            linear_attention(c, b, values * dt.unsqueeze(-1), decay, state=held, counts=counts)
            + self.D.unsqueeze(-1) * values
        )
        return self.out_proj(self.norm(y.reshape(batch, n, self.widths[0]), gate))


class MixerLayer(Module):
    """A norm and a mixer, added to the input."""

    def __init__(self, norm: Module, mixer: ScanMixer | HeadMixer) -> None:
        self.norm = norm
        self.mixer = mixer

    def make_state(self) -> Recurrent:
        """What the mixer carries along."""
        return self.mixer.make_state()

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        state: Recurrent | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; positions say nothing here."""
        return x + self.mixer(self.norm(x), mask=mask, state=state)
