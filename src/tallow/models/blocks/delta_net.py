"""Linear attention by the gated delta rule, and gated attention (Qwen3-Next, Qwen3.5)."""

from __future__ import annotations

from tallow.dtype import f32
from tallow.lazy_dataclasses import dataclass
from tallow.models.blocks.heads import as_mask
from tallow.models.blocks.mamba import CausalConv, masked
from tallow.models.blocks.norms import OffsetNorm
from tallow.models.states import KeyValue, Recurrent
from tallow.nn import Linear, Module, param
from tallow.nn.init import ones, zeros
from tallow.ops import attention, rms_norm, rope, silu_mul, softplus
from tallow.ops.state_space import linear_attention
from tallow.tensor import Tensor


@dataclass(frozen=True)
class DeltaSizes:
    """Heads of keys and of values of a delta net, their sizes, and taps of its convolution."""

    key_heads: int = 16
    value_heads: int = 32
    key_size: int = 128
    value_size: int = 128
    taps: int = 4


class NormThenGate(Module):
    """RMS norm times `silu(gate)`."""

    def __init__(self, size: int, eps: float) -> None:
        self.weight = param(size, init=ones)
        self.eps = eps

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """`(..., size)` of both → the same shape."""
        return silu_mul(gate, rms_norm(x, self.weight, self.eps))


class GatedDeltaNet(Module):
    """Linear attention by the gated delta rule (arXiv 2412.06464); families make the projections.

    Heads of values of one head of keys stand next to each other, or as far apart as there are heads
    of keys where they are `tiled` (GGUF files of Qwen3.5).
    """

    def __init__(self, size: int, sizes: DeltaSizes, eps: float, *, tiled: bool = False) -> None:
        self.sizes, self.tiled = sizes, tiled
        keys = sizes.key_heads * sizes.key_size
        values = sizes.value_heads * sizes.value_size
        self.conv1d = CausalConv(2 * keys + values, sizes.taps, bias=False)
        self.make_projections(size, keys, values)
        self.dt_bias = param(sizes.value_heads, init=ones, dtype=f32)
        self.A_log = param(sizes.value_heads, init=zeros, dtype=f32)
        self.norm = NormThenGate(sizes.value_size, eps)
        self.out_proj = Linear(values, size, bias=False)

    def make_projections(self, size: int, keys: int, values: int) -> None:
        """Make what `project` projects by; `keys` and `values` are those of all heads together."""
        raise NotImplementedError

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries, keys and values `(batch, n, ·)`, gates of all values, and two of each head.

        The latter are `(batch, n, value heads)`: how much of a value is written, and how fast what
        was written decays.
        """
        raise NotImplementedError

    def make_state(self) -> Recurrent:
        """What the mixer carries along."""
        of = self.sizes
        scan = (of.value_heads, of.key_size, of.value_size)
        return Recurrent(conv=self.conv1d.sizes, scan=scan)

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        state: Recurrent | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; `mask` `(batch, n)` is 0 where there is padding."""
        of, (batch, n, _) = self.sizes, x.shape
        x = masked(x, mask)
        each = of.value_heads // of.key_heads
        joined, gate, b, a = self.project(x)
        inner = self.conv1d(joined, state)
        keys = of.key_heads * of.key_size
        q, k, v = inner.split([keys, keys, of.value_heads * of.value_size], -1)
        units = (_unit(part.unflatten(-1, (of.key_heads, of.key_size))) for part in (q, k))
        # A query and a key serve `each` heads of values.
        if self.tiled:
            q, k = (part.repeat(1, 1, each, 1) for part in units)
        else:
            q, k = (part.repeat_interleave(each, 2) for part in units)
        v = v.unflatten(-1, (of.value_heads, of.value_size))
        decay = (softplus(a + self.dt_bias) * -self.A_log.exp()).exp()
        beta = b.sigmoid().unsqueeze(-1)
        held, counts = (None, None) if state is None else (state.held("scan"), state.counts)
        y = linear_attention(
            q * of.key_size**-0.5, k, v * beta, decay, k * decay.unsqueeze(-1), -(k * beta),
            state=held, counts=counts,
        )  # fmt: skip
        y = self.norm(y, gate.reshape(batch, n, of.value_heads, of.value_size))
        return self.out_proj(y.flatten(2))


def _unit(x: Tensor) -> Tensor:
    return x * (x.square().sum(-1, keepdim=True) + 1e-6).rsqrt()


class GatedAttention(Module):
    """Attention whose result is multiplied by sigmoids that the queries' matrix makes, too."""

    turns = True

    def __init__(
        self, size: int, heads: int, kv_heads: int, head_dim: int, *, eps: float, bias: bool = False
    ) -> None:
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.q_proj = Linear(size, 2 * heads * head_dim, bias=bias)
        self.k_proj = Linear(size, kv_heads * head_dim, bias=bias)
        self.v_proj = Linear(size, kv_heads * head_dim, bias=bias)
        self.o_proj = Linear(heads * head_dim, size, bias=bias)
        self.q_norm = OffsetNorm(head_dim, eps)
        self.k_norm = OffsetNorm(head_dim, eps)

    def make_state(self) -> KeyValue:
        """Keys and values of all positions."""
        return KeyValue(self.kv_heads, self.head_dim)

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor,
        mask: Tensor | None = None,
        state: KeyValue | None = None,
    ) -> Tensor:
        """`(batch, n, size)` → the same shape; `positions` are the table of `Rope`."""
        (b, n, _), d = x.shape, self.head_dim
        q, gate = self.q_proj(x).view(b, n, self.heads, 2 * d).chunk(2, -1)
        k, v = (each(x).view(b, n, self.kv_heads, d) for each in (self.k_proj, self.v_proj))
        q = rope(self.q_norm(q), positions).transpose(1, 2)
        k, v = rope(self.k_norm(k), positions).transpose(1, 2), v.transpose(1, 2)
        start: Tensor | None = None
        if state is not None:
            k, v, start = state.update(k, v)
        mask = None if mask is None else as_mask(mask)
        out = attention(q, k, v, start=start, mask=mask, causal=True).transpose(1, 2)
        return self.o_proj((out * gate.sigmoid()).reshape(b, n, self.heads * d))
