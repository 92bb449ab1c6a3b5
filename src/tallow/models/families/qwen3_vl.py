"""Qwen3-VL: several layers of the tower go into layers of the decoder (DeepStack, 2406.04334)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Self

from tallow.dtype import i64
from tallow.lazy_dataclasses import replace
from tallow.models.base import Model
from tallow.models.blocks import Rope
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.heads import Mask
from tallow.models.blocks.mlp import Mlp
from tallow.models.blocks.patch_grids import (
    Grid,
    PackedAttention,
    PatchBlock,
    PatchLinear,
    axial_table,
    patch_places,
    square_shares,
)
from tallow.models.blocks.positions import last_positions
from tallow.models.config import DecoderConfig
from tallow.models.configs import Config, activation, custom, layers, size, sizes
from tallow.models.decoder_model import DecoderModel, decoder_layer
from tallow.models.fields import Fields
from tallow.models.grid_vision import GridVision, check_heads
from tallow.models.outputs import Output
from tallow.models.parts import section
from tallow.models.placed_states import PlacedState
from tallow.models.states import KeyValue, State
from tallow.models.vision_configs import read_axes, rotary_theta, text_section
from tallow.nn import Embedding, LayerNorm, Linear, Module, ModuleList, RMSNorm, tie
from tallow.nn import functional as F
from tallow.ops import cat
from tallow.tensor import Tensor

EPS = 1e-6  # of the norms of pictures
NAMES = ("linear_fc1", "linear_fc2")


class TextConfig(DecoderConfig):
    """Of Hugging Face's `Qwen3VLTextConfig`."""

    theta = 500000.0

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Frequencies of the three axes take turns."""
        fields = fields.with_defaults(
            num_key_value_heads=32, max_position_embeddings=128000, head_dim=128
        )
        cfg, bias = super().read(fields), fields.flag("attention_bias")
        axes = read_axes(fields, cfg.head_dim // 2, (24, 20, 20), interleaved=True)
        return replace(cfg, qkv_bias=bias, output_bias=bias, rope_axes=axes)


class VisionConfig(Config):
    """Of Hugging Face's `Qwen3VLVisionConfig`."""

    depth: int = layers(27, "num_hidden_layers")
    hidden_size: int = size(1152)
    hidden_act: str = activation("gelu_pytorch_tanh")
    intermediate_size: int = size(4304)
    num_heads: int = size(16, "num_attention_heads")
    in_channels: int = size(3)
    patch_size: int = size(16)
    spatial_merge_size: int = size(2)
    temporal_patch_size: int = size(2)
    out_hidden_size: int = size(3584)
    num_position_embeddings: int = size(2304)
    deepstack_visual_indexes: tuple[int, ...] = sizes(8, 16, 24, low=0)
    theta: float = custom(10000.0, lambda fields, *_: rotary_theta(fields))

    without_effect = frozenset({"rope_parameters"})

    def check(self, fields: Fields) -> None:
        """Pairs of each axis in a head, a square table, and layers that are there."""
        check_heads(fields, "hidden_size", self.hidden_size, self.num_heads)
        if self.side**2 != self.num_position_embeddings:
            found = self.num_position_embeddings
            raise fields.error("num_position_embeddings", "a square number", found)
        chosen = self.deepstack_visual_indexes
        if sorted(set(chosen)) != list(chosen) or (chosen and chosen[-1] >= self.depth):
            wanted = f"rising numbers below the {self.depth} layers"
            raise fields.error("deepstack_visual_indexes", wanted, list(chosen))

    @property
    def side(self) -> int:
        """The edge of the table of positions."""
        return int(self.num_position_embeddings**0.5)


class Qwen3VLConfig(Config):
    """Of Hugging Face's `Qwen3VLConfig`."""

    text_config: Any = text_section(TextConfig)
    vision_config: Any = section(VisionConfig)
    image_token_id: int = size(151655, low=0, high=2**31 - 1)
    tie_word_embeddings: bool = False

    without_effect = frozenset({"video_token_id", "vision_start_token_id", "vision_end_token_id"})

    @property
    def num_hidden_layers(self) -> int:
        """The layers of the decoder."""
        return int(self.text_config.num_hidden_layers)

    def check(self, fields: Fields) -> None:
        """The decoder has a layer for each that is given to it."""
        count = len(self.vision_config.deepstack_visual_indexes)
        if count > self.text_config.num_hidden_layers:
            wanted = f"at most {self.text_config.num_hidden_layers} deepstack_visual_indexes"
            raise fields.error("vision_config", wanted, count)


class Qwen3VLText(DecoderModel):
    """The decoder; what is wider than it goes, piece by piece, behind its first layers."""

    state_class: ClassVar[type[State]] = PlacedState

    @staticmethod
    def make_layer(cfg: Any, index: int, rope: Rope | None) -> Module:
        """Attention with normalised heads, and gated feed-forward."""
        norm = partial(RMSNorm, cfg.head_dim, cfg.rms_norm_eps)
        return decoder_layer(cfg, index, rope, q_norm=norm(), k_norm=norm())

    def forward_static(
        self,
        ids: Tensor | None,
        *,
        embeds: Tensor | None = None,
        positions: Tensor | None = None,
        mask: Mask | None = None,
        states: Sequence[KeyValue | None] | None = None,
        seen: list[Tensor] | None = None,
        last: int = 0,
    ) -> Tensor:
        """As of `Decoder`; `embeds` may be `(batch, length, size * (1 + layers))`."""
        width = self.config.hidden_size
        if embeds is None or embeds.shape[-1] == width or positions is None or self.rope is None:
            return super().forward_static(
                ids, embeds=embeds, positions=positions, mask=mask, states=states, seen=seen,
                last=last,
            )  # fmt: skip
        x, *more = (embeds.narrow(-1, at, width) for at in range(0, embeds.shape[-1], width))
        x, table = x.contiguous(), self.rope.table(positions)
        for i, layer in enumerate(self.layers):
            if seen is not None:  # what layers give, as in transformers without what is added
                seen.append(x)
            x = x if i == 0 or i > len(more) else x + more[i - 1]
            x = layer(x, positions=table, mask=mask, state=None if states is None else states[i])
        if len(more) == len(self.layers):
            x = x + more[-1]
        x = self.last_norm(x)
        if seen is not None:
            seen.append(x)
        return last_positions(x, last)


class DeepOutput(Output):
    """Merged vectors of pictures, and those of some layers before the last."""

    pooler_output: Tensor
    deepstack_features: tuple[Tensor, ...] = ()


class Merger(Module):
    """Squares of patches as one vector each: a norm before or `behind` joining, and two layers."""

    def __init__(self, width: int, squared: int, out: int, *, behind: bool) -> None:
        self.width = width * squared
        self.norm = LayerNorm(self.width if behind else width, EPS)
        self.linear_fc1 = Linear(self.width, self.width)
        self.linear_fc2 = Linear(self.width, out)
        self.behind = behind

    def forward(self, x: Tensor) -> Tensor:
        """`(patches, size)` → `(patches / squared, out)`."""
        x = x.reshape(-1, self.width) if self.behind else x
        x = self.norm(x).reshape(-1, self.width)
        return self.linear_fc2(F.gelu(self.linear_fc1(x)))


class Qwen3VLVision(Model):
    """Patches with positions of a table, through layers of attention of all of a picture."""

    config_class = VisionConfig

    def __init__(self, cfg: VisionConfig) -> None:
        self.config, width, squared = cfg, cfg.hidden_size, cfg.spatial_merge_size**2
        shape = (cfg.in_channels, cfg.temporal_patch_size, cfg.patch_size, cfg.patch_size)
        self.patch_embed = PatchLinear(width, shape, bias=True)
        self.pos_embed = Embedding(cfg.num_position_embeddings, width)
        norm, act = partial(LayerNorm, width, EPS), ACTIVATIONS[cfg.hidden_act]
        self.blocks = ModuleList(
            [
                PatchBlock(
                    norm(), PackedAttention(width, cfg.num_heads), norm(),
                    Mlp(width, cfg.intermediate_size, act, names=NAMES),
                )
                for _ in range(cfg.depth)
            ]
        )  # fmt: skip
        merger = partial(Merger, width, squared, cfg.out_hidden_size)
        self.merger = merger(behind=False)
        deep = cfg.deepstack_visual_indexes
        self.deepstack_merger_list = ModuleList([merger(behind=True) for _ in deep])

    def forward(self, pixel_values: Tensor, grids: Sequence[Grid]) -> DeepOutput:
        """`(patches, values)` → merged vectors, `(merged patches, size)` each."""
        cfg = self.config
        places = patch_places(grids, cfg.spatial_merge_size)
        table = axial_table(places, cfg.hidden_size // cfg.num_heads, cfg.theta)
        x = self.patch_embed(pixel_values)
        for indices, weights in square_shares(places, grids, cfg.side):
            x = x + self.pos_embed(indices.to(i64)) * weights.unsqueeze(1)
        runs = [(times, rows * columns) for times, rows, columns in grids]
        deep: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x = block(x, table, runs)
            if index in cfg.deepstack_visual_indexes:
                deep.append(self.deepstack_merger_list[len(deep)](x))
        return DeepOutput(self.merger(x), tuple(deep))


class Parts(Module):
    """Both sides, under `model`."""

    def __init__(self, cfg: Qwen3VLConfig) -> None:
        self.visual = Qwen3VLVision(cfg.vision_config)
        self.language_model = Qwen3VLText(cfg.text_config)


class Qwen3VLForConditionalGeneration(GridVision):
    """Pictures and text to text."""

    config_class = Qwen3VLConfig

    def __init__(self, cfg: Qwen3VLConfig) -> None:
        self.config, text = cfg, cfg.text_config
        self.model = Parts(cfg)
        self.lm_head = Linear(text.hidden_size, text.vocab_size, bias=False)
        if cfg.tie_word_embeddings or text.tie_word_embeddings:
            tie(self.lm_head, "weight", self.model.language_model.embed_tokens, "weight")

    @property
    def decoder(self) -> DecoderModel:
        """The decoder without a head."""
        return self.model.language_model

    @property
    def embed_size(self) -> int:
        """The decoder's width, once more for each layer that is given vectors of pictures."""
        count = len(self.config.vision_config.deepstack_visual_indexes)
        return int(self.config.text_config.hidden_size * (1 + count))

    def vectors(self, pixels: Tensor, grids: Sequence[Grid]) -> Tensor:
        """The merged vectors, and beside each those for the decoder's first layers."""
        found = self.model.visual(pixels, grids)
        return cat([found.pooler_output, *found.deepstack_features], -1)
