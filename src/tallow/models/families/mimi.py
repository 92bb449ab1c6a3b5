"""Mimi: sound as numbers of codebooks at 12.5 Hz, by SEANet and transformers (arXiv 2410.00037)."""

from __future__ import annotations

import math
from typing import Any

from tallow.dtype import i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.models.base import Model
from tallow.models.blocks.activation import ACTIVATIONS, linear_then
from tallow.models.blocks.attention import Attention
from tallow.models.blocks.codec import (
    Codebook,
    CodecConv,
    CodecConvTranspose,
    ConvStyle,
    Quantizer,
    SoundPlan,
    quantize,
    reconstruct,
)
from tallow.models.blocks.kept import Kept
from tallow.models.blocks.rope import Rope
from tallow.models.configs import Config, activation, choice, custom, layers, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import Output
from tallow.nn import Conv1d, LayerNorm, Linear, Module, ModuleList, param
from tallow.nn.init import normal, ones_
from tallow.ops import stack
from tallow.tensor import Tensor
from tallow.weights.arrange import rename

_LEAST = 1e-5  # of how often a vector was used


def _theta(fields: Fields, name: str, default: float) -> float:
    """The base of the rotation, of `rope_parameters` or beside the other keys."""
    inner = fields.scope(name) if fields.get(name) is not None else fields
    for key in ("rope_type", "type"):
        if inner is not fields and inner.get(key) not in (None, "default"):
            raise inner.error(key, "'default' (others are not supported)", inner.get(key))
    return inner.number("rope_theta", default)


def _frame_rate(fields: Fields, name: str, default: Any) -> float | None:
    """Codes a second; transformers 5 writes them with an underscore."""
    given = next((key for key in (name, f"_{name}") if fields.get(key) is not None), None)
    return None if given is None else fields.number(given)


class MimiConfig(Config):
    """Of Hugging Face's `MimiConfig`; `rope_parameters` is the base of the rotation."""

    without_effect = frozenset(
        (
            "use_streaming",
            "layer_scale_initial_scale",
            "max_position_embeddings",
            "tie_word_embeddings",
        )
    )

    sampling_rate: int = size(24000)
    audio_channels: int = size(1, high=2)
    frame_rate: float | None = custom(None, _frame_rate)
    hidden_size: int = size(512)
    num_filters: int = size(64)
    num_residual_layers: int = layers(1)
    upsampling_ratios: tuple[int, ...] = sizes(8, 6, 5, 4)
    kernel_size: int = size(7)
    last_kernel_size: int = size(3)
    residual_kernel_size: int = size(3)
    dilation_growth_rate: int = size(2)
    use_causal_conv: bool = True
    pad_mode: str = choice("constant", "reflect", "replicate", "circular")
    compress: int = size(2)
    trim_right_ratio: float = 1.0
    codebook_size: int = size(2048)
    codebook_dim: int = size(256)
    num_quantizers: int = size(32, high=1024)
    use_conv_shortcut: bool = False
    vector_quantization_hidden_dimension: int = size(256)
    num_semantic_quantizers: int = size(1)
    upsample_groups: int = size(512)
    num_hidden_layers: int = layers(8)
    intermediate_size: int = size(2048)
    num_attention_heads: int = size(8)
    num_key_value_heads: int = size(8)
    head_dim: int | None = None
    hidden_act: str = activation("gelu")
    norm_eps: float = 1e-5
    rope_parameters: float = custom(10000.0, _theta)
    sliding_window: int = size(250)
    attention_bias: bool = False

    def check(self, fields: Fields) -> None:
        """Books are of the width of what is quantised; some say words, the rest sounds."""
        if self.codebook_size & (self.codebook_size - 1):
            raise fields.error("codebook_size", "a power of 2", self.codebook_size)
        if self.codebook_dim != self.vector_quantization_hidden_dimension:
            wanted = f"{self.codebook_dim}, as codebook_dim"
            found = self.vector_quantization_hidden_dimension
            raise fields.error("vector_quantization_hidden_dimension", wanted, found)
        if self.num_semantic_quantizers >= self.num_quantizers:
            wanted = f"fewer than num_quantizers {self.num_quantizers}"
            raise fields.error("num_semantic_quantizers", wanted, self.num_semantic_quantizers)
        if not self.upsampling_ratios or len(self.upsampling_ratios) > 12:
            raise fields.error("upsampling_ratios", "1 to 12", list(self.upsampling_ratios))
        if self.num_attention_heads % self.num_key_value_heads:
            wanted = f"a divisor of num_attention_heads {self.num_attention_heads}"
            raise fields.error("num_key_value_heads", wanted, self.num_key_value_heads)
        if self.hidden_size % self.upsample_groups:
            wanted = f"a divisor of hidden_size {self.hidden_size}"
            raise fields.error("upsample_groups", wanted, self.upsample_groups)
        if self.heads % 2:
            raise fields.error("head_dim", "an even number", self.heads)
        if self.frame_rate is not None and not 0 < self.frame_rate <= self.fine_rate:
            wanted = f"above 0, at most {self.fine_rate}"
            raise fields.error("frame_rate", wanted, self.frame_rate)

    @property
    def heads(self) -> int:
        """The width of a head."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def fine_rate(self) -> int:
        """Frames a second before they are made fewer."""
        return math.ceil(self.sampling_rate / math.prod(self.upsampling_ratios))

    @property
    def latent_stride(self) -> int:
        """How many of these make one code; 1 where none are left out."""
        rate = self.frame_rate
        if rate is None:
            rate = self.sampling_rate / (2 * math.prod(self.upsampling_ratios))
        return int(self.fine_rate / rate)


class LayerScale(Module):
    """A factor for each channel."""

    def __init__(self, size: int) -> None:
        self.scale = param(size, init=ones_)

    def forward(self, x: Tensor) -> Tensor:
        """`(…, size)`, kept."""
        return x * self.scale


class Mlp(Module):
    """Two linear layers without biases, and an activation between them."""

    def __init__(self, size: int, hidden: int, act: str) -> None:
        self.fc1 = Linear(size, hidden, bias=False)
        self.fc2 = Linear(hidden, size, bias=False)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, n, size)`, kept."""
        return self.fc2(linear_then(self.fc1, x, self.act))


class MimiLayer(Module):
    """Causal attention to what is near, and feed-forward, each normed before and scaled behind."""

    def __init__(self, cfg: MimiConfig) -> None:
        width = cfg.hidden_size
        self.self_attn = Attention(
            width, cfg.num_attention_heads, cfg.num_key_value_heads, cfg.heads,
            bias=cfg.attention_bias, rope=Rope(cfg.heads, cfg.rope_parameters), causal=True,
            window=cfg.sliding_window,
        )  # fmt: skip
        self.mlp = Mlp(width, cfg.intermediate_size, cfg.hidden_act)
        self.input_layernorm = LayerNorm(width, cfg.norm_eps)
        self.post_attention_layernorm = LayerNorm(width, cfg.norm_eps)
        self.self_attn_layer_scale = LayerScale(width)
        self.mlp_layer_scale = LayerScale(width)

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        """`(batch, n, size)`, kept."""
        seen = self.self_attn(self.input_layernorm(x), positions=table)
        x = x + self.self_attn_layer_scale(seen)
        return x + self.mlp_layer_scale(self.mlp(self.post_attention_layernorm(x)))


class MimiTransformer(Module):
    """Layers over frames."""

    def __init__(self, cfg: MimiConfig) -> None:
        self.layers = ModuleList(MimiLayer(cfg) for _ in range(cfg.num_hidden_layers))
        self.rope = Rope(cfg.heads, cfg.rope_parameters)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, n)`, kept."""
        x = x.transpose(1, 2)
        table = self.rope.table(arange(x.shape[1], dtype=i64).unsqueeze(0))
        for layer in self.layers:
            x = layer(x, table)
        return x.transpose(1, 2)


class UsedCodebook(Codebook):
    """Sums of vectors, and how often each was used."""

    def __init__(self, count: int, size: int) -> None:
        self.cluster_usage = param(count, init=ones_)
        self.embed_sum = param(count, size, init=normal(1.0))
        self._kept = Kept()

    def vectors(self) -> Tensor:
        """`(count, size)`."""
        return self._kept.get(self._means, self.embed_sum, self.cluster_usage)

    def _means(self) -> Tensor:
        return self.embed_sum / self.cluster_usage.clamp(min=_LEAST).unsqueeze(1)


class ResidualQuantizer(Module):
    """Codebooks, of which each is of what those before left."""

    input_proj: Conv1d | None
    output_proj: Conv1d | None

    def __init__(self, cfg: MimiConfig, count: int) -> None:
        width, inner = cfg.hidden_size, cfg.codebook_dim
        self.layers = ModuleList(
            Quantizer(UsedCodebook(cfg.codebook_size, inner)) for _ in range(count)
        )
        self.input_proj = Conv1d(width, inner, 1, bias=False) if inner != width else None
        self.output_proj = Conv1d(inner, width, 1, bias=False) if inner != width else None

    def encode(self, x: Tensor, count: int) -> list[Tensor]:
        """`(batch, size, n)` → numbers `(batch, n)` of each book."""
        x = x if self.input_proj is None else self.input_proj(x)
        return quantize(list(self.layers)[:count], x.transpose(1, 2))

    def decode(self, codes: Tensor) -> Tensor:
        """Numbers `(batch, books, n)` → `(batch, size, n)`."""
        x = reconstruct(list(self.layers), codes).transpose(1, 2)
        return x if self.output_proj is None else self.output_proj(x)


class SplitQuantizer(Module):
    """Books of what is said, and of how it sounds."""

    def __init__(self, cfg: MimiConfig) -> None:
        said = cfg.num_semantic_quantizers
        self.semantic_residual_vector_quantizer = ResidualQuantizer(cfg, said)
        self.acoustic_residual_vector_quantizer = ResidualQuantizer(cfg, cfg.num_quantizers - said)
        self.said = said

    def encode(self, x: Tensor, count: int) -> Tensor:
        """`(batch, size, n)` → numbers `(batch, count, n)`."""
        found = self.semantic_residual_vector_quantizer.encode(x, self.said)
        found += self.acoustic_residual_vector_quantizer.encode(x, count - self.said)
        return stack(found, 1)

    def decode(self, codes: Tensor) -> Tensor:
        """The way back."""
        x: Tensor = self.semantic_residual_vector_quantizer.decode(codes[:, : self.said])
        if codes.shape[1] == self.said:
            return x
        return x + self.acoustic_residual_vector_quantizer.decode(codes[:, self.said :])


class MimiEncoded(Output):
    """`audio_codes` (batch, books, n)."""

    audio_codes: Tensor


class MimiOutput(Output):
    """`audio_codes` (batch, books, n), `audio_values` (batch, channels, length)."""

    audio_codes: Tensor
    audio_values: Tensor


class MimiModel(Model):
    """Encoder, codebooks and decoder."""

    config_class = MimiConfig
    base_model_prefix = "mimi"
    # How transformers 5 calls the halves.
    rules = (
        rename("encoder.encoder_seanet.*", "encoder.*"),
        rename("encoder.encoder_transformer.*", "encoder_transformer.*"),
        rename("encoder.downsample.*", "downsample.*"),
        rename("decoder.decoder_seanet.*", "decoder.*"),
        rename("decoder.decoder_transformer.*", "decoder_transformer.*"),
        rename("decoder.upsample.*", "upsample.*"),
    )
    ignorable = (r".*\.codebook\.initialized",)

    downsample: Module | None
    upsample: Module | None

    def __init__(self, cfg: MimiConfig) -> None:
        self.config = cfg
        style = ConvStyle("", cfg.use_causal_conv, cfg.pad_mode, cfg.trim_right_ratio)
        plan = SoundPlan(
            cfg.audio_channels, cfg.num_filters, cfg.hidden_size, cfg.upsampling_ratios,
            cfg.kernel_size, cfg.last_kernel_size, cfg.residual_kernel_size,
            cfg.num_residual_layers, cfg.dilation_growth_rate, cfg.compress, 0,
            cfg.use_conv_shortcut,
        )  # fmt: skip
        self.encoder = plan.encoder(style)
        self.encoder_transformer = MimiTransformer(cfg)
        self.downsample = self.upsample = None
        step, width = cfg.latent_stride, cfg.hidden_size
        if step > 1:
            self.downsample = CodecConv(
                style, width, width, 2 * step, step, bias=False, mode="replicate"
            )
            self.upsample = CodecConvTranspose(
                style, width, width, 2 * step, step, groups=cfg.upsample_groups, bias=False
            )
        self.decoder_transformer = MimiTransformer(cfg)
        self.decoder = plan.decoder(style)
        self.quantizer = SplitQuantizer(cfg)

    def encode(self, input_values: Tensor, num_quantizers: int | None = None) -> MimiEncoded:
        """Samples `(batch, channels, length)` → codes of the first books, or of all.

        Raises:
            ShapeError, ArgumentError: there are other axes or channels, no samples, fewer books
                than say words, or more than there are.
        """
        cfg, shape = self.config, tuple(input_values.shape)
        good = len(shape) == 3 and shape[1] == cfg.audio_channels and shape[2] > 0
        expect(good, "input_values", f"shape (batch, {cfg.audio_channels}, length)", shape)
        count = cfg.num_quantizers if num_quantizers is None else num_quantizers
        least = cfg.num_semantic_quantizers
        good = least <= count <= cfg.num_quantizers
        wanted = f"{least} to {cfg.num_quantizers}"
        expect(good, "num_quantizers", wanted, count, ArgumentError)
        x = self.encoder_transformer(self.encoder(input_values))
        x = x if self.downsample is None else self.downsample(x)
        return MimiEncoded(self.quantizer.encode(x, count))

    def decode(self, audio_codes: Tensor) -> Tensor:
        """Codes `(batch, books, n)` → samples `(batch, channels, length)`, of whole frames.

        Raises:
            ShapeError: there are other axes, or other books than the model has.
        """
        cfg, shape = self.config, tuple(audio_codes.shape)
        least, most = cfg.num_semantic_quantizers, cfg.num_quantizers
        good = len(shape) == 3 and least <= shape[1] <= most
        expect(good, "audio_codes", f"shape (batch, {least} to {most}, n)", shape)
        x: Any = self.quantizer.decode(audio_codes)
        x = x if self.upsample is None else self.upsample(x)
        return self.decoder(self.decoder_transformer(x))

    def forward(
        self,
        input_values: Tensor,
        padding_mask: Tensor | None = None,
        num_quantizers: int | None = None,
        audio_codes: Tensor | None = None,
    ) -> MimiOutput:
        """Samples through codes and back, as long as they or their mask are.

        A mask hides nothing, as in transformers; `audio_codes` stand in the place of the encoder.
        """
        if audio_codes is None:
            audio_codes = self.encode(input_values, num_quantizers).audio_codes
        given = input_values if padding_mask is None else padding_mask
        return MimiOutput(audio_codes, self.decode(audio_codes)[..., : given.shape[-1]])
