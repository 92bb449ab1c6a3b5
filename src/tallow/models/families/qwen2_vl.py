"""Qwen2-VL and Qwen2.5-VL: pictures of any size, positions of three axes (arXiv 2409.12191)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Self

from tallow.dtype import i64
from tallow.factories import tensor
from tallow.lazy_dataclasses import replace
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.mlp import GatedMlp
from tallow.models.blocks.patch_grids import (
    Grid,
    PackedAttention,
    PatchBlock,
    Run,
    windows_of,
)
from tallow.models.blocks.vision import Mlp
from tallow.models.config import DecoderConfig, read_flagged_windows
from tallow.models.configs import Config, activation, custom, layers, size, sizes
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.grid_vision import GridVision, Vision, check_heads
from tallow.models.outputs import BaseOutput
from tallow.models.parts import section
from tallow.models.placed_states import PlacedState
from tallow.models.states import State
from tallow.models.vision_configs import read_axes, rotary_theta, text_section
from tallow.nn import LayerNorm, Linear, RMSNorm, tie
from tallow.tensor import Tensor
from tallow.weights.arrange import rename

EPS = 1e-6  # of the norms of pictures


class TextConfig(DecoderConfig):
    """Of Hugging Face's `Qwen2VLTextConfig` and `Qwen2_5_VLTextConfig`."""

    theta = 1000000.0

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Biases as of Qwen2; the frequencies are shared out to three axes."""
        fields = fields.with_defaults(
            num_key_value_heads=8, max_position_embeddings=32768, rms_norm_eps=1e-5,
            max_window_layers=80,
        )  # fmt: skip
        cfg = super().read(fields)
        windows = read_flagged_windows(fields, cfg.num_hidden_layers)
        axes = read_axes(fields, cfg.head_dim // 2)
        return replace(cfg, qkv_bias=True, sliding_windows=windows, rope_axes=axes)


class VisionConfig(Config):
    """Of Hugging Face's `Qwen2VLVisionConfig`."""

    depth: int = layers(32, "num_hidden_layers")
    embed_dim: int = size(1280)
    hidden_size: int = size(3584)
    hidden_act: str = activation("quick_gelu")
    mlp_ratio: int = size(4)
    num_heads: int = size(16, "num_attention_heads")
    in_channels: int = size(3, "in_chans")
    patch_size: int = size(14)
    spatial_merge_size: int = size(2)
    temporal_patch_size: int = size(2)
    theta: float = custom(10000.0, lambda fields, *_: rotary_theta(fields))

    without_effect = frozenset({"spatial_patch_size", "rope_parameters"})

    def check(self, fields: Fields) -> None:
        """Half of a head turns by rows and half by columns, in pairs."""
        check_heads(fields, "embed_dim", self.embed_dim, self.num_heads)


class WindowedVisionConfig(Config):
    """Of Hugging Face's `Qwen2_5_VLVisionConfig`."""

    depth: int = layers(32, "num_hidden_layers")
    hidden_size: int = size(3584)
    hidden_act: str = activation("silu")
    intermediate_size: int = size(3420)
    num_heads: int = size(16, "num_attention_heads")
    in_channels: int = size(3, "in_chans")
    patch_size: int = size(14)
    spatial_merge_size: int = size(2)
    temporal_patch_size: int = size(2)
    window_size: int = size(112)
    out_hidden_size: int = size(3584)
    fullatt_block_indexes: tuple[int, ...] = sizes(7, 15, 23, 31, low=0)
    theta: float = custom(10000.0, lambda fields, *_: rotary_theta(fields))

    without_effect = frozenset({"spatial_patch_size", "tokens_per_second", "rope_parameters"})

    def check(self, fields: Fields) -> None:
        """The same, and a window holds merged patches."""
        check_heads(fields, "hidden_size", self.hidden_size, self.num_heads)
        least = self.patch_size * self.spatial_merge_size
        if self.window_size < least:
            raise fields.error("window_size", f"at least {least} pixels", self.window_size)


class Qwen2VLConfig(Config):
    """Of Hugging Face's `Qwen2VLConfig`; older files have the decoder's keys beside the others."""

    text_config: Any = text_section(TextConfig)
    vision_config: Any = section(VisionConfig)
    image_token_id: int = size(151655, low=0, high=2**31 - 1)
    tie_word_embeddings: bool = False

    without_effect = frozenset(
        {"video_token_id", "vision_start_token_id", "vision_end_token_id", "vision_token_id"}
    )

    @property
    def num_hidden_layers(self) -> int:
        """The layers of the decoder."""
        return int(self.text_config.num_hidden_layers)


class Qwen25VLConfig(Qwen2VLConfig):
    """Of Hugging Face's `Qwen2_5_VLConfig`."""

    vision_config: Any = section(WindowedVisionConfig)


class Qwen2VLText(DecoderModel):
    """The decoder; its states know positions of three axes."""

    state_class: ClassVar[type[State]] = PlacedState


class Qwen2VLVision(Vision):
    """Attention of all patches of a picture."""

    config_class = VisionConfig

    def __init__(self, cfg: VisionConfig) -> None:
        super().__init__(cfg, cfg.embed_dim)
        self.merger = self.merger_of(LayerNorm(cfg.embed_dim, EPS), cfg.hidden_size)

    def block(self) -> PatchBlock:
        """LayerNorm and a feed-forward network of two matrices."""
        cfg, width = self.config, self.width
        norm, mlp = (
            partial(LayerNorm, width, EPS),
            Mlp(width, width * cfg.mlp_ratio, cfg.hidden_act),
        )
        return PatchBlock(norm(), PackedAttention(width, cfg.num_heads), norm(), mlp)

    def forward(self, pixel_values: Tensor, grids: Sequence[Grid]) -> BaseOutput:
        """`(patches, values)` → `(patches, size)`, and pooled the merged vectors."""
        x, table = self.patch_embed(pixel_values), self.table(grids)
        runs = [(times, rows * columns) for times, rows, columns in grids]
        for block in self.blocks:
            x = block(x, table, runs)
        return BaseOutput(x, self.merger(x))


class Qwen25VLVision(Vision):
    """Attention within windows, in a few layers of all patches of a picture."""

    config_class = WindowedVisionConfig

    def __init__(self, cfg: WindowedVisionConfig) -> None:
        super().__init__(cfg, cfg.hidden_size)
        self.merger = self.merger_of(RMSNorm(cfg.hidden_size, EPS), cfg.out_hidden_size)

    def block(self) -> PatchBlock:
        """RMS norms and a gated feed-forward network."""
        cfg, width = self.config, self.width
        act = None if cfg.hidden_act == "silu" else ACTIVATIONS[cfg.hidden_act]
        mlp = GatedMlp(width, cfg.intermediate_size, bias=True, act=act)
        norm = partial(RMSNorm, width, EPS)
        return PatchBlock(norm(), PackedAttention(width, cfg.num_heads), norm(), mlp)

    def forward(self, pixel_values: Tensor, grids: Sequence[Grid]) -> BaseOutput:
        """`(patches, values)` → `(patches, size)` by windows, and pooled the merged vectors."""
        cfg, squared = self.config, self.config.spatial_merge_size**2
        edge = cfg.window_size // cfg.spatial_merge_size // cfg.patch_size
        order, pieces = windows_of(grids, cfg.spatial_merge_size, edge)
        at, back = tensor(order, dtype=i64), tensor(_inverse(order), dtype=i64)

        def ordered(x: Tensor) -> Tensor:
            return x.reshape(-1, squared, x.shape[-1]).index_select(0, at).reshape(x.shape)

        x = ordered(self.patch_embed(pixel_values))
        table = ordered(self.table(grids)[0]).unsqueeze(0)
        windows: list[Run] = [(count, length * squared) for count, length in pieces]
        whole = [(times, rows * columns) for times, rows, columns in grids]
        for index, block in enumerate(self.blocks):
            x = block(x, table, whole if index in cfg.fullatt_block_indexes else windows)
        return BaseOutput(x, self.merger(x).index_select(0, back))


def _inverse(order: Sequence[int]) -> list[int]:
    found = [0] * len(order)
    for place, index in enumerate(order):
        found[index] = place
    return found


class Qwen2VLForConditionalGeneration(GridVision):
    """Pictures and text to text."""

    config_class = Qwen2VLConfig
    vision_class: ClassVar[Any] = Qwen2VLVision
    rules = (
        rename("model.visual.*", "visual.*"),
        rename("model.language_model.*", "model.*"),
    )

    def __init__(self, cfg: Qwen2VLConfig) -> None:
        self.config, text = cfg, cfg.text_config
        self.visual = self.vision_class(cfg.vision_config)
        self.model = Qwen2VLText(text)
        self.lm_head = Linear(text.hidden_size, text.vocab_size, bias=False)
        if cfg.tie_word_embeddings or text.tie_word_embeddings:
            tie(self.lm_head, "weight", self.model.embed_tokens, "weight")

    @property
    def decoder(self) -> DecoderModel:
        """The decoder without a head."""
        return self.model

    def vectors(self, pixels: Tensor, grids: Sequence[Grid]) -> Tensor:
        """The merged vectors of all pictures."""
        return self.visual(pixels, grids).pooler_output


class Qwen25VLForConditionalGeneration(Qwen2VLForConditionalGeneration):
    """The same with windows over pictures."""

    config_class = Qwen25VLConfig
    vision_class = Qwen25VLVision
