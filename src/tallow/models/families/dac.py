"""DAC, the Descript audio codec: sound as numbers of codebooks, and back (arXiv 2306.06546)."""

from __future__ import annotations

import math

from tallow.errors import ArgumentError, expect
from tallow.models.base import Model
from tallow.models.blocks.cosine_book import CosineBook
from tallow.models.blocks.snake import Snake, SnakeUnit
from tallow.models.configs import Config, layers, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import Output
from tallow.nn import Conv1d, ConvTranspose1d, Module, ModuleList
from tallow.nn import functional as F
from tallow.ops import cat, stack
from tallow.tensor import Tensor

_DILATIONS = (1, 3, 9)


class DacConfig(Config):
    """Of Hugging Face's `DacConfig`."""

    encoder_hidden_size: int = size(64)
    downsampling_ratios: tuple[int, ...] = sizes(2, 4, 8, 8)
    decoder_hidden_size: int = size(1536)
    n_codebooks: int = layers(9)
    codebook_size: int = size(1024)
    codebook_dim: int = size(8)
    commitment_loss_weight: float = 0.25
    codebook_loss_weight: float = 1.0
    sampling_rate: int = size(16000)

    without_effect = frozenset(
        ("quantizer_dropout", "hop_length", "upsampling_ratios", "hidden_size")
    )

    def check(self, fields: Fields) -> None:
        """Widths halve on the way up, and what files say of the rest follows from these."""
        ratios = self.downsampling_ratios
        if not ratios or len(ratios) > 12:
            raise fields.error("downsampling_ratios", "1 to 12 numbers", list(ratios))
        if self.decoder_hidden_size % (1 << len(ratios)):
            wanted = f"a multiple of {1 << len(ratios)}"
            raise fields.error("decoder_hidden_size", wanted, self.decoder_hidden_size)
        if self.codebook_size & (self.codebook_size - 1):
            raise fields.error("codebook_size", "a power of 2", self.codebook_size)
        if self.n_codebooks < 1:
            raise fields.error("n_codebooks", "1 or more", self.n_codebooks)
        follows = {"upsampling_ratios": list(ratios[::-1]), "hidden_size": self.width}
        for name, value in follows.items():
            if fields.get(name) not in (None, value):
                wanted = f"{value}, as downsampling_ratios have it"
                raise fields.error(name, wanted, fields.get(name))

    @property
    def width(self) -> int:
        """Of what codebooks are of."""
        return self.encoder_hidden_size << len(self.downsampling_ratios)

    @property
    def hop_length(self) -> int:
        """How many samples a code is of."""
        return math.prod(self.downsampling_ratios)


class EncoderBlock(Module):
    """Three units, and a convolution that makes fewer frames, twice as wide."""

    def __init__(self, size: int, stride: int) -> None:
        self.res_unit1, self.res_unit2, self.res_unit3 = (SnakeUnit(size, d) for d in _DILATIONS)
        self.snake1 = Snake(size)
        padding = math.ceil(stride / 2)
        self.conv1 = Conv1d(size, 2 * size, 2 * stride, stride, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)` → `(batch, 2 * size, …)`."""
        x = self.res_unit3(self.res_unit2(self.res_unit1(x)))
        return self.conv1(self.snake1(x))


class DecoderBlock(Module):
    """The way back."""

    def __init__(self, size: int, stride: int) -> None:
        out, padding = size // 2, math.ceil(stride / 2)
        self.snake1 = Snake(size)
        self.conv_t1 = ConvTranspose1d(size, out, 2 * stride, stride, padding=padding)
        self.res_unit1, self.res_unit2, self.res_unit3 = (SnakeUnit(out, d) for d in _DILATIONS)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, length)` → `(batch, size / 2, …)`."""
        x = self.conv_t1(self.snake1(x))
        return self.res_unit3(self.res_unit2(self.res_unit1(x)))


class DacEncoder(Module):
    """From samples to frames."""

    def __init__(self, cfg: DacConfig) -> None:
        width = cfg.encoder_hidden_size
        self.conv1 = Conv1d(1, width, 7, padding=3)
        self.block = ModuleList(
            EncoderBlock(width << index, stride)
            for index, stride in enumerate(cfg.downsampling_ratios)
        )
        self.snake1 = Snake(cfg.width)
        self.conv2 = Conv1d(cfg.width, cfg.width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, 1, length)` → `(batch, width, frames)`."""
        x = self.conv1(x)
        for layer in self.block:
            x = layer(x)
        return self.conv2(self.snake1(x))


class DacDecoder(Module):
    """From frames to samples."""

    def __init__(self, cfg: DacConfig) -> None:
        width, count = cfg.decoder_hidden_size, len(cfg.downsampling_ratios)
        self.conv1 = Conv1d(cfg.width, width, 7, padding=3)
        self.block = ModuleList(
            DecoderBlock(width >> index, stride)
            for index, stride in enumerate(reversed(cfg.downsampling_ratios))
        )
        self.snake1 = Snake(width >> count)
        self.conv2 = Conv1d(width >> count, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, width, frames)` → `(batch, 1, length)`."""
        x = self.conv1(x)
        for layer in self.block:
            x = layer(x)
        return self.conv2(self.snake1(x)).tanh()


def _book(cfg: DacConfig) -> CosineBook:
    """One codebook, between convolutions of single frames."""
    into = Conv1d(cfg.width, cfg.codebook_dim, 1)
    back = Conv1d(cfg.codebook_dim, cfg.width, 1)
    return CosineBook(into, back, cfg.codebook_size, cfg.codebook_dim)


class Quantizers(Module):
    """The codebooks."""

    def __init__(self, cfg: DacConfig) -> None:
        self.quantizers = ModuleList(_book(cfg) for _ in range(cfg.n_codebooks))


class DacEncoded(Output):
    """What `encode` gives: the loss of the codebooks, what codes stand for, codes, projections.

    Shapes: (batch,), (batch, width, n), (batch, books, n), (batch, books * codebook_dim, n).
    """

    loss: Tensor
    quantized_representation: Tensor
    audio_codes: Tensor
    projected_latents: Tensor


class DacOutput(Output):
    """`audio_values` (batch, length), and what `encode` gave."""

    loss: Tensor
    audio_values: Tensor
    quantized_representation: Tensor
    audio_codes: Tensor
    projected_latents: Tensor


class DacModel(Model):
    """Encoder, codebooks and decoder."""

    config_class = DacConfig
    base_model_prefix = "dac"

    def __init__(self, cfg: DacConfig) -> None:
        self.config = cfg
        self.encoder = DacEncoder(cfg)
        self.decoder = DacDecoder(cfg)
        self.quantizer = Quantizers(cfg)

    def encode(self, input_values: Tensor, n_quantizers: int | None = None) -> DacEncoded:
        """Samples `(batch, 1, length)` → codes of the first `n_quantizers` books, or of all.

        Raises:
            ShapeError, ArgumentError: there are other axes, fewer samples than a code takes, or
                fewer books.
        """
        cfg, shape = self.config, tuple(input_values.shape)
        good = len(shape) == 3 and shape[1] == 1
        expect(good, "input_values", "shape (batch, 1, length)", shape)
        least = cfg.hop_length
        expect(shape[2] >= least, "input_values", f"{least} samples or more", shape[2],
               ArgumentError)  # fmt: skip
        count = cfg.n_codebooks if n_quantizers is None else n_quantizers
        good = 1 <= count <= cfg.n_codebooks
        expect(good, "n_quantizers", f"1 to {cfg.n_codebooks}", count, ArgumentError)
        left = self.encoder(input_values)
        whole, loss, codes, projected = None, None, [], []
        for quantizer in list(self.quantizer.quantizers)[:count]:
            latents = quantizer.in_proj(left)
            found = quantizer.nearest(latents)
            hit = quantizer.latents(found)
            commitment = F.mse_loss(latents, hit.detach())
            book = F.mse_loss(hit, latents.detach())
            own = cfg.commitment_loss_weight * commitment + cfg.codebook_loss_weight * book
            # The gradient goes past the choice of a code.
            part = quantizer.out_proj(latents + (hit - latents).detach())
            whole = part if whole is None else whole + part
            loss = own if loss is None else loss + own
            left = left - part
            codes.append(found)
            projected.append(latents)
        assert whole is not None and loss is not None
        every = loss.reshape(1).expand(shape[0])
        return DacEncoded(every, whole, stack(codes, 1), cat(projected, 1))

    def decode(
        self, quantized_representation: Tensor | None = None, audio_codes: Tensor | None = None
    ) -> Tensor:
        """What codes stand for `(batch, width, n)`, or codes `(batch, books, n)` → samples.

        These are `(batch, length)`.
        """
        x = quantized_representation
        if audio_codes is not None:
            shape, most = tuple(audio_codes.shape), self.config.n_codebooks
            good = len(shape) == 3 and 0 < shape[1] <= most
            expect(good, "audio_codes", f"shape (batch, 1 to {most}, n)", shape)
            books = list(self.quantizer.quantizers)[: shape[1]]
            parts = [q.out_proj(q.latents(audio_codes[:, i])) for i, q in enumerate(books)]
            x = sum(parts[1:], parts[0])
        expect(x is not None, "decode", "audio_codes, or what they stand for", "neither",
               ArgumentError)  # fmt: skip
        return self.decoder(x).squeeze(1)

    def forward(self, input_values: Tensor, n_quantizers: int | None = None) -> DacOutput:
        """Samples through codes and back."""
        found = self.encode(input_values, n_quantizers)
        values = self.decode(found.quantized_representation)[..., : input_values.shape[-1]]
        return DacOutput(
            found.loss, values, found.quantized_representation, found.audio_codes,
            found.projected_latents,
        )  # fmt: skip
