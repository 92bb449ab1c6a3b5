"""BEiT, and DiT, which is BEiT on documents: ViT with relative positions (arXiv 2106.08254)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from tallow.dtype import f32, i64
from tallow.errors import ArgumentError, ModelError, expect
from tallow.factories import arange, full
from tallow.models.base import Model
from tallow.models.blocks.bert import Layers
from tallow.models.blocks.image_heads import (
    Backbone,
    BackboneConfig,
    BackboneOutput,
    read_places,
)
from tallow.models.blocks.uper import PlainHead, PyramidHead, pixel_loss
from tallow.models.blocks.vision import Grid, as_maps
from tallow.models.blocks.vit import (
    VIT_RULES,
    VitClassification,
    VitConfig,
    VitEmbeddings,
    VitLayer,
)
from tallow.models.configs import custom, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput, LogitsOutput
from tallow.nn import (
    GELU,
    BatchNorm2d,
    ConvTranspose2d,
    LayerNorm,
    MaxPool2d,
    Module,
    Sequential,
    param,
)
from tallow.nn import functional as F
from tallow.nn.init import zeros
from tallow.ops import cat
from tallow.tensor import Tensor
from tallow.weights.arrange import WeightConverter, rename

# Of masked image modelling and of ViT alone; `segmentation_indices` are old `out_indices`.
_KEYS = """
vocab_size encoder_stride segmentation_indices qkv_bias pooler_output_size pooler_act
"""


def _indices(fields: Fields, name: str, default: Any) -> tuple[int, ...]:
    found = read_places(fields, name, default)
    return found or read_places(fields, "segmentation_indices", default)


class BeitConfig(VitConfig, BackboneConfig):
    """Of Hugging Face's `BeitConfig`."""

    use_mask_token: bool = False
    use_absolute_position_embeddings: bool = False
    use_relative_position_bias: bool = False
    use_shared_relative_position_bias: bool = False
    layer_scale_init_value: float = 0.1
    use_mean_pooling: bool = True
    out_indices: tuple[int, ...] = custom((), _indices)
    add_fpn: bool = False
    reshape_hidden_states: bool = True
    pool_scales: tuple[int, ...] = sizes(1, 2, 3, 6)
    use_auxiliary_head: bool = True
    auxiliary_loss_weight: float = 0.4
    auxiliary_channels: int = size(256)
    auxiliary_num_convs: int = size(1, low=0, high=64)
    auxiliary_concat_input: bool = False
    semantic_loss_ignore_index: int = 255

    without_effect = frozenset(_KEYS.split())


def distances(grid: Grid) -> Tensor:
    """Rows of the table for each pair of positions, flat: a class token, then the patches.

    The last three rows of the table are: from the token to a patch, from a patch to it, to itself.
    """
    h, w = grid
    area, last = h * w, (2 * h - 1) * (2 * w - 1) + 2
    places = arange(area, dtype=i64)
    rows, columns = places // w, places % w
    down = rows.unsqueeze(1) - rows.unsqueeze(0) + (h - 1)
    across = columns.unsqueeze(1) - columns.unsqueeze(0) + (w - 1)
    inner = down * (2 * w - 1) + across
    inner = cat([full((area, 1), last - 1, dtype=i64), inner], 1)
    first = cat([full((1, 1), last, dtype=i64), full((1, area), last - 2, dtype=i64)], 1)
    return cat([first, inner], 0).reshape(-1)


class RelativePositionBias(Module):
    """What attention scores gain by the distance of two patches, for each head."""

    def __init__(self, grid: Grid, heads: int) -> None:
        self.grid = grid
        count = (2 * grid[0] - 1) * (2 * grid[1] - 1) + 3
        self.relative_position_bias_table = param(count, heads, init=zeros, dtype=f32, kinds="f")

    def forward(self, grid: Grid, index: Tensor) -> Tensor:
        """The bias `(1, heads, n, n)` of `index`, the distances of a grid."""
        table = self.relative_position_bias_table.transpose(0, 1)
        heads, n = table.shape[0], 1 + grid[0] * grid[1]
        wide, high = (2 * side - 1 for side in self.grid[::-1])
        wanted = tuple(2 * side - 1 for side in grid)
        if wanted != (wide, high):  # width before height, as in the reference
            plane = table[:, :-3].reshape(1, heads, wide, high)
            plane = F.interpolate(plane, size=wanted, mode="bilinear", align_corners=False)
            table = cat([plane.reshape(heads, -1), table[:, -3:]], 1)
        return table.index_select(1, index).reshape(1, heads, n, n)


class MeanPooler(Module):
    """The mean of the patches, normalised; the class token where there is no norm."""

    def __init__(self, size: int, eps: float, *, mean: bool) -> None:
        self.layernorm = LayerNorm(size, eps) if mean else None

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, 1 + patches, size)` → `(batch, size)`."""
        return x[:, 0] if self.layernorm is None else self.layernorm(x[:, 1:].mean(1))


class BeitModel(Model):
    """Embeddings, layers, and a pooler; a last norm where the mean is not pooled."""

    config_class = BeitConfig
    base_model_prefix = "beit"
    optional_parts = ("pooler",)
    ignorable: ClassVar[tuple[str, ...]] = (
        r"pooler\..*",
        r"embeddings\.mask_token",
        r".*relative_position_index",
    )
    rules: ClassVar[tuple[WeightConverter, ...]] = (
        rename(
            "layers.{}.relative_position_bias.*",
            "encoder.layer.{}.attention.attention.relative_position_bias.*",
        ),
        rename("shared_position_bias.*", "encoder.relative_position_bias.*"),
        *VIT_RULES,
    )

    def __init__(self, cfg: BeitConfig, *, pooled: bool = True) -> None:
        self.config = cfg
        width, eps, mean = cfg.hidden_size, cfg.layer_norm_eps, cfg.use_mean_pooling
        self.embeddings = VitEmbeddings(
            width,
            cfg.num_channels,
            cfg.image_size,
            cfg.patch_size,
            masked=cfg.use_mask_token,
            positions=cfg.use_absolute_position_embeddings,
        )
        self.encoder = Layers([self.make_layer(cfg) for _ in range(cfg.num_hidden_layers)])
        shared = cfg.use_shared_relative_position_bias
        self.encoder.relative_position_bias = self.make_bias(cfg) if shared else None
        self.layernorm = None if mean else LayerNorm(width, eps)
        self.pooler = MeanPooler(width, eps, mean=mean) if pooled else None

    @staticmethod
    def make_bias(cfg: BeitConfig) -> RelativePositionBias:
        """A table of biases for the config's grid."""
        return RelativePositionBias(cfg.grid, cfg.num_attention_heads)

    @staticmethod
    def make_layer(cfg: BeitConfig) -> VitLayer:
        """One layer, with a table of its own where the config says so."""
        layer = VitLayer(
            cfg.hidden_size,
            cfg.num_attention_heads,
            cfg.intermediate_size,
            cfg.hidden_act,
            cfg.layer_norm_eps,
            key_bias=False,
            scale=cfg.layer_scale_init_value,
        )
        own = cfg.use_relative_position_bias
        bias = BeitModel.make_bias(cfg) if own else None
        layer.attention.attention.relative_position_bias = bias
        return layer

    def forward(
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        *,
        output_hidden_states: bool = False,
    ) -> BaseOutput:
        """`(batch, channels, height, width)` → `(batch, 1 + patches, size)`, and pooled.

        Positions are always fitted to the image, whatever `interpolate_pos_encoding` says.
        """
        states = [self.embeddings(pixel_values, bool_masked_pos, resize=True)]
        (height, width), (p, q) = pixel_values.shape[2:], self.config.patch_size
        grid, index = (height // p, width // q), None
        shared = self.encoder.relative_position_bias
        if self.config.use_relative_position_bias or shared is not None:
            index = distances(grid)
        common = None if shared is None or index is None else shared(grid, index)
        for layer in self.encoder.layer:
            own = layer.attention.attention.relative_position_bias
            bias = common if own is None else own(grid, index)
            if own is not None and common is not None:
                bias = bias + common
            states.append(layer(states[-1], bias))
        last = states[-1] if self.layernorm is None else self.layernorm(states[-1])
        pooled = None if self.pooler is None else self.pooler(last)
        return BaseOutput(last, pooled, tuple(states) if output_hidden_states else None)


class BeitForImageClassification(VitClassification):
    """Scores from the pooled patches."""

    config_class, base_class, base_model_prefix = BeitConfig, BeitModel, "beit"

    def make_base(self, cfg: Any) -> Module:
        """The model with its pooler."""
        return BeitModel(cfg)

    def pool(self, found: BaseOutput) -> Tensor:
        """The pooler's output."""
        assert found.pooler_output is not None, "the base has a pooler"
        return found.pooler_output


def _pyramid(model: Module, width: int) -> None:
    """What brings maps of one size to four: the checkpoint has them in the model itself."""
    model.fpn1 = Sequential(
        ConvTranspose2d(width, width, 2, 2),
        BatchNorm2d(width),
        GELU(),
        ConvTranspose2d(width, width, 2, 2),
    )
    model.fpn2 = Sequential(ConvTranspose2d(width, width, 2, 2))
    model.fpn4 = MaxPool2d(2, 2)


def _rise(model: Any, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Four maps at 4, 2, 1 and 1/2 times their size."""
    return model.fpn1(maps[0]), model.fpn2(maps[1]), maps[2], model.fpn4(maps[3])


class BeitBackbone(BeitModel, Backbone):
    """Tokens of the chosen layers as maps, with `add_fpn` as four maps of a pyramid."""

    base_model_prefix = ""
    rules = (rename("beit.*", "*"), *BeitModel.rules)
    ignorable = (*BeitModel.ignorable, r"(beit\.)?layernorm\..*")

    def __init__(self, cfg: BeitConfig) -> None:
        super().__init__(cfg, pooled=False)
        self.layernorm = None  # of what no map shows
        self.widths = [cfg.hidden_size] * (cfg.num_hidden_layers + 1)
        if cfg.add_fpn:
            chosen = cfg.chosen(len(self.widths))
            good = len(chosen) == 4 and cfg.reshape_hidden_states
            expect(good, "out_indices", "4 of them with add_fpn, reshaped", chosen, ModelError)
            _pyramid(self, cfg.hidden_size)

    def forward(  # type: ignore[override]  # a backbone's call
        self, pixel_values: Tensor, *, output_hidden_states: bool = False
    ) -> BackboneOutput:
        """`(batch, channels, height, width)` → maps of the chosen layers."""
        cfg = self.config
        found = super().forward(pixel_values, output_hidden_states=True)
        states = found.hidden_states
        assert states is not None, "they were asked for"
        maps = tuple(states[i] for i in cfg.chosen(len(states)))
        if cfg.reshape_hidden_states:
            grid = _grid(pixel_values, cfg)
            maps = tuple(as_maps(x[:, 1:], grid) for x in maps)
        if cfg.add_fpn:
            maps = _rise(self, maps)
        return BackboneOutput(maps, states if output_hidden_states else None)


def _grid(pixel_values: Tensor, cfg: BeitConfig) -> Grid:
    (height, width), (p, q) = pixel_values.shape[2:], cfg.patch_size
    return height // p, width // q


class BeitForSemanticSegmentation(Model):
    """A score of each label for each cell, four to a patch's side; UPerNet's head on a pyramid."""

    config_class = BeitConfig
    base_model_prefix = "beit"

    def __init__(self, cfg: BeitConfig) -> None:
        self.config = cfg
        width, norm, count = cfg.hidden_size, "bn", cfg.num_labels
        chosen = cfg.chosen(cfg.num_hidden_layers + 1)
        expect(len(chosen) == 4, "out_indices", "4 numbers of layers", chosen, ModelError)
        self.chosen = tuple(i - 1 for i in chosen)  # one less than a backbone's, as in transformers
        self.beit = BeitModel(cfg, pooled=False)
        _pyramid(self, width)
        self.decode_head = PyramidHead([width] * 4, width, cfg.pool_scales, count, norm)
        self.auxiliary_head = None
        if cfg.use_auxiliary_head:
            self.auxiliary_head = PlainHead(
                width, cfg.auxiliary_channels, cfg.auxiliary_num_convs, count, norm,
                concat=cfg.auxiliary_concat_input,
            )  # fmt: skip

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        *,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """`(batch, channels, height, width)` → `(batch, labels, 4 * rows, 4 * columns)`."""
        cfg = self.config
        many = labels is None or cfg.num_labels > 1
        expect(many, "labels", "more than one label in the config", cfg.num_labels, ArgumentError)
        states = self.beit(pixel_values, output_hidden_states=True).hidden_states
        grid = _grid(pixel_values, cfg)
        maps = _rise(self, [as_maps(states[i][:, 1:], grid) for i in self.chosen])
        logits, loss = self.decode_head(maps), None
        if labels is not None:
            weight, ignored = cfg.auxiliary_loss_weight, cfg.semantic_loss_ignore_index
            beside = None if self.auxiliary_head is None else self.auxiliary_head(maps)
            loss = pixel_loss(logits, beside, labels, weight, ignored)
        return LogitsOutput(logits, loss, states if output_hidden_states else None)
