"""SAM: masks of what points, boxes or masks point at in a picture (arXiv 2304.02643)."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from tallow.dtype import f32
from tallow.errors import ArgumentError, expect
from tallow.factories import arange, full_like, ones_like, zeros
from tallow.models.base import Model
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.attention import Attention
from tallow.models.blocks.conv import LayerNorm2d
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.heads import merge_heads
from tallow.models.blocks.swin import windowed
from tallow.models.blocks.tiny_vit import TinyVit, TinyVitConfig, authors_names
from tallow.models.blocks.vision import pictures
from tallow.models.configs import Config, activation, layers, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput, HiddenStates, Output
from tallow.models.parts import section
from tallow.nn import (
    Conv2d,
    ConvTranspose2d,
    LayerNorm,
    Linear,
    Module,
    ModuleList,
    init,
    param,
    tie,
)
from tallow.nn import functional as F
from tallow.ops import attention, cat, eye, stack, where
from tallow.tensor import Tensor
from tallow.weights.arrange import Rule, rename

ABSENT, PADDING = -1, -10  # labels of points that are none


@dataclass(frozen=True, kw_only=True)
class SamVisionConfig(Config):
    """Of Hugging Face's `SamVisionConfig`."""

    hidden_size: int = size(768)
    output_channels: int = size(256)
    num_hidden_layers: int = layers(12)
    num_attention_heads: int = size(12)
    num_channels: int = size(3)
    image_size: int = size(1024, high=1 << 14)
    patch_size: int = size(16)
    hidden_act: str = activation("gelu")
    layer_norm_eps: float = 1e-6
    qkv_bias: bool = True
    mlp_ratio: float = 4.0
    mlp_dim: int | None = None
    use_abs_pos: bool = True
    use_rel_pos: bool = True
    window_size: int = size(14, low=0, high=1024)
    global_attn_indexes: tuple[int, ...] = sizes(2, 5, 8, 11, low=0)
    num_pos_feats: int = size(128)

    without_effect = frozenset({"scale", "projection_dim"})

    def check(self, fields: Fields) -> None:
        """A picture holds a patch."""
        if self.side < 1:
            raise fields.misfit("image_size", f"at least {self.patch_size}", self.image_size)

    @property
    def side(self) -> int:
        """Patches along each side of a picture."""
        return self.image_size // self.patch_size


@dataclass(frozen=True, kw_only=True)
class SamPromptEncoderConfig(Config):
    """Of Hugging Face's `SamPromptEncoderConfig`."""

    hidden_size: int = size(256)
    image_size: int = size(1024)
    patch_size: int = size(16)
    mask_input_channels: int = size(16, low=4)
    num_point_embeddings: int = size(4, low=4, high=64)
    hidden_act: str = activation("gelu")
    layer_norm_eps: float = 1e-6

    without_effect = frozenset({"image_embedding_size", "input_image_size"})


@dataclass(frozen=True, kw_only=True)
class SamMaskDecoderConfig(Config):
    """Of Hugging Face's `SamMaskDecoderConfig`."""

    hidden_size: int = size(256, low=8)
    hidden_act: str = activation("relu")
    mlp_dim: int = size(2048)
    num_hidden_layers: int = layers(2)
    num_attention_heads: int = size(8)
    attention_downsample_rate: int = size(2)
    num_multimask_outputs: int = size(3, high=64)
    iou_head_depth: int = size(3, low=2, high=64)
    iou_head_hidden_dim: int = size(256)
    layer_norm_eps: float = 1e-6


@dataclass(frozen=True, kw_only=True)
class SamConfig(Config):
    """Of Hugging Face's `SamConfig`."""

    vision_config: Any = section("sam_vision_model")
    prompt_encoder_config: Any = section(SamPromptEncoderConfig)
    mask_decoder_config: Any = section(SamMaskDecoderConfig)

    without_effect = frozenset({"tie_word_embeddings"})

    def check(self, fields: Fields) -> None:
        """The three parts meet in one width and one size."""
        vision, prompt, masks = (
            self.vision_config,
            self.prompt_encoder_config,
            self.mask_decoder_config,
        )
        widths = vision.output_channels, prompt.hidden_size, masks.hidden_size
        if len({*widths, 2 * vision.num_pos_feats}) > 1:
            wanted = f"one width, 2 * num_pos_feats = {2 * vision.num_pos_feats}"
            raise fields.misfit("vision_config", wanted, widths)
        if vision.side != prompt.image_size // prompt.patch_size:
            wanted = f"{vision.side} patches a side, as vision_config has"
            raise fields.misfit("prompt_encoder_config", wanted, prompt.image_size)


@dataclass(frozen=True, kw_only=True)
class MobileSamVisionConfig(TinyVitConfig):
    """TinyViT whose last stage keeps the size, and the neck (arXiv 2306.14289)."""

    image_size: int = size(1024, high=1 << 14)
    num_channels: int = size(3)
    output_channels: int = size(256)
    num_pos_feats: int = size(128)

    @property
    def side(self) -> int:
        """Of the map, which patches and all stages but the first and the last halve."""
        side = self.image_size
        for _ in self.depths:
            side = (side + 1) // 2
        return side


@dataclass(frozen=True, kw_only=True)
class MobileSamMaskDecoderConfig(SamMaskDecoderConfig):
    """As its authors compute, not as transformers does."""

    layer_norm_eps: float = 1e-5


@dataclass(frozen=True, kw_only=True)
class MobileSamConfig(SamConfig):
    """Of MobileSAM, whose files come without one; the defaults are theirs."""

    vision_config: Any = section(MobileSamVisionConfig)
    mask_decoder_config: Any = section(MobileSamMaskDecoderConfig)


class MlpBlock(Module):
    """`lin2(act(lin1(x)))`."""

    def __init__(self, size: int, hidden: int, act: str) -> None:
        self.lin1 = Linear(size, hidden)
        self.lin2 = Linear(hidden, size)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        out: Tensor = self.lin2(self.act(self.lin1(x)))
        return out


class VisionAttention(Module):
    """Attention in a square, with positions relative in rows and columns by learned vectors."""

    def __init__(self, cfg: SamVisionConfig, side: int) -> None:
        width, heads = cfg.hidden_size, cfg.num_attention_heads
        self.qkv = Linear(width, 3 * width, bias=cfg.qkv_bias)
        self.proj = Linear(width, width)
        self.heads, self.side = heads, side
        self.rel_pos_h = self.rel_pos_w = None
        if cfg.use_rel_pos:
            self.rel_pos_h = param(2 * side - 1, width // heads, init=init.zeros, dtype=f32)
            self.rel_pos_w = param(2 * side - 1, width // heads, init=init.zeros, dtype=f32)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, side², size)` → the same shape."""
        b, n, width = x.shape
        both = self.qkv(x).reshape(b, n, 3, self.heads, width // self.heads)
        q, k, v = (both[:, :, i].transpose(1, 2) for i in range(3))
        scale = q.shape[-1] ** -0.5
        if self.rel_pos_h is not None and self.rel_pos_w is not None:
            # A bias for each row and each column of keys: what a query says of them stands behind
            # it, and behind each key which row and column it is in. No n × n table is made.
            q, k = self.with_places(q, k, scale)
            scale = 1.0
        out: Tensor = self.proj(merge_heads(attention(q, k, v, scale=scale)))
        return out

    def with_places(self, q: Tensor, k: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Queries and keys, wider by rows and columns."""
        b, heads, n, d = q.shape
        side = self.side
        line = arange(side)
        index = (line.unsqueeze(1) - line + side - 1).flatten()
        down, across = (
            table.index_select(0, index).reshape(side, side, d).transpose(1, 2)
            for table in (self.rel_pos_h, self.rel_pos_w)
            if table is not None
        )
        grid = q.reshape(b * heads, side, side, d)
        rows = (grid @ down).reshape(b, heads, n, side)
        columns = (grid.transpose(1, 2) @ across).transpose(1, 2).reshape(b, heads, n, side)
        one = eye(side)
        places = cat([one.repeat_interleave(side, 0), one.repeat(side, 1)], 1)
        wide = cat([k, places.expand(b, heads, n, 2 * side)], -1)
        return cat([q * scale, rows, columns], -1), wide


class VisionLayer(Module):
    """Attention in windows (or everywhere) and feed-forward, each normalised before."""

    def __init__(self, cfg: SamVisionConfig, window: int) -> None:
        width = cfg.hidden_size
        self.layer_norm1 = LayerNorm(width, cfg.layer_norm_eps)
        self.attn = VisionAttention(cfg, window)
        self.layer_norm2 = LayerNorm(width, cfg.layer_norm_eps)
        hidden = int(width * cfg.mlp_ratio) if cfg.mlp_dim is None else cfg.mlp_dim
        self.mlp = MlpBlock(width, hidden, cfg.hidden_act)
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, rows, columns, size)` → the same shape."""
        x = x + windowed(self.attn, self.layer_norm1(x), self.window, 0, None)
        out: Tensor = x + self.mlp(self.layer_norm2(x))
        return out


class Neck(Module):
    """Two convolutions, each normalised."""

    def __init__(self, size: int, out: int) -> None:
        self.conv1 = Conv2d(size, out, 1, bias=False)
        self.layer_norm1 = LayerNorm2d(out, 1e-6)
        self.conv2 = Conv2d(out, out, 3, padding=1, bias=False)
        self.layer_norm2 = LayerNorm2d(out, 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, rows, columns)` → `(batch, out, rows, columns)`."""
        out: Tensor = self.layer_norm2(self.conv2(self.layer_norm1(self.conv1(x))))
        return out


class Patches(Module):
    """Patches of a picture, under `projection`."""

    def __init__(self, cfg: SamVisionConfig) -> None:
        self.projection = Conv2d(cfg.num_channels, cfg.hidden_size, cfg.patch_size, cfg.patch_size)


def square(x: Tensor, channels: int, side: int) -> Tensor:
    """`x`, which must be `(batch, channels, side, side)`.

    Raises:
        ShapeError: it is of other axes, channels or size.
    """
    fits = pictures(x, channels).shape[2:] == (side, side)
    expect(fits, "pixel_values", f"pictures of {side} × {side}", tuple(x.shape))
    return x


class VisionEncoder(Module):
    """Patches of a picture of one size, layers, neck."""

    def __init__(self, cfg: SamVisionConfig) -> None:
        side = cfg.side
        self.patch_embed = Patches(cfg)
        self.pos_embed = None
        if cfg.use_abs_pos:
            self.pos_embed = param(1, side, side, cfg.hidden_size, init=init.zeros)
        everywhere = set(cfg.global_attn_indexes) if cfg.window_size else range(1 << 12)
        self.layers = ModuleList(
            [
                VisionLayer(cfg, side if i in everywhere else cfg.window_size)
                for i in range(cfg.num_hidden_layers)
            ]
        )
        self.neck = Neck(cfg.hidden_size, cfg.output_channels)
        self.size = cfg.image_size

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """`(batch, channels, height, width)` → `(batch, out, rows, columns)`, and the states.

        Raises:
            ShapeError: the picture is of another size.
        """
        convolution = self.patch_embed.projection
        tokens = convolution(square(x, convolution.in_channels, self.size)).permute(0, 2, 3, 1)
        states = [tokens if self.pos_embed is None else tokens + self.pos_embed]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return self.neck(states[-1].permute(0, 3, 1, 2)), states


class TinyVisionEncoder(TinyVit):
    """TinyViT for a picture of one size, neck."""

    def __init__(self, cfg: MobileSamVisionConfig) -> None:
        super().__init__(cfg, cfg.num_channels, last_stride=1)
        self.neck = Neck(cfg.embed_dims[-1], cfg.output_channels)
        self.size = cfg.image_size

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """`(batch, channels, height, width)` → `(batch, out, rows, columns)`, and the states.

        Raises:
            ShapeError: the picture is of another size.
        """
        found = self.maps(square(x, self.channels, self.size))
        return self.neck(found[-1]), [each.permute(0, 2, 3, 1) for each in found]


class Positions(Module):
    """Sines and cosines of random directions, for points of the unit square."""

    def __init__(self, features: int) -> None:
        self.positional_embedding = param(2, features, init=init.zeros, dtype=f32)

    def forward(self, points: Tensor) -> Tensor:
        """`(..., 2)` from 0 to 1 → `(..., 2 * features)`."""
        angle = ((2 * points - 1) @ self.positional_embedding) * (2 * math.pi)
        out: Tensor = cat([angle.sin(), angle.cos()], -1)
        return out


class MaskEmbedding(Module):
    """A mask as a map of the size of the picture's."""

    def __init__(self, cfg: SamPromptEncoderConfig) -> None:
        channels, eps = cfg.mask_input_channels, cfg.layer_norm_eps
        self.conv1 = Conv2d(1, channels // 4, 2, 2)
        self.conv2 = Conv2d(channels // 4, channels, 2, 2)
        self.conv3 = Conv2d(channels, cfg.hidden_size, 1)
        self.layer_norm1 = LayerNorm2d(channels // 4, eps)
        self.layer_norm2 = LayerNorm2d(channels // 4 * 4, eps)
        self.act = ACTIVATIONS[cfg.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, 1, 4 * rows, 4 * columns)` → `(batch, size, rows, columns)`."""
        x = self.act(self.layer_norm1(self.conv1(x)))
        out: Tensor = self.conv3(self.act(self.layer_norm2(self.conv2(x))))
        return out


def rows(table: Embedding) -> Tensor:
    """All of a table, in f32."""
    out: Tensor = table(arange(table.num_embeddings))
    return out


class PromptEncoder(Module):
    """Points, boxes and masks as vectors and a map."""

    def __init__(self, cfg: SamPromptEncoderConfig, positions: Positions) -> None:
        width = cfg.hidden_size
        self.shared_embedding = Positions(positions.positional_embedding.shape[1])
        tie(self.shared_embedding, "positional_embedding", positions, "positional_embedding")
        self.mask_embed = MaskEmbedding(cfg)
        self.no_mask_embed = Embedding(1, width)
        self.point_embed = ModuleList(
            [Embedding(1, width) for _ in range(cfg.num_point_embeddings)]
        )
        self.not_a_point_embed = Embedding(1, width)
        self.image, self.side = cfg.image_size, cfg.image_size // cfg.patch_size

    def points(self, points: Tensor, labels: Tensor) -> Tensor:
        """`(batch, prompts, n, 2)` in pixels, their labels → `(batch, prompts, n, size)`."""
        found = self.shared_embedding(points / self.image)
        kind = labels.unsqueeze(-1)
        found = where(kind.eq(ABSENT), rows(self.not_a_point_embed), found)
        found = where(kind.eq(PADDING), found * 0, found)
        for label in (0, 1):
            found = where(kind.eq(label), found + rows(self.point_embed[label]), found)
        return found

    def boxes(self, boxes: Tensor) -> Tensor:
        """`(batch, prompts, 4)` of corners in pixels → `(batch, prompts, 2, size)`."""
        corners = (boxes + 0.5).reshape(*boxes.shape[:2], 2, 2)
        kinds = cat([rows(self.point_embed[i]) for i in (2, 3)], 0)
        out: Tensor = self.shared_embedding(corners / self.image) + kinds
        return out

    def forward(
        self,
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None,
        masks: Tensor | None,
    ) -> tuple[Tensor | None, Tensor]:
        """Vectors `(batch, prompts, n, size)`, if any, and a map `(batch or 1, size, …)`."""
        parts: list[Tensor] = []
        if points is not None:
            assert labels is not None, "points come with labels"
            points, labels = points + 0.5, labels.to(f32)
            if boxes is None:  # one more point, which is none
                b, p = points.shape[:2]
                points = cat([points, zeros(b, p, 1, 2)], 2)
                labels = cat([labels, full_like(labels[:, :, :1], ABSENT)], 2)
            parts.append(self.points(points, labels))
        if boxes is not None:
            parts.append(self.boxes(boxes))
        if masks is None:
            dense = rows(self.no_mask_embed).reshape(1, -1, 1, 1)
            dense = dense.expand(1, -1, self.side, self.side)
        else:
            dense = self.mask_embed(masks)
        return cat(parts, 2) if parts else None, dense


class TwoWayLayer(Module):
    """Tokens see each other, then the picture, and the picture sees them."""

    def __init__(self, cfg: SamMaskDecoderConfig) -> None:
        width, eps = cfg.hidden_size, cfg.layer_norm_eps
        self.self_attn = projecting(cfg, 1)
        self.layer_norm1 = LayerNorm(width, eps)
        self.cross_attn_token_to_image = projecting(cfg, cfg.attention_downsample_rate)
        self.layer_norm2 = LayerNorm(width, eps)
        self.mlp = MlpBlock(width, cfg.mlp_dim, cfg.hidden_act)
        self.layer_norm3 = LayerNorm(width, eps)
        self.layer_norm4 = LayerNorm(width, eps)
        self.cross_attn_image_to_token = projecting(cfg, cfg.attention_downsample_rate)

    def forward(
        self, tokens: Tensor, image: Tensor, prompts: Tensor, places: Tensor, first: bool
    ) -> tuple[Tensor, Tensor]:
        """Both sides, `(batch, n, size)` each; `first` tokens are prompts alone."""
        if first:
            tokens = self.self_attn(tokens)
        else:
            tokens = tokens + self.self_attn(tokens, q_extra=prompts, k_extra=prompts)
        tokens = self.layer_norm1(tokens)
        seen = self.cross_attn_token_to_image(
            tokens, context=image, q_extra=prompts, k_extra=places
        )
        tokens = self.layer_norm2(tokens + seen)
        tokens = self.layer_norm3(tokens + self.mlp(tokens))
        seen = self.cross_attn_image_to_token(
            image, context=tokens, q_extra=places, k_extra=prompts
        )
        return tokens, self.layer_norm4(image + seen)


def projecting(cfg: SamMaskDecoderConfig, rate: int) -> Attention:
    """Attention in a width that is smaller by `rate`."""
    width, heads = cfg.hidden_size, cfg.num_attention_heads
    return Attention(width, heads, head_dim=width // rate // heads, bias=True, out_name="out_proj")


class TwoWay(Module):
    """The layers, and a last look at the picture."""

    def __init__(self, cfg: SamMaskDecoderConfig) -> None:
        self.layers = ModuleList([TwoWayLayer(cfg) for _ in range(cfg.num_hidden_layers)])
        self.final_attn_token_to_image = projecting(cfg, cfg.attention_downsample_rate)
        self.layer_norm_final_attn = LayerNorm(cfg.hidden_size)

    def forward(self, prompts: Tensor, image: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """`(batch, n, size)`, `(batch, pixels, size)` → the same shapes."""
        tokens = prompts
        for i, layer in enumerate(self.layers):
            tokens, image = layer(tokens, image, prompts, places, i == 0)
        seen = self.final_attn_token_to_image(
            tokens, context=image, q_extra=prompts, k_extra=places
        )
        return self.layer_norm_final_attn(tokens + seen), image


class FeedForward(Module):
    """Linear layers with ReLU between."""

    def __init__(self, size: int, hidden: int, out: int, depth: int) -> None:
        self.proj_in = Linear(size, hidden)
        self.proj_out = Linear(hidden, out)
        self.layers = ModuleList([Linear(hidden, hidden) for _ in range(depth - 2)])

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → `(..., out)`."""
        x = F.relu(self.proj_in(x))
        for layer in self.layers:
            x = F.relu(layer(x))
        out: Tensor = self.proj_out(x)
        return out


class MaskDecoder(Module):
    """Masks and how good they are, from prompts and the picture's map."""

    def __init__(self, cfg: SamMaskDecoderConfig) -> None:
        width, count = cfg.hidden_size, cfg.num_multimask_outputs + 1
        self.iou_token = Embedding(1, width)
        self.mask_tokens = Embedding(count, width)
        self.transformer = TwoWay(cfg)
        self.upscale_conv1 = ConvTranspose2d(width, width // 4, 2, 2)
        self.upscale_conv2 = ConvTranspose2d(width // 4, width // 8, 2, 2)
        self.upscale_layer_norm = LayerNorm2d(width // 4, 1e-6)
        self.output_hypernetworks_mlps = ModuleList(
            [FeedForward(width, width, width // 8, 3) for _ in range(count)]
        )
        self.iou_prediction_head = FeedForward(
            width, cfg.iou_head_hidden_dim, count, cfg.iou_head_depth
        )

    def forward(
        self, image: Tensor, places: Tensor, sparse: Tensor | None, dense: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Masks `(batch, prompts, masks, height, width)` and scores; the first is of one mask."""
        b, width, down, across = image.shape
        p = 1 if sparse is None else sparse.shape[1]
        own = cat([rows(self.iou_token), rows(self.mask_tokens)], 0).expand(b, p, -1, -1)
        tokens = (own if sparse is None else cat([own, sparse], 2)).flatten(0, 1)
        image = (image + dense).flatten(2).transpose(1, 2).repeat_interleave(p, 0)
        tokens, image = self.transformer(tokens, image, places)
        maps = image.transpose(1, 2).reshape(b * p, width, down, across)
        maps = F.gelu(self.upscale_layer_norm(self.upscale_conv1(maps)))
        maps = F.gelu(self.upscale_conv2(maps))
        weights = stack(
            [mlp(tokens[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps, 1)], 1
        )
        masks = (weights @ maps.flatten(2)).reshape(b, p, -1, *maps.shape[2:])
        return masks, self.iou_prediction_head(tokens[:, 0]).reshape(b, p, -1)


@dataclass(frozen=True)
class MasksOutput(Output):
    """`iou_scores` (batch, prompts, masks) and `pred_masks` (…, height, width) as logits."""

    iou_scores: Tensor
    pred_masks: Tensor
    vision_hidden_states: HiddenStates | None = None


class SamVisionModel(Model):
    """The picture's side alone."""

    config_class = SamVisionConfig

    def __init__(self, cfg: SamVisionConfig) -> None:
        self.config = cfg
        self.vision_encoder = VisionEncoder(cfg)

    def forward(self, pixel_values: Tensor, *, output_hidden_states: bool = False) -> BaseOutput:
        """`(batch, channels, height, width)` → a map `(batch, size, rows, columns)`."""
        found, states = self.vision_encoder(pixel_values)
        return BaseOutput(found, None, tuple(states) if output_hidden_states else None)


class SamModel(Model):
    """Picture, prompts and masks; the picture's map may be computed once for many prompts."""

    config_class: ClassVar[type[SamConfig]] = SamConfig
    base_model_prefix = "sam"
    vision_class: ClassVar[Any] = VisionEncoder
    vision_rules: ClassVar[tuple[Rule, ...]] = (
        rename("image_encoder.patch_embed.proj.*", "vision_encoder.patch_embed.projection.*"),
        rename("image_encoder.blocks.{}.norm{}.*", "vision_encoder.layers.{}.layer_norm{}.*"),
        rename("image_encoder.blocks.*", "vision_encoder.layers.*"),
    )

    def __init__(self, cfg: SamConfig) -> None:
        self.config = cfg
        self.shared_image_embedding = Positions(cfg.vision_config.num_pos_feats)
        self.vision_encoder = self.vision_class(cfg.vision_config)
        self.prompt_encoder = PromptEncoder(cfg.prompt_encoder_config, self.shared_image_embedding)
        self.mask_decoder = MaskDecoder(cfg.mask_decoder_config)

    def arrangement(self, names: Collection[str]) -> tuple[Rule, ...]:
        """Beside transformers' names those of the authors' files, which have an `image_encoder`."""
        theirs: tuple[Rule, ...] = ()
        if any(name.startswith("image_encoder.") for name in names):
            depth = self.config.mask_decoder_config.iou_head_depth
            theirs = (*self.vision_rules, *_authors_names(depth))
        return (*theirs, *super().arrangement(names))

    def get_image_embeddings(self, pixel_values: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → the map that `image_embeddings` takes."""
        found: Tensor = self.vision_encoder(pixel_values)[0]
        return found

    def get_prompt_embeddings(
        self,
        input_points: Tensor | None = None,
        input_labels: Tensor | None = None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor]:
        """Vectors of points and boxes, if any, and the map of masks."""
        if input_points is not None and input_labels is None:
            input_labels = ones_like(input_points[..., 0])
        found: tuple[Tensor | None, Tensor] = self.prompt_encoder(
            input_points, input_labels, input_boxes, input_masks
        )
        return found

    def get_image_wide_positional_embeddings(self) -> Tensor:
        """Of the middle of each patch, `(1, size, rows, columns)`."""
        side = self.prompt_encoder.side
        line = (arange(side).to(f32) + 0.5) / side
        places = stack([line.expand(side, side), line.unsqueeze(1).expand(side, side)], -1)
        found: Tensor = self.shared_image_embedding(places).permute(2, 0, 1).unsqueeze(0)
        return found

    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_points: Tensor | None = None,
        input_labels: Tensor | None = None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
        image_embeddings: Tensor | None = None,
        multimask_output: bool = True,
        *,
        output_hidden_states: bool = False,
    ) -> MasksOutput:
        """Masks of each prompt: three, or with `multimask_output` false one.

        `input_points` `(batch, prompts, n, 2)` and `input_boxes` `(batch, prompts, 4)` are in
        pixels of the picture as the model takes it; labels `(batch, prompts, n)` are 1 for a point
        of the thing, 0 beside it; `input_masks` are `(batch, 1, 4 * rows, 4 * columns)`.

        Raises:
            ArgumentError: not just one of `pixel_values` and `image_embeddings` is given.
            ShapeError: prompts of other axes, or not as many boxes or rows as points.
        """
        one = (pixel_values is None) != (image_embeddings is None)
        expect(one, "SamModel", "pixel_values or image_embeddings", "both or none", ArgumentError)
        states: list[Tensor] = []
        if pixel_values is not None:
            image_embeddings, states = self.vision_encoder(pixel_values)
        assert image_embeddings is not None
        _check(image_embeddings.shape[0], input_points, input_boxes)
        sparse, dense = self.get_prompt_embeddings(
            input_points, input_labels, input_boxes, input_masks
        )
        places = self.get_image_wide_positional_embeddings().flatten(2).transpose(1, 2)
        masks, scores = self.mask_decoder(image_embeddings, places, sparse, dense)
        kept = slice(1, None) if multimask_output else slice(0, 1)
        hidden = tuple(states) if output_hidden_states and states else None
        return MasksOutput(scores[:, :, kept], masks[:, :, kept], hidden)


class MobileSamModel(SamModel):
    """SAM with a picture's side of few parameters."""

    config_class = MobileSamConfig
    vision_class = TinyVisionEncoder
    vision_rules = authors_names("image_encoder.", "vision_encoder.")
    # What TinyViT was first trained with, and a table that is computed.
    ignorable = (r"vision_encoder\.(norm_)?head\..*", r".*\.attention_bias_idxs")


def _authors_names(iou_depth: int) -> tuple[Rule, ...]:
    """From the authors' names to transformers', but for the inside of the picture's side."""
    prompt, mask, side = "prompt_encoder.", "mask_decoder.", "image_encoder.neck."
    pairs = [
        (f"{prompt}pe_layer.positional_encoding_gaussian_matrix",
         "shared_image_embedding.positional_embedding"),
        (f"{prompt}point_embeddings.*", f"{prompt}point_embed.*"),
        (f"{mask}transformer.layers.{{}}.norm{{}}.*",
         f"{mask}transformer.layers.{{}}.layer_norm{{}}.*"),
        (f"{mask}transformer.norm_final_attn.*", f"{mask}transformer.layer_norm_final_attn.*"),
    ]  # fmt: skip
    sequences = (
        (
            f"{prompt}mask_downscaling.",
            f"{prompt}mask_embed.",
            "conv1 layer_norm1 - conv2 layer_norm2 - conv3",
        ),
        (f"{mask}output_upscaling.", f"{mask}upscale_", "conv1 layer_norm - conv2"),
        (side, "vision_encoder.neck.", "conv1 layer_norm1 conv2 layer_norm2"),
    )
    for old, new, parts in sequences:
        numbered = enumerate(parts.split())
        pairs += [(f"{old}{i}.*", f"{new}{part}.*") for i, part in numbered if part != "-"]
    mlps = (("output_hypernetworks_mlps.{}", 3), ("iou_prediction_head", iou_depth))
    for name, depth in mlps:
        stem, last = f"{mask}{name}", depth - 1
        order = [
            (0, "proj_in"),
            (last, "proj_out"),
            *((i, f"layers.{i - 1}") for i in range(1, last)),
        ]
        pairs += [(f"{stem}.layers.{i}.*", f"{stem}.{part}.*") for i, part in order]
    return tuple(rename(old, new) for old, new in (*pairs, ("image_encoder.*", "vision_encoder.*")))


def _check(batch: int, points: Tensor | None, boxes: Tensor | None) -> None:
    if points is not None:
        good = points.ndim == 4 and points.shape[0] == batch and points.shape[3] == 2
        expect(good, "input_points", f"({batch}, prompts, points, 2)", tuple(points.shape))
    if boxes is not None:
        good = boxes.ndim == 3 and boxes.shape[0] == batch and boxes.shape[2] == 4
        expect(good, "input_boxes", f"({batch}, prompts, 4)", tuple(boxes.shape))
        if points is not None:
            count = points.shape[1]
            expect(boxes.shape[1] == count, "input_boxes", f"{count} a picture", boxes.shape[1])
