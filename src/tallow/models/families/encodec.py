"""EnCodec: sound as numbers of codebooks, and back (arXiv 2210.13438)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tallow.dtype import f32
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.models.base import Model
from tallow.models.blocks.codec import (
    Codebook,
    ConvStyle,
    Quantizer,
    SoundPlan,
    quantize,
    reconstruct,
)
from tallow.models.blocks.weight_norm import OLDER
from tallow.models.configs import Config, choice, custom, layers, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import Output
from tallow.nn import Module, ModuleList
from tallow.nn import functional as F
from tallow.ops import stack
from tallow.tensor import Tensor


def _rates(fields: Fields, name: str, default: Any) -> tuple[float, ...]:
    value = fields.get(name)
    value = default if value is None else value
    good = isinstance(value, list | tuple) and 0 < len(value) <= 64
    if not good or not all(isinstance(n, int | float) and 0 < n < 1e6 for n in value):
        raise fields.error(name, "a list of rates in kbit/s", value)
    return tuple(float(n) for n in value)


class EncodecConfig(Config):
    """Of Hugging Face's `EncodecConfig`."""

    target_bandwidths: tuple[float, ...] = custom((1.5, 3.0, 6.0, 12.0, 24.0), _rates)
    sampling_rate: int = size(24000)
    audio_channels: int = size(1, high=2)
    normalize: bool = False
    chunk_length_s: float | None = None
    overlap: float | None = None
    hidden_size: int = size(128)
    num_filters: int = size(32)
    num_residual_layers: int = layers(1)
    upsampling_ratios: tuple[int, ...] = sizes(8, 5, 4, 2)
    norm_type: str = choice("weight_norm", "time_group_norm")
    kernel_size: int = size(7)
    last_kernel_size: int = size(7)
    residual_kernel_size: int = size(3)
    dilation_growth_rate: int = size(2)
    use_causal_conv: bool = True
    pad_mode: str = choice("reflect", "constant", "replicate", "circular")
    compress: int = size(2)
    num_lstm_layers: int = layers(2)
    trim_right_ratio: float = 1.0
    codebook_size: int = size(1024)
    codebook_dim: int | None = None
    use_conv_shortcut: bool = True

    def check(self, fields: Fields) -> None:
        """Codes are of whole bits, codebooks of the encoder's width, and pieces have a length."""
        if self.codebook_size & (self.codebook_size - 1):
            raise fields.error("codebook_size", "a power of 2", self.codebook_size)
        if self.codebook_dim not in (None, self.hidden_size):
            wanted = f"hidden_size {self.hidden_size}, or null"
            raise fields.error("codebook_dim", wanted, self.codebook_dim)
        if len(self.upsampling_ratios) > 12:
            raise fields.error("upsampling_ratios", "at most 12", list(self.upsampling_ratios))
        if self.chunk_length_s is not None and self.chunk < 1:
            raise fields.error("chunk_length_s", "a sample or more", self.chunk_length_s)
        if not self.use_causal_conv and self.trim_right_ratio != 1:
            wanted = "1 without use_causal_conv"
            raise fields.error("trim_right_ratio", wanted, self.trim_right_ratio)
        if not 1 <= self.num_quantizers <= 1024:
            wanted = "rates of 1 to 1024 codebooks"
            raise fields.error("target_bandwidths", wanted, list(self.target_bandwidths))

    @property
    def chunk(self) -> int:
        """How many samples are encoded for themselves; 0 for all."""
        given = self.chunk_length_s
        return 0 if given is None else int(given * self.sampling_rate)

    @property
    def chunk_stride(self) -> int:
        """From one piece to the next."""
        return max(1, int((1 - (self.overlap or 0.0)) * self.chunk))

    @property
    def frame_rate(self) -> int:
        """Codes a second."""
        return math.ceil(self.sampling_rate / math.prod(self.upsampling_ratios))

    @property
    def num_quantizers(self) -> int:
        """How many codebooks the highest rate takes."""
        bits = math.ceil(math.log2(self.codebook_size))
        return int(1000 * self.target_bandwidths[-1] // (self.frame_rate * max(bits, 1)))

    def books(self, bandwidth: float | None) -> int:
        """How many codebooks a rate takes, by default the lowest.

        Raises:
            ArgumentError: the model has not that rate.
        """
        known = self.target_bandwidths
        rate = known[0] if bandwidth is None else bandwidth
        expect(rate in known, "bandwidth", f"one of {known}", bandwidth, ArgumentError)
        count = math.floor(rate * 1000 / (math.log2(self.codebook_size) * self.frame_rate))
        return min(max(1, count), self.num_quantizers)


class Quantizers(Module):
    """The codebooks."""

    def __init__(self, cfg: EncodecConfig) -> None:
        self.layers = ModuleList(
            Quantizer(Codebook(cfg.codebook_size, cfg.hidden_size))
            for _ in range(cfg.num_quantizers)
        )


class EncodecEncoded(Output):
    """`audio_codes` (pieces, batch, books, n), each piece's scale `(batch, 1)`, if they are scaled.

    `last_frame_pad_length` is how much shorter the last piece is than the others.
    """

    audio_codes: Tensor
    audio_scales: Sequence[Tensor | None] | None = None
    last_frame_pad_length: int | None = None


class EncodecOutput(Output):
    """`audio_codes` (pieces, batch, books, n), `audio_values` (batch, channels, length)."""

    audio_codes: Tensor
    audio_values: Tensor


class EncodecModel(Model):
    """Encoder, codebooks and decoder."""

    config_class = EncodecConfig
    base_model_prefix = "encodec"
    rules = OLDER
    # What codebooks are trained with.
    ignorable = (r".*\.codebook\.(inited|cluster_size|embed_avg)",)

    def __init__(self, cfg: EncodecConfig) -> None:
        self.config = cfg
        norm: Any = cfg.norm_type
        style = ConvStyle(norm, cfg.use_causal_conv, cfg.pad_mode, cfg.trim_right_ratio)
        plan = SoundPlan(
            cfg.audio_channels, cfg.num_filters, cfg.hidden_size, cfg.upsampling_ratios,
            cfg.kernel_size, cfg.last_kernel_size, cfg.residual_kernel_size,
            cfg.num_residual_layers, cfg.dilation_growth_rate, cfg.compress, cfg.num_lstm_layers,
            cfg.use_conv_shortcut,
        )  # fmt: skip
        self.encoder = plan.encoder(style)
        self.decoder = plan.decoder(style)
        self.quantizer = Quantizers(cfg)

    def encode(
        self,
        input_values: Tensor,
        padding_mask: Tensor | None = None,
        bandwidth: float | None = None,
    ) -> EncodecEncoded:
        """Samples `(batch, channels, length)` → codes, at a rate of `target_bandwidths`.

        `padding_mask`, `(batch, length)` or with channels, is 0 where a row has no samples.

        Raises:
            ShapeError, ArgumentError: there are other axes, other channels, or no samples.
        """
        cfg, shape = self.config, tuple(input_values.shape)
        good = len(shape) == 3 and shape[1] == cfg.audio_channels and shape[2] > 0
        expect(good, "input_values", f"shape (batch, {cfg.audio_channels}, length)", shape)
        books = cfg.books(bandwidth)
        x = input_values
        if padding_mask is not None:
            x = x * padding_mask.reshape(shape[0], -1, shape[2]).ne(0).to(x.dtype)
        chunk = cfg.chunk or shape[2]
        step = cfg.chunk_stride if cfg.chunk else chunk
        found, scales = [], []
        for begin in range(0, shape[2], step):
            codes, scale = self._encode(x[..., begin : begin + chunk], books)
            found.append(codes)
            scales.append(scale)
        short = found[0].shape[-1] - found[-1].shape[-1]
        if short:
            found[-1] = F.pad(found[-1], [0, short])
        return EncodecEncoded(stack(found), scales, short)

    def _encode(self, x: Tensor, books: int) -> tuple[Tensor, Tensor | None]:
        scale = None
        if self.config.normalize:
            mono = x.mean(1, keepdim=True)
            scale = mono.square().mean(-1, keepdim=True).sqrt() + 1e-8
            x = x / scale
            scale = scale.reshape(-1, 1)
        frames = self.encoder(x).transpose(1, 2)
        return stack(quantize(list(self.quantizer.layers)[:books], frames), 1), scale

    def decode(
        self,
        audio_codes: Tensor,
        audio_scales: Sequence[Tensor | None] | None = None,
        padding_mask: Tensor | None = None,
        last_frame_pad_length: int | None = 0,
    ) -> Tensor:
        """Codes → samples `(batch, channels, length)`, cut to the length of a mask.

        Raises:
            ArgumentError: there are other pieces or books than the model makes.
        """
        shape = tuple(audio_codes.shape)
        good = len(shape) == 4 and shape[0] > 0 and 0 < shape[2] <= self.config.num_quantizers
        expect(good and (shape[0] == 1 or self.config.chunk > 0), "audio_codes",
               f"shape (pieces, batch, 1 to {self.config.num_quantizers}, n)", shape)  # fmt: skip
        scales = [None] * shape[0] if audio_scales is None else list(audio_scales)
        expect(len(scales) == shape[0], "audio_scales", f"{shape[0]}, one a piece", len(scales),
               ArgumentError)  # fmt: skip
        parts = []
        for index, (codes, scale) in enumerate(zip(audio_codes, scales, strict=True)):
            short = (last_frame_pad_length or 0) if index == shape[0] - 1 else 0
            codes = codes[..., : codes.shape[-1] - short]
            frames = reconstruct(list(self.quantizer.layers), codes)
            part = self.decoder(frames.transpose(1, 2))
            parts.append(part if scale is None else part * scale.reshape(-1, 1, 1))
        values = _overlapped(parts, self.config.chunk_stride) if self.config.chunk else parts[0]
        return values if padding_mask is None else values[..., : padding_mask.shape[-1]]

    def forward(
        self,
        input_values: Tensor,
        padding_mask: Tensor | None = None,
        bandwidth: float | None = None,
        audio_codes: Tensor | None = None,
        audio_scales: Sequence[Tensor | None] | None = None,
        last_frame_pad_length: int | None = 0,
    ) -> EncodecOutput:
        """Samples through codes and back; `audio_codes` stand in the place of the encoder."""
        if audio_codes is None:
            found = self.encode(input_values, padding_mask, bandwidth)
            audio_codes, audio_scales = found.audio_codes, found.audio_scales
            last_frame_pad_length = found.last_frame_pad_length
        length = input_values if padding_mask is None else padding_mask
        values = self.decode(audio_codes, audio_scales, length, last_frame_pad_length)
        return EncodecOutput(audio_codes, values)


def _overlapped(parts: Sequence[Tensor], step: int) -> Tensor:
    """Pieces that begin every `step` samples, each fading in and out to its middle."""
    length = parts[0].shape[-1]
    places = (arange(length, dtype=f32) + 1) / (length + 1)
    fade = 0.5 - (places - 0.5).abs()
    whole = step * (len(parts) - 1) + parts[-1].shape[-1]

    def placed(part: Tensor, begin: int) -> Tensor:
        return F.pad(part, [begin, whole - begin - part.shape[-1]])

    sums = weights = None
    for index, part in enumerate(parts):
        own = fade[: part.shape[-1]]
        value, weight = placed(part * own, index * step), placed(own.unsqueeze(0), index * step)
        sums = value if sums is None else sums + value
        weights = weight if weights is None else weights + weight
    assert sums is not None and weights is not None
    return sums / weights
