"""SNAC, an audio codec whose codebooks are of several rates (arXiv 2410.14411)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tallow.dtype import i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.models.base import Model
from tallow.models.blocks.codec import NormedConv1d, NormedConvTranspose1d
from tallow.models.blocks.cosine_book import CosineBook
from tallow.models.blocks.heads import merge_heads
from tallow.models.blocks.rope import Rope
from tallow.models.blocks.snake import Snake
from tallow.models.blocks.weight_norm import OLDER
from tallow.models.configs import Config, custom, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import Output
from tallow.nn import LayerNorm, Linear, Module, ModuleList, Sequential
from tallow.nn import functional as F
from tallow.ops import attention, rope
from tallow.random import randn
from tallow.tensor import Tensor

_DILATIONS = (1, 3, 9)
_HEAD = 64  # of attention within windows


def _window(fields: Fields, name: str, default: int) -> int | None:
    if fields.has(name) and fields.get(name) is None:
        return None
    return fields.integer(name, default, low=1, high=4096)


def _latent(fields: Fields, name: str, _: Any) -> None:
    """That of the encoder's last layer, whatever a file says."""
    value = fields.get(name)
    ratios = fields.get("encoder_rates")
    count = len(ratios) if isinstance(ratios, list) else 4
    wanted = fields.integer("encoder_dim", 64, low=1) << min(count, 12)
    if value not in (None, wanted):
        raise fields.error(name, f"{wanted}, as the encoder has it", value)


class SnacConfig(Config):
    """Of the files beside published checkpoints, which name no type of model."""

    sampling_rate: int = size(44100)
    encoder_dim: int = size(64)
    encoder_rates: tuple[int, ...] = sizes(3, 3, 7, 7)
    latent_dim: None = custom(None, _latent)
    decoder_dim: int = size(1536)
    decoder_rates: tuple[int, ...] = sizes(7, 7, 3, 3)
    attn_window_size: int | None = custom(32, _window)
    codebook_size: int = size(4096)
    codebook_dim: int = size(8)
    vq_strides: tuple[int, ...] = sizes(8, 4, 2, 1)
    noise: bool = True
    depthwise: bool = True

    def check(self, fields: Fields) -> None:
        """Rates go down as they went up, and strides and heads fit."""
        for name in ("encoder_rates", "decoder_rates", "vq_strides"):
            found = getattr(self, name)
            if not 1 <= len(found) <= 12 or max(found) > 1024:
                raise fields.error(name, "1 to 12 numbers up to 1024", list(found))
        if math.prod(self.encoder_rates) != math.prod(self.decoder_rates):
            wanted = f"rates whose product is {math.prod(self.encoder_rates)}"
            raise fields.error("decoder_rates", wanted, list(self.decoder_rates))
        if any(self.vq_strides[0] % stride for stride in self.vq_strides):
            wanted = "a first stride that the others divide"
            raise fields.error("vq_strides", wanted, list(self.vq_strides))
        if self.decoder_dim % (1 << len(self.decoder_rates)):
            wanted = f"a multiple of {1 << len(self.decoder_rates)}"
            raise fields.error("decoder_dim", wanted, self.decoder_dim)
        for name, width in (("encoder_dim", self.width), ("decoder_dim", self.decoder_dim)):
            if self.attn_window_size is not None and width % _HEAD:
                wanted = f"one that makes heads of {_HEAD}, where there is attention"
                raise fields.error(name, wanted, getattr(self, name))

    @property
    def width(self) -> int:
        """Of what codebooks are of."""
        return self.encoder_dim << len(self.encoder_rates)

    @property
    def hop_length(self) -> int:
        """How many samples a code of the last book is of, if its stride is 1."""
        return math.prod(self.encoder_rates)

    @property
    def whole(self) -> int:
        """What the number of samples is a multiple of."""
        return self.hop_length * math.lcm(self.vq_strides[0], self.attn_window_size or 1)


class WindowAttention(Module):
    """Attention within windows that do not overlap, beside what it is given."""

    def __init__(self, size: int, window: int) -> None:
        self.norm = LayerNorm(size)
        self.to_qkv = Linear(size, 3 * size, bias=False)
        self.to_out = Linear(size, size, bias=False)
        self.rope, self.window = Rope(_HEAD), window

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)`, kept; the length is a multiple of the window."""
        b, size, n = x.shape
        rows = self.to_qkv(self.norm(x.transpose(1, 2)))
        rows = rows.reshape(b * n // self.window, self.window, 3, size // _HEAD, _HEAD)
        q, k, v = rows.unbind(2)
        table = self.rope.table(arange(self.window, dtype=i64).unsqueeze(0))
        q, k = rope(q, table), rope(k, table)
        found = attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return self.to_out(merge_heads(found).reshape(b, n, size)).transpose(1, 2) + x


class Unit(Module):
    """A dilated convolution and one of single frames, beside what they are given."""

    def __init__(self, size: int, dilation: int, groups: int) -> None:
        padding = 3 * dilation
        wide = NormedConv1d(size, size, 7, dilation=dilation, padding=padding, groups=groups)
        self.block = Sequential(Snake(size), wide, Snake(size), NormedConv1d(size, size, 1))

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)`, kept."""
        return x + self.block(x)


class Noise(Module):
    """Noise, drawn anew at each call, as loud as a convolution of what it is added to says."""

    def __init__(self, size: int) -> None:
        self.linear = NormedConv1d(size, size, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)`, kept."""
        drawn = randn(x.shape[0], 1, x.shape[2], dtype=x.dtype, device=x.device)
        return x + drawn * self.linear(x)


class Block(Module):
    """Layers, one behind the other."""

    def __init__(self, *layers: Module) -> None:
        self.block = Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)` → `(batch, …, …)`."""
        return self.block(x)


def _units(size: int, cfg: SnacConfig) -> list[Module]:
    return [Unit(size, dilation, size if cfg.depthwise else 1) for dilation in _DILATIONS]


def _attention(size: int, cfg: SnacConfig) -> list[Module]:
    window = cfg.attn_window_size
    return [] if window is None else [WindowAttention(size, window)]


def _encoder(cfg: SnacConfig) -> Block:
    """From samples to frames."""
    width = cfg.encoder_dim
    made: list[Module] = [NormedConv1d(1, width, 7, padding=3)]
    for rate in cfg.encoder_rates:
        down = NormedConv1d(width, 2 * width, 2 * rate, rate, padding=math.ceil(rate / 2))
        made.append(Block(*_units(width, cfg), Snake(width), down))
        width *= 2
    made += _attention(width, cfg)
    groups = width if cfg.depthwise else 1
    return Block(*made, NormedConv1d(width, width, 7, padding=3, groups=groups))


class SnacDecoder(Module):
    """From frames to samples."""

    def __init__(self, cfg: SnacConfig) -> None:
        size, width = cfg.width, cfg.decoder_dim
        made: list[Module] = [NormedConv1d(size, width, 7, padding=3)]
        if cfg.depthwise:
            first = NormedConv1d(size, size, 7, padding=3, groups=size)
            made = [first, NormedConv1d(size, width, 1)]
        made += _attention(width, cfg)
        for rate in cfg.decoder_rates:
            up = NormedConvTranspose1d(
                width, width // 2, 2 * rate, rate, padding=math.ceil(rate / 2),
                output_padding=rate % 2,
            )  # fmt: skip
            noise = [Noise(width // 2)] if cfg.noise else []
            made.append(Block(Snake(width), up, *noise, *_units(width // 2, cfg)))
            width //= 2
        self.model = Sequential(*made, Snake(width), NormedConv1d(width, 1, 7, padding=3))

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, width, frames)` → `(batch, 1, length)`."""
        return self.model(x).tanh()


class Quantizers(Module):
    """The codebooks."""

    def __init__(self, cfg: SnacConfig) -> None:
        self.quantizers = ModuleList(
            CosineBook(
                NormedConv1d(cfg.width, cfg.codebook_dim, 1),
                NormedConv1d(cfg.codebook_dim, cfg.width, 1),
                cfg.codebook_size, cfg.codebook_dim,
            )
            for _ in cfg.vq_strides
        )  # fmt: skip


class SnacEncoded(Output):
    """`audio_codes`, a tensor (batch, n / stride) of each book, and what they stand for."""

    quantized_representation: Tensor
    audio_codes: tuple[Tensor, ...]


class SnacOutput(Output):
    """`audio_values` (batch, length), and what `encode` gave."""

    audio_values: Tensor
    quantized_representation: Tensor
    audio_codes: tuple[Tensor, ...]


class SnacModel(Model):
    """Encoder, codebooks and decoder."""

    config_class = SnacConfig
    base_model_prefix = "snac"
    rules = OLDER
    ignorable = (r".*\.rel_pos\.inv_freq",)

    def __init__(self, cfg: SnacConfig) -> None:
        self.config = cfg
        self.encoder = _encoder(cfg)
        self.quantizer = Quantizers(cfg)
        self.decoder = SnacDecoder(cfg)

    def encode(self, input_values: Tensor) -> SnacEncoded:
        """Samples `(batch, 1, length)` → codes; zeros follow up to a whole number of the coarsest.

        Raises:
            ShapeError: there are other axes, or no samples.
        """
        shape = tuple(input_values.shape)
        good = len(shape) == 3 and shape[1] == 1 and shape[2] > 0
        expect(good, "input_values", "shape (batch, 1, length)", shape)
        left = self.encoder(F.pad(input_values, [0, -shape[2] % self.config.whole]))
        codes, parts = [], []
        for book, stride in self._books():
            mean = left if stride == 1 else left.unflatten(2, (-1, stride)).mean(-1)
            latents = book.in_proj(mean)
            found = book.nearest(latents)
            # The gradient goes past the choice of a code.
            part = book.out_proj(latents + (book.latents(found) - latents).detach())
            parts.append(part.repeat_interleave(stride, -1) if stride > 1 else part)
            left = left - parts[-1]
            codes.append(found)
        return SnacEncoded(sum(parts[1:], parts[0]), tuple(codes))

    def _books(self) -> list[tuple[CosineBook, int]]:
        return list(zip(self.quantizer.quantizers, self.config.vq_strides, strict=True))

    def decode(
        self,
        quantized_representation: Tensor | None = None,
        audio_codes: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """What codes stand for `(batch, width, n)`, or codes of each book → samples.

        These are `(batch, length)`. Models with `noise` draw it of `tallow.manual_seed`.

        Raises:
            ArgumentError: neither is given.
            ShapeError: codes are not of as many books, or not of one length by their strides.
        """
        x = quantized_representation
        if audio_codes is not None:
            strides = self.config.vq_strides
            shapes = [tuple(each.shape) for each in audio_codes]
            lengths = {s[-1] * stride for s, stride in zip(shapes, strides, strict=False)}
            good = len(shapes) == len(strides) and len(lengths) == 1
            good = good and all(len(s) == 2 and s[0] == shapes[0][0] for s in shapes)
            expect(good, "audio_codes", f"(batch, n / stride) for strides {strides}", shapes)
            parts = [
                book.out_proj(book.latents(codes)).repeat_interleave(stride, -1)
                for (book, stride), codes in zip(self._books(), audio_codes, strict=True)
            ]
            x = sum(parts[1:], parts[0])
        wanted = "audio_codes, or what they stand for"
        expect(x is not None, "decode", wanted, "neither", ArgumentError)
        return self.decoder(x).squeeze(1)

    def forward(self, input_values: Tensor) -> SnacOutput:
        """Samples through codes and back."""
        found = self.encode(input_values)
        values = self.decode(found.quantized_representation)[..., : input_values.shape[-1]]
        return SnacOutput(values, found.quantized_representation, found.audio_codes)
