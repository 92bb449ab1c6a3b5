"""How SAM and MobileSAM make masks: the encoder of prompts and the decoder of masks."""

from __future__ import annotations

import math

from tallow.dtype import f32
from tallow.factories import arange, full_like, zeros
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.attention import Attention
from tallow.models.blocks.conv import LayerNorm2d
from tallow.models.blocks.embedding import Embedding
from tallow.models.blocks.vision import LinearMlp
from tallow.models.configs import Config, activation, layers, size
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
from tallow.ops import cat, stack, where
from tallow.tensor import Tensor

ABSENT, PADDING = -1, -10  # labels of points that are none


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


class Positions(Module):
    """Sines and cosines of random directions, for points of the unit square."""

    def __init__(self, features: int) -> None:
        self.positional_embedding = param(2, features, init=init.zeros, dtype=f32)

    def forward(self, points: Tensor) -> Tensor:
        """`(..., 2)` from 0 to 1 → `(..., 2 * features)`."""
        angle = ((2 * points - 1) @ self.positional_embedding) * (2 * math.pi)
        return cat([angle.sin(), angle.cos()], -1)


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
        return self.conv3(self.act(self.layer_norm2(self.conv2(x))))


def rows(table: Embedding) -> Tensor:
    """All of a table, in f32."""
    return table(arange(table.num_embeddings))


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
        return self.shared_embedding(corners / self.image) + kinds

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
        self.mlp = LinearMlp(width, cfg.mlp_dim, cfg.hidden_act)
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
        return self.proj_out(x)


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
