"""Layers as functions that stand at PyTorch's root only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow import ops
from tallow.factories import tensor
from tallow.nn import functional as F
from tallow.tensor import Tensor
from tallow.torch._names import refused


def embedding_bag(
    weight: Tensor, indices: Tensor, offsets: Tensor, scale_grad_by_freq: bool = False,
    mode: int = 0, sparse: bool = False, per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """`nn.functional.embedding_bag` with the arguments of the root; the first of four results."""
    out = F.embedding_bag(
        indices, weight, offsets, None, 2, scale_grad_by_freq, ("sum", "mean", "max")[mode], sparse,
        per_sample_weights, include_last_offset, padding_idx,
    )  # fmt: skip
    nothing = tensor([], dtype="i64")
    return out, nothing, nothing, nothing


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.alpha_dropout`."""
    return F.alpha_dropout(input, p, train)


def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Drop whole channels."""
    return F.dropout1d(input, p, train) if input.ndim == 3 else F.dropout2d(input, p, train)


def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`dropout`, written over `input`."""
    return F.dropout(input, p, train, inplace=True)


def native_layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Any, bias: Any, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`layer_norm`, with the mean and the reciprocal of the deviation."""
    axes = tuple(range(-len(normalized_shape), 0))
    mean = input.mean(axes, keepdim=True)
    rstd = ops.rsqrt(input.var(axes, correction=0, keepdim=True) + eps)
    return F.layer_norm(input, normalized_shape, weight, bias, eps), mean, rstd


def convolution(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int,
) -> Tensor:  # fmt: skip
    """`nn.functional.conv1d` … `conv_transpose3d`, by the number of axes."""
    name = f"conv{'_transpose' * transposed}{weight.ndim - 2}d"
    more: dict[str, Any] = {"output_padding": output_padding} if transposed else {}
    found = getattr(F, name)
    out: Tensor = found(
        input, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups,
        **more,
    )  # fmt: skip
    return out


def _convolution(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int, *_: bool,
) -> Tensor:  # fmt: skip
    """`convolution`, with the flags of PyTorch's libraries, which change nothing."""
    return convolution(
        input, weight, bias, stride, padding, dilation, transposed, output_padding, groups
    )


def lstm_cell(
    input: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """One step of an LSTM."""
    h, c = hx
    i, f, g, o = (F.linear(input, w_ih, b_ih) + F.linear(h, w_hh, b_hh)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
) -> Tensor:
    """One step of a GRU."""
    r, z, n = F.linear(input, w_ih, b_ih).chunk(3, -1)
    hr, hz, hn = F.linear(hx, w_hh, b_hh).chunk(3, -1)
    gate = (z + hz).sigmoid()
    return (1 - gate) * (n + (r + hr).sigmoid() * hn).tanh() + gate * hx


def rnn_tanh_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
) -> Tensor:
    """One step of an RNN with tanh."""
    return (F.linear(input, w_ih, b_ih) + F.linear(hx, w_hh, b_hh)).tanh()


def rnn_relu_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
) -> Tensor:
    """One step of an RNN with relu."""
    return (F.linear(input, w_ih, b_ih) + F.linear(hx, w_hh, b_hh)).relu()


_WHOLE = "it is not supported (use the layer of torch.nn)"
lstm, gru = (refused("tallow.torch", name, _WHOLE) for name in ("lstm", "gru"))
rnn_tanh, rnn_relu = (refused("tallow.torch", name, _WHOLE) for name in ("rnn_tanh", "rnn_relu"))
