"""What wav2vec 2.0 and its descendants are made of: from samples to frames, and layers over frames.

Source: arXiv 2006.11477; names of Hugging Face's checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallow.models.blocks.activation import ACTIVATIONS, linear_then
from tallow.models.blocks.heads import as_mask
from tallow.models.blocks.weight_norm import WeightNorm
from tallow.nn import BatchNorm1d, Conv1d, GroupNorm, LayerNorm, Linear, Module, ModuleList
from tallow.nn import functional as F
from tallow.ops import conv1d
from tallow.tensor import Tensor


class FrameConv(Module):
    """A convolution over time, perhaps a norm, an activation.

    `norm` is `group` (over time, a channel at a time), `layer` (over channels) or none.
    """

    def __init__(
        self, size: int, out: int, kernel: int, stride: int, *, bias: bool, norm: str, act: str
    ) -> None:
        self.conv = Conv1d(size, out, kernel, stride, bias=bias)
        self.layer_norm: Module | None = None
        if norm:
            self.layer_norm = GroupNorm(out, out) if norm == "group" else LayerNorm(out)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)` → `(batch, out, (length - kernel) // stride + 1)`."""
        x = self.conv(x)
        if isinstance(self.layer_norm, LayerNorm):
            x = self.layer_norm(x.transpose(1, 2)).transpose(1, 2)
        elif self.layer_norm is not None:
            x = self.layer_norm(x)
        return self.act(x)


class FrameEncoder(Module):
    """Convolutions from samples to frames; `norm` is of the first alone (`group`) or of each."""

    def __init__(
        self,
        sizes: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
        *,
        bias: bool,
        norm: str,
        act: str,
    ) -> None:
        given = (1, *sizes[:-1])
        self.conv_layers = ModuleList(
            FrameConv(
                size, out, kernel, stride, bias=bias, act=act,
                norm=norm if index == 0 or norm == "layer" else "",
            )
            for index, (size, out, kernel, stride) in enumerate(
                zip(given, sizes, kernels, strides, strict=True)
            )
        )  # fmt: skip

    def forward(self, samples: Tensor) -> Tensor:
        """`(batch, samples)` → `(batch, frames, size)`."""
        x = samples.unsqueeze(1)
        for layer in self.conv_layers:
            x = layer(x)
        return x.transpose(1, 2)


class FrameProjection(Module):
    """A norm of the frames, where there is one, and their projection to the layers' width."""

    def __init__(self, size: int, out: int, eps: float, *, norm: bool = True) -> None:
        self.layer_norm = LayerNorm(size, eps) if norm else None
        self.projection = Linear(size, out)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """`(batch, n, size)` → what goes into the layers `(batch, n, out)`, the normed frames."""
        normed = frames if self.layer_norm is None else self.layer_norm(frames)
        return self.projection(normed), normed


class NormedConv(WeightNorm):
    """A grouped convolution that keeps the length; each place of its kernel is normed."""

    def __init__(self, size: int, kernel: int, groups: int) -> None:
        super().__init__(size, size // groups, kernel, axis=2, bias=size)
        self.padding, self.groups = kernel // 2, groups

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)`, kept or longer by 1 where the kernel is even."""
        return conv1d(x, self.weight, self.bias, padding=self.padding, groups=self.groups)


class ConvPositions(Module):
    """Relative positions by a convolution of what stands around each frame.

    With `batch_norm` that comes first, and the weight is not normed.
    """

    batch_norm: BatchNorm1d | None

    def __init__(
        self, size: int, kernel: int, groups: int, act: str, *, batch_norm: bool = False
    ) -> None:
        self.batch_norm = BatchNorm1d(size) if batch_norm else None
        plain = Conv1d(size, size, kernel, padding=kernel // 2, groups=groups)
        self.conv = plain if batch_norm else NormedConv(size, kernel, groups)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, n, size)`, kept."""
        n, x = x.shape[1], x.transpose(1, 2)
        if self.batch_norm is not None:
            x = self.batch_norm(x)
        return self.act(self.conv(x)[:, :, :n]).transpose(1, 2)


class FeedForward(Module):
    """Two linear layers and an activation between them."""

    def __init__(self, size: int, hidden: int, act: str) -> None:
        self.intermediate_dense = Linear(size, hidden)
        self.output_dense = Linear(hidden, size)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, n, size)`, kept."""
        return self.output_dense(linear_then(self.intermediate_dense, x, self.act))


class SpeechLayer(Module):
    """`attention` and feed-forward, each normalised behind its sum."""

    def __init__(self, attention: Module, size: int, hidden: int, act: str, eps: float) -> None:
        self.attention = attention
        self.layer_norm = LayerNorm(size, eps)
        self.feed_forward = FeedForward(size, hidden, act)
        self.final_layer_norm = LayerNorm(size, eps)

    def attend(self, x: Tensor, mask: Tensor | None, bias: Tensor | None) -> Tensor:
        """The attention of `x`, with a bias of distances where it has one."""
        if bias is None:
            return self.attention(x, mask=mask)
        return self.attention(x, mask=mask, bias=bias)

    def forward(self, x: Tensor, mask: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """`(batch, n, size)`, kept."""
        x = self.layer_norm(x + self.attend(x, mask, bias))
        return self.final_layer_norm(x + self.feed_forward(x))


class AttentionAdapter(Module):
    """A narrow network behind a layer, one for each language (arXiv 2305.13516)."""

    def __init__(self, size: int, inner: int) -> None:
        self.norm = LayerNorm(size)
        self.linear_1 = Linear(size, inner)
        self.linear_2 = Linear(inner, size)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, n, size)`, kept."""
        return self.linear_2(linear_then(self.linear_1, self.norm(x), F.relu))


class StableLayer(SpeechLayer):
    """The same, normalised before its parts; `adapter` is the width of an adapter, 0 for none."""

    def __init__(
        self, attention: Module, size: int, hidden: int, act: str, eps: float, adapter: int = 0
    ) -> None:
        super().__init__(attention, size, hidden, act, eps)
        self.adapter_layer = AttentionAdapter(size, adapter) if adapter else None

    def forward(self, x: Tensor, mask: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """`(batch, n, size)`, kept."""
        x = x + self.attend(self.layer_norm(x), mask, bias)
        x = x + self.feed_forward(self.final_layer_norm(x))
        return x if self.adapter_layer is None else x + self.adapter_layer(x)


class SpeechEncoder(Module):
    """Positions, layers, and a norm before them (or behind them, if `stable`)."""

    def __init__(
        self, positions: Module, layers: Sequence[Module], size: int, eps: float, *, stable: bool
    ) -> None:
        self.pos_conv_embed = positions
        self.layer_norm = LayerNorm(size, eps)
        self.layers = ModuleList(layers)
        self.stable = stable

    def bias(self, x: Tensor) -> Tensor | None:
        """What all layers add to their scores by distance; none."""
        return None

    def forward(self, x: Tensor, kept: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """`(batch, n, size)` → the same, and what goes into each layer and out of the last.

        Frames that `kept` `(batch, n)` has as false are zeros to the positions, and unseen.
        """
        mask = None
        if kept is not None:
            x = x.masked_fill(kept.logical_not().unsqueeze(-1), 0.0)
            mask = as_mask(kept)
        x = x + self.pos_conv_embed(x)
        states = [x if self.stable else self.layer_norm(x)]
        bias = self.bias(x)
        for layer in self.layers:
            states.append(layer(states[-1], mask, bias))
        last = self.layer_norm(states[-1]) if self.stable else states[-1]
        return last, states


class AdapterConv(Module):
    """A gated convolution over frames."""

    def __init__(self, size: int, kernel: int, stride: int) -> None:
        self.conv = Conv1d(size, 2 * size, kernel, stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, n)` → fewer frames."""
        return F.glu(self.conv(x), 1)


class FrameAdapter(Module):
    """Fewer frames, of another width where it differs."""

    def __init__(self, size: int, out: int, kernel: int, stride: int, count: int) -> None:
        self.proj = Linear(size, out) if out != size else None
        self.proj_layer_norm = LayerNorm(out) if out != size else None
        self.layers = ModuleList(AdapterConv(out, kernel, stride) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, n, size)` → `(batch, m, out)`."""
        if self.proj is not None and self.proj_layer_norm is not None:
            x = self.proj_layer_norm(self.proj(x))
        x = x.transpose(1, 2)
        for layer in self.layers:
            x = layer(x)
        return x.transpose(1, 2)
