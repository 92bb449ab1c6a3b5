"""SegFormer: overlapping patches, attention to reduced maps, a light head (arXiv 2105.15203)."""

from __future__ import annotations

from tallow.models.base import Model
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.bert import Dense, SelfAttention
from tallow.models.blocks.heads import attend
from tallow.models.blocks.image_heads import ImageClassification, SemanticSegmentation
from tallow.models.blocks.vision import Grid, as_maps, patches, scaled
from tallow.models.configs import Config, activation, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.nn import BatchNorm2d, Conv2d, LayerNorm, Linear, Module, ModuleList
from tallow.nn import functional as F
from tallow.ops import cat
from tallow.tensor import Tensor


class SegformerConfig(Config):
    """Of Hugging Face's `SegformerConfig`."""

    num_channels: int = size(3)
    num_encoder_blocks: int = size(4, high=64)
    depths: tuple[int, ...] = sizes(2, 2, 2, 2, high=256)
    sr_ratios: tuple[int, ...] = sizes(8, 4, 2, 1)
    hidden_sizes: tuple[int, ...] = sizes(32, 64, 160, 256)
    patch_sizes: tuple[int, ...] = sizes(7, 3, 3, 3)
    strides: tuple[int, ...] = sizes(4, 2, 2, 2)
    num_attention_heads: tuple[int, ...] = sizes(1, 2, 5, 8)
    mlp_ratios: tuple[int, ...] = sizes(4, 4, 4, 4)
    hidden_act: str = activation("gelu")
    decoder_hidden_size: int = size(256)
    semantic_loss_ignore_index: int = 255
    reshape_last_stage: bool = True

    without_effect = frozenset(
        {"layer_norm_eps", "downsampling_rates", "image_size", "decoder_num_layers"}
    )

    def check(self, fields: Fields) -> None:
        """Every list has a number for each stage."""
        lists = ("depths", "sr_ratios", "hidden_sizes", "patch_sizes", "strides")
        for name in (*lists, "num_attention_heads", "mlp_ratios"):
            found = getattr(self, name)
            if len(found) < self.num_encoder_blocks:
                raise fields.error(name, f"{self.num_encoder_blocks} numbers", found)


class PatchMaps(Module):
    """A convolution with overlap, normalised."""

    def __init__(self, channels: int, size: int, patch: int, stride: int) -> None:
        self.proj = Conv2d(channels, size, patch, stride, patch // 2)
        self.layer_norm = LayerNorm(size)

    def forward(self, x: Tensor) -> tuple[Tensor, Grid]:
        """`(batch, channels, height, width)` → `(batch, patches, size)`, rows and columns."""
        tokens, grid = patches(self.proj, x)
        return self.layer_norm(tokens), grid


class ReducedAttention(SelfAttention):
    """Attention whose keys and values are of a map that a convolution has reduced."""

    def __init__(self, size: int, heads: int, ratio: int) -> None:
        super().__init__(size, heads)
        self.sr = Conv2d(size, size, ratio, ratio) if ratio > 1 else None
        self.layer_norm = LayerNorm(size) if ratio > 1 else None

    def reduced(self, x: Tensor, grid: Grid) -> Tensor:
        """`(batch, length, size)` → fewer of them."""
        if self.sr is None or self.layer_norm is None:
            return x
        return self.layer_norm(patches(self.sr, as_maps(x, grid))[0])


class Attention(Module):
    """`self` and `output.dense`."""

    def __init__(self, size: int, heads: int, ratio: int) -> None:
        self.self = ReducedAttention(size, heads, ratio)
        self.output = Dense(size, size)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        part = self.self
        context = part.reduced(x, grid)
        found = attend(part.query(x), part.key(context), part.value(context), part.heads)
        return self.output(found)


class Depthwise(Module):
    """A 3×3 convolution of each channel alone."""

    def __init__(self, size: int) -> None:
        self.dwconv = Conv2d(size, size, 3, 1, 1, groups=size)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        return patches(self.dwconv, as_maps(x, grid))[0] if x.ndim == 3 else self.dwconv(x)


class MixMlp(Module):
    """A feed-forward network with a convolution in between."""

    def __init__(self, size: int, hidden: int, act: str) -> None:
        self.dense1 = Linear(size, hidden)
        self.dwconv = Depthwise(hidden)
        self.dense2 = Linear(hidden, size)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        return self.dense2(self.act(self.dwconv(self.dense1(x), grid)))


class Layer(Module):
    """Attention and feed-forward, each normalised before."""

    def __init__(self, cfg: SegformerConfig, stage: int) -> None:
        width = cfg.hidden_sizes[stage]
        self.layer_norm_1 = LayerNorm(width)
        self.attention = Attention(width, cfg.num_attention_heads[stage], cfg.sr_ratios[stage])
        self.layer_norm_2 = LayerNorm(width)
        self.mlp = MixMlp(width, width * cfg.mlp_ratios[stage], cfg.hidden_act)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        x = x + self.attention(self.layer_norm_1(x), grid)
        return x + self.mlp(self.layer_norm_2(x), grid)


class Encoder(Module):
    """Stages, whose parts stand in lists by kind."""

    def __init__(self, cfg: SegformerConfig) -> None:
        stages = range(cfg.num_encoder_blocks)
        widths = (cfg.num_channels, *cfg.hidden_sizes)
        self.patch_embeddings = ModuleList(
            [
                PatchMaps(widths[i], widths[i + 1], cfg.patch_sizes[i], cfg.strides[i])
                for i in stages
            ]
        )
        self.block = ModuleList(
            [ModuleList([Layer(cfg, i) for _ in range(cfg.depths[i])]) for i in stages]
        )
        self.layer_norm = ModuleList([LayerNorm(cfg.hidden_sizes[i]) for i in stages])

    def forward(self, x: Tensor) -> list[Tensor]:
        """What each stage gives, `(batch, size, rows, columns)`."""
        maps: list[Tensor] = []
        for embed, blocks, norm in zip(
            self.patch_embeddings, self.block, self.layer_norm, strict=True
        ):
            tokens, grid = embed(maps[-1] if maps else x)
            for block in blocks:
                tokens = block(tokens, grid)
            maps.append(as_maps(norm(tokens), grid))
        return maps


class SegformerModel(Model):
    """The stages; the last one's map (or tokens, without `reshape_last_stage`)."""

    config_class = SegformerConfig
    base_model_prefix = "segformer"

    def __init__(self, cfg: SegformerConfig) -> None:
        self.config = cfg
        self.encoder = Encoder(cfg)

    def forward(self, pixel_values: Tensor, *, output_hidden_states: bool = False) -> BaseOutput:
        """`(batch, channels, height, width)` → `(batch, size, height / 32, width / 32)`."""
        maps = self.encoder(pixel_values)
        if not self.config.reshape_last_stage:
            maps[-1] = maps[-1].flatten(2).transpose(1, 2)
        return BaseOutput(maps[-1], None, tuple(maps) if output_hidden_states else None)


class SegformerForImageClassification(ImageClassification):
    """Scores from the mean of the last map."""

    config_class, base_class, base_model_prefix = SegformerConfig, SegformerModel, "segformer"

    def make_classifier(self, cfg: SegformerConfig) -> Module:
        """From the last stage's width."""
        return Linear(cfg.hidden_sizes[cfg.num_encoder_blocks - 1], cfg.num_labels)

    def pool(self, found: BaseOutput) -> Tensor:
        """`(batch, size)`."""
        x = found.last_hidden_state
        return x.mean((2, 3)) if self.config.reshape_last_stage else x.mean(1)


class Projection(Module):
    """A linear layer of each pixel."""

    def __init__(self, size: int, out: int) -> None:
        self.proj = Linear(size, out)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, rows, columns)` → `(batch, out, rows, columns)`."""
        return self.proj(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class DecodeHead(Module):
    """All stages in one width and the first one's size, joined."""

    def __init__(self, cfg: SegformerConfig) -> None:
        width, stages = cfg.decoder_hidden_size, range(cfg.num_encoder_blocks)
        self.linear_c = ModuleList([Projection(cfg.hidden_sizes[i], width) for i in stages])
        self.linear_fuse = Conv2d(width * len(stages), width, 1, bias=False)
        self.batch_norm = BatchNorm2d(width)
        self.classifier = Conv2d(width, cfg.num_labels, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Scores at the first stage's size, `(batch, labels, rows, columns)`."""
        grid = maps[0].shape[2:]
        parts = [scaled(project(x), grid) for project, x in zip(self.linear_c, maps, strict=True)]
        x = F.relu(self.batch_norm(self.linear_fuse(cat(parts[::-1], 1))))
        return self.classifier(x)


class SegformerForSemanticSegmentation(SemanticSegmentation):
    """A score of each label at a quarter of the picture's size."""

    config_class, base_model_prefix = SegformerConfig, "segformer"

    def __init__(self, cfg: SegformerConfig) -> None:
        self.config = cfg
        self.segformer = SegformerModel(cfg)
        self.decode_head = DecodeHead(cfg)

    def scores(self, pixel_values: Tensor) -> tuple[Tensor, list[Tensor]]:
        """From all stages, `(batch, labels, height / 4, width / 4)`."""
        maps = self.segformer.encoder(pixel_values)
        return self.decode_head(maps), maps
