"""What audio codecs are made of: padded convolutions over samples, residual parts, codebooks.

Source: SEANet and residual vector quantisation of EnCodec (arXiv 2210.13438) and SoundStream
(arXiv 2107.03312); names of Hugging Face's checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from tallow.lazy_dataclasses import dataclass
from tallow.models.blocks.weight_norm import WeightNorm
from tallow.nn import LSTM, Conv1d, ConvTranspose1d, GroupNorm, Module, ModuleList, param
from tallow.nn import functional as F
from tallow.nn.init import normal
from tallow.ops import conv1d, conv_transpose1d, matmul
from tallow.tensor import Tensor

Norm = Literal["", "weight_norm", "time_group_norm"]


@dataclass(frozen=True)
class ConvStyle:
    """What all convolutions of a codec share.

    `causal` ones are padded before the sound alone; `mode` is what with. `trim` is the share of a
    transposed convolution's surplus that is cut behind, if it is causal.
    """

    norm: Norm = ""
    causal: bool = True
    mode: str = "constant"
    trim: float = 1.0


class NormedConv1d(WeightNorm):
    """A convolution of normed weight, by the outputs."""

    def __init__(
        self,
        size: int,
        out: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        *,
        padding: int = 0,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(out, size // groups, kernel, bias=out if bias else None)
        self.stride, self.dilation = stride, dilation
        self.padding, self.groups = padding, groups

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)` → `(batch, out, …)`."""
        where = self.stride, self.padding, self.dilation, self.groups
        return conv1d(x, self.weight, self.bias, *where)


class NormedConvTranspose1d(WeightNorm):
    """A transposed convolution of normed weight, by the inputs."""

    def __init__(
        self,
        size: int,
        out: int,
        kernel: int,
        stride: int,
        *,
        padding: int = 0,
        output_padding: int = 0,
    ) -> None:
        super().__init__(size, out, kernel, bias=out)
        self.stride, self.padding, self.behind = stride, padding, output_padding

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)` → `(batch, out, (length - 1) * stride + kernel)`, cut by padding.

        That is twice `padding`, less `output_padding`.
        """
        return conv_transpose1d(x, self.weight, self.bias, self.stride, self.padding, self.behind)


def pad_sound(x: Tensor, before: int, behind: int, mode: str) -> Tensor:
    """`x` with samples before and behind; a reflection of one that is too short has zeros first."""
    if mode != "reflect":
        return F.pad(x, [before, behind], mode=mode)
    extra = max(0, max(before, behind) - x.shape[-1] + 1)
    if extra:
        x = F.pad(x, [0, extra])
    x = F.pad(x, [before, behind], mode=mode)
    return x[..., : x.shape[-1] - extra] if extra else x


class CodecConv(Module):
    """A convolution that makes `ceil(length / stride)` of a length, with a norm or none."""

    norm: GroupNorm | None

    def __init__(
        self,
        style: ConvStyle,
        size: int,
        out: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        *,
        groups: int = 1,
        bias: bool = True,
        mode: str | None = None,
    ) -> None:
        if style.norm == "weight_norm":
            self.conv: Module = NormedConv1d(size, out, kernel, stride, dilation)
        else:
            self.conv = Conv1d(
                size, out, kernel, stride, dilation=dilation, groups=groups, bias=bias
            )
        self.norm = GroupNorm(1, out) if style.norm == "time_group_norm" else None
        self.kernel, self.stride = (kernel - 1) * dilation + 1, stride
        self.causal, self.mode = style.causal, style.mode if mode is None else mode

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)` → `(batch, out, …)`."""
        length, total = x.shape[-1], self.kernel - self.stride
        frames = -(-(length - self.kernel + total) // self.stride)
        extra = frames * self.stride + self.kernel - total - length
        behind = 0 if self.causal else total // 2
        x = self.conv(pad_sound(x, total - behind, behind + extra, self.mode))
        return x if self.norm is None else self.norm(x)


class CodecConvTranspose(Module):
    """A transposed convolution that makes `stride` samples of each."""

    norm: GroupNorm | None

    def __init__(
        self,
        style: ConvStyle,
        size: int,
        out: int,
        kernel: int,
        stride: int,
        *,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        if style.norm == "weight_norm":
            self.conv: Module = NormedConvTranspose1d(size, out, kernel, stride)
        else:
            self.conv = ConvTranspose1d(size, out, kernel, stride, groups=groups, bias=bias)
        self.norm = GroupNorm(1, out) if style.norm == "time_group_norm" else None
        total = kernel - stride
        self.behind = math.ceil(total * style.trim) if style.causal else total // 2
        self.before = total - self.behind

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)` → `(batch, out, length * stride)`."""
        x = self.conv(x)
        x = x if self.norm is None else self.norm(x)
        return x[..., self.before : x.shape[-1] - self.behind]


class Elu(Module):
    """An activation that stands in a list of layers."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise."""
        return F.elu(x)


class SoundLSTM(Module):
    """A recurrent part over the length, beside what it is given."""

    def __init__(self, size: int, count: int) -> None:
        self.lstm = LSTM(size, size, count)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)`, kept."""
        x = x.permute(2, 0, 1)
        return (self.lstm(x)[0] + x).permute(1, 2, 0)


class ResidualPart(Module):
    """Two convolutions, narrow between them, beside what they are given."""

    shortcut: Module | None

    def __init__(
        self,
        style: ConvStyle,
        size: int,
        kernel: int,
        dilation: int,
        narrow: int,
        *,
        shortcut: bool,
    ) -> None:
        hidden = size // narrow
        first = CodecConv(style, size, hidden, kernel, dilation=dilation)
        self.block = ModuleList([Elu(), first, Elu(), CodecConv(style, hidden, size, 1)])
        self.shortcut = CodecConv(style, size, size, 1) if shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)`, kept."""
        out = x
        for layer in self.block:
            out = layer(out)
        return out + (x if self.shortcut is None else self.shortcut(x))


class SoundLayers(Module):
    """Layers, one behind the other."""

    def __init__(self, layers: Sequence[Module]) -> None:
        self.layers = ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)` → `(batch, …, …)`."""
        for layer in self.layers:
            x = layer(x)
        return x


@dataclass(frozen=True)
class SoundPlan:
    """The sizes of SEANet, from samples to `size` numbers and back; `ratios` are of the way up."""

    channels: int
    filters: int
    size: int
    ratios: Sequence[int]
    kernel: int
    last_kernel: int
    residual_kernel: int
    residual_layers: int
    growth: int
    narrow: int
    lstm_layers: int
    shortcut: bool

    def _residual(self, style: ConvStyle, width: int) -> list[Module]:
        return [
            ResidualPart(
                style, width, self.residual_kernel, self.growth**index, self.narrow,
                shortcut=self.shortcut,
            )
            for index in range(self.residual_layers)
        ]  # fmt: skip

    def _recurrent(self, width: int) -> list[Module]:
        return [SoundLSTM(width, self.lstm_layers)] if self.lstm_layers else []

    def encoder(self, style: ConvStyle) -> SoundLayers:
        """From samples down."""
        width = self.filters
        made: list[Module] = [CodecConv(style, self.channels, width, self.kernel)]
        for ratio in reversed(self.ratios):
            made += self._residual(style, width)
            made += [Elu(), CodecConv(style, width, width * 2, ratio * 2, ratio)]
            width *= 2
        made += self._recurrent(width)
        return SoundLayers([*made, Elu(), CodecConv(style, width, self.size, self.last_kernel)])

    def decoder(self, style: ConvStyle) -> SoundLayers:
        """Up to samples."""
        width = self.filters << len(self.ratios)
        made: list[Module] = [CodecConv(style, self.size, width, self.kernel)]
        made += self._recurrent(width)
        for ratio in self.ratios:
            made += [Elu(), CodecConvTranspose(style, width, width // 2, ratio * 2, ratio)]
            width //= 2
            made += self._residual(style, width)
        return SoundLayers([*made, Elu(), CodecConv(style, width, self.channels, self.last_kernel)])


class Codebook(Module):
    """Vectors by number."""

    computes_in_f32 = True

    def __init__(self, count: int, size: int) -> None:
        self.embed = param(count, size, init=normal(1.0))

    def vectors(self) -> Tensor:
        """`(count, size)`."""
        return self.embed

    def nearest(self, x: Tensor) -> Tensor:
        """The numbers of what is nearest to each vector, `(…, size)` → `(…)`."""
        table = self.vectors()
        return (2 * matmul(x, table.T) - table.square().sum(1)).argmax(-1)

    def forward(self, codes: Tensor) -> Tensor:
        """Numbers `(…)` → `(…, size)`."""
        return F.embedding(codes, self.vectors())


class Quantizer(Module):
    """One codebook of several."""

    def __init__(self, codebook: Codebook) -> None:
        self.codebook = codebook


def quantize(quantizers: Sequence[Quantizer], x: Tensor) -> list[Tensor]:
    """Of each codebook the numbers of what those before left, `(batch, n, size)` → `(batch, n)`."""
    found = []
    for each in quantizers:
        codes = each.codebook.nearest(x)
        x = x - each.codebook(codes)
        found.append(codes)
    return found


def reconstruct(quantizers: Sequence[Quantizer], codes: Tensor) -> Tensor:
    """The sum of what numbers `(batch, books, n)` stand for, `(batch, n, size)`."""
    parts = [each.codebook(codes[:, i]) for i, each in enumerate(quantizers[: codes.shape[1]])]
    first, *rest = parts
    return sum(rest, first)
