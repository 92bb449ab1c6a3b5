"""Qwen2-VL and Qwen2.5-VL: pictures of any size, positions of three axes (arXiv 2409.12191)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Self

from tallow.dtype import i64
from tallow.factories import tensor
from tallow.lazy_dataclasses import replace
from tallow.models.base import Model
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.mlp import GatedMlp
from tallow.models.blocks.patch_grids import (
    Grid,
    PackedAttention,
    PatchBlock,
    PatchLinear,
    PatchMerger,
    Run,
    axial_table,
    grids_of,
    patch_places,
    text_places,
    windows_of,
)
from tallow.models.blocks.vision import Mlp
from tallow.models.config import DecoderConfig, read_flagged_windows
from tallow.models.configs import Config, activation, custom, layers, size, sizes
from tallow.models.decoder_model import DecoderModel
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput, LogitsOutput
from tallow.models.parts import section
from tallow.models.pictures import Picture
from tallow.models.placed_states import PlacedState
from tallow.models.states import State
from tallow.models.vision_configs import read_axes, rotary_theta, text_section
from tallow.models.vision_language import Pictures, VisionLanguage
from tallow.nn import GELU, LayerNorm, Linear, Module, ModuleList, RMSNorm, tie
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
        _check_heads(fields, "embed_dim", self.embed_dim, self.num_heads)


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
        _check_heads(fields, "hidden_size", self.hidden_size, self.num_heads)
        least = self.patch_size * self.spatial_merge_size
        if self.window_size < least:
            raise fields.error("window_size", f"at least {least} pixels", self.window_size)


def _check_heads(fields: Fields, name: str, width: int, heads: int) -> None:
    if width % (4 * heads):
        raise fields.error(name, f"a multiple of 4 times the {heads} heads", width)


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


class Vision(Model):
    """Patches through layers, each picture for itself; squares of them become one vector."""

    merger: Module

    def __init__(self, cfg: Any, width: int) -> None:
        self.config, self.width = cfg, width
        shape = (cfg.in_channels, cfg.temporal_patch_size, cfg.patch_size, cfg.patch_size)
        self.patch_embed = PatchLinear(width, shape, bias=False)
        self.blocks = ModuleList([self.block() for _ in range(cfg.depth)])

    def block(self) -> PatchBlock:
        """A layer."""
        raise NotImplementedError

    def merger_of(self, norm: Module, out: int) -> PatchMerger:
        """What makes one vector of a square of patches."""
        return PatchMerger(norm, self.width, self.config.spatial_merge_size**2, out, GELU())

    def table(self, grids: Sequence[Grid]) -> Tensor:
        """Cosines and sines by which patches turn."""
        cfg = self.config
        places = patch_places(grids, cfg.spatial_merge_size)
        return axial_table(places, self.width // cfg.num_heads, cfg.theta)


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


class Qwen2VLForConditionalGeneration(VisionLanguage):
    """Pictures and text to text."""

    config_class = Qwen2VLConfig
    vision_class: ClassVar[Any] = Qwen2VLVision
    picture_inputs = ("pixel_values", "image_grid_thw", "mm_token_type_ids")
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

    def features(self, pictures: Pictures) -> Tensor:
        """The merged vectors of all pictures."""
        pixels = pictures["pixel_values"]
        merge = self.config.vision_config.spatial_merge_size
        grids = grids_of(pictures.get("image_grid_thw"), pixels.shape[0], merge)
        pooled = self.visual(pixels, grids).pooler_output
        assert pooled is not None
        return pooled

    def places(self, ids: Tensor, mask: Tensor | None, pictures: Pictures) -> Tensor:
        """Of three axes within pictures."""
        merge = self.config.vision_config.spatial_merge_size
        grids = grids_of(pictures.get("image_grid_thw"), None, merge)
        merged = [(times, rows // merge, columns // merge) for times, rows, columns in grids]
        return text_places(ids, self.image_token, mask, merged)

    def picture(self, image: Any) -> Picture:
        """Its patches, and as many places as squares of them."""
        batch = self.image_processor([image])
        grid, merge = batch["image_grid_thw"], self.config.vision_config.spatial_merge_size
        ((times, rows, columns),) = grid.tolist()
        count = times * (rows // merge) * (columns // merge)
        inputs = {"pixel_values": batch.pixel_values, "image_grid_thw": grid}
        return Picture(inputs, [self.image_token] * count)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        state: State | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_grid_thw: Any = None,
        mm_token_type_ids: Tensor | None = None,
        *,
        logits_to_keep: int = 0,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """Token ids `(batch, length)` and pictures → logits `(batch, length, vocab_size)`.

        `pixel_values` `(patches, values)` are the patches of all pictures, as `image_grid_thw`
        `(pictures, 3)` says; their places are the ids `image_token_id`, so that
        `mm_token_type_ids` tell nothing new. The others are as of `CausalLM`.

        Raises:
            ArgumentError: ids, patches and grids do not belong together.
            ContextError, ShapeError: as of `CausalLM`.
        """
        return self.answer(
            input_ids,
            {"pixel_values": pixel_values, "image_grid_thw": image_grid_thw},
            attention_mask,
            position_ids,
            state,
            inputs_embeds,
            labels,
            keep=logits_to_keep,
            hidden=output_hidden_states,
        )


class Qwen25VLForConditionalGeneration(Qwen2VLForConditionalGeneration):
    """The same with windows over pictures."""

    config_class = Qwen25VLConfig
    vision_class = Qwen25VLVision
