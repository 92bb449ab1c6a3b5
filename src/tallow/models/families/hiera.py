"""Hiera: a hierarchical transformer of plain parts, with attention in mask units (2306.00989)."""

from __future__ import annotations

import math
from typing import Any

from tallow.errors import expect
from tallow.models.base import Model
from tallow.models.blocks.image_heads import Backbone, BackboneConfig, ImageClassification
from tallow.models.blocks.swin import SwinOutput
from tallow.models.blocks.vision import Grid, Mlp, patches, resized
from tallow.models.configs import activation, custom, ratio, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput, LogitsOutput
from tallow.nn import Conv2d, LayerNorm, Linear, Module, ModuleDict, ModuleList, Sequential, param
from tallow.nn.init import zeros
from tallow.ops import attention
from tallow.tensor import Tensor

_KEYS = """decoder_hidden_size decoder_depth decoder_num_heads normalize_pixel_loss mask_ratio
    layer_norm_init hidden_size num_layers"""


def _flags(fields: Fields, name: str, default: Any) -> tuple[bool, ...]:
    value = fields.get(name)
    value = default if value is None else value
    if not isinstance(value, list | tuple) or not all(type(each) is bool for each in value):
        raise fields.error(name, "a list of true and false", value)
    return tuple(value)


class HieraConfig(BackboneConfig):
    """Of Hugging Face's `HieraConfig`."""

    embed_dim: int = size(96)
    image_size: tuple[int, ...] = sizes(224, 224, length=2)
    patch_size: tuple[int, ...] = sizes(7, 7, length=2)
    patch_stride: tuple[int, ...] = sizes(4, 4, length=2)
    patch_padding: tuple[int, ...] = sizes(3, 3, length=2, low=0)
    mlp_ratio: float = ratio(4.0)
    depths: tuple[int, ...] = sizes(2, 3, 16, 3, high=256)
    num_heads: tuple[int, ...] = sizes(1, 2, 4, 8)
    embed_dim_multiplier: float = ratio(2.0)
    num_query_pool: int = size(3, low=0)
    query_stride: tuple[int, ...] = sizes(2, 2, length=2)
    masked_unit_size: tuple[int, ...] = sizes(8, 8, length=2)
    masked_unit_attention: tuple[bool, ...] = custom((True, True, False, False), _flags)
    num_channels: int = size(3)
    hidden_act: str = activation("gelu")
    layer_norm_eps: float = 1e-6

    without_effect = frozenset(_KEYS.split())

    def check(self, fields: Fields) -> None:
        """Every list has an entry for each stage, and units divide as often as there are stages."""
        count = len(self.depths)
        for name in ("num_heads", "masked_unit_attention"):
            if len(getattr(self, name)) < count:
                raise fields.error(name, f"{count} entries", getattr(self, name))
        if self.num_query_pool >= count:
            raise fields.error("num_query_pool", f"fewer than {count}", self.num_query_pool)
        if any(u % q ** (count - 1) for u, q in self._pairs):
            wanted = f"multiples of query_stride to the power of {count - 1}"
            raise fields.error("masked_unit_size", wanted, self.masked_unit_size)
        if any(width % heads for width, heads in zip(self.widths, self.num_heads, strict=False)):
            raise fields.error("num_heads", f"divisors of {self.widths}", self.num_heads)

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        return list(zip(self.masked_unit_size, self.query_stride, strict=True))

    @property
    def widths(self) -> tuple[int, ...]:
        """The width of each stage."""
        by = self.embed_dim_multiplier
        return tuple(int(self.embed_dim * by**i) for i in range(len(self.depths)))

    @property
    def strides(self) -> list[Grid]:
        """By which tokens are reordered, one for each stage behind the first."""
        down, across = self.query_stride
        return [(down, across)] * (len(self.depths) - 1)


class Embeddings(Module):
    """Overlapping patches with positions."""

    def __init__(self, cfg: HieraConfig) -> None:
        (height, width), (down, across) = cfg.image_size, cfg.patch_stride
        kernel, stride, padding = (
            (pair[0], pair[1]) for pair in (cfg.patch_size, cfg.patch_stride, cfg.patch_padding)
        )
        self.patch_embeddings = Sequential()
        self.patch_embeddings.projection = Conv2d(
            cfg.num_channels, cfg.embed_dim, kernel, stride, padding
        )
        count = (height // down) * (width // across)
        self.position_embeddings = param(1, count, cfg.embed_dim, init=zeros)

    def forward(self, x: Tensor, interpolate: bool = False) -> tuple[Tensor, Grid]:
        """`(batch, channels, height, width)` → `(batch, patches, size)`, rows and columns.

        Raises:
            ShapeError: another number of patches than positions, without `interpolate`.
        """
        size, table = tuple(x.shape[2:]), self.position_embeddings
        x, grid = patches(self.patch_embeddings.projection, x)
        count = table.shape[1]
        if interpolate and (x.shape[1] != count or size[0] != size[1]):
            return x + resized(table, grid), grid
        wanted = f"pictures of {count} patches, or interpolate_pos_encoding=True"
        expect(x.shape[1] == count, "pixel_values", wanted, size)
        return x + table, grid


def unroll(x: Tensor, grid: Grid, strides: list[Grid]) -> Tensor:
    """Tokens `(batch, rows * columns, size)` so that those of a unit stand a stride apart."""
    b, _, size = x.shape
    x = x.reshape(b, *grid, size)
    for down, across in strides:
        h, w = x.shape[1:3]
        x = x.reshape(-1, h // down, down, w // across, across, size)
        x = x.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
    return x.reshape(b, -1, size)


def reroll(x: Tensor, grid: Grid, strides: list[Grid]) -> Tensor:
    """The inverse of `unroll`, as maps `(batch, rows, columns, size)`."""
    b, n, size = x.shape
    h = w = 1
    for down, across in strides:
        n //= down * across
        x = x.reshape(b, down, across, n, h, w, size).permute(0, 3, 1, 4, 2, 5, 6)
        h, w = h * down, w * across
        x = x.reshape(b, n, h, w, size)
    units = x.reshape(b, grid[0] // h, grid[1] // w, h, w, size)
    return units.permute(0, 1, 3, 2, 4, 5).reshape(b, *grid, size)


class UnitAttention(Module):
    """Attention within units of `window` tokens (0: all), of queries pooled by `stride`."""

    def __init__(self, size: int, out: int, heads: int, stride: int, window: int) -> None:
        self.qkv = Linear(size, 3 * out)
        self.proj = Linear(out, out)
        self.heads, self.stride, self.window = heads, stride, window

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, size)` → `(batch, length / stride, out)`."""
        b, n, _ = x.shape
        inside = self.stride * self.window or n
        units = n // inside
        both = self.qkv(x).reshape(b, inside, units, 3, self.heads, -1)
        q, k, v = (both[:, :, :, i].permute(0, 2, 3, 1, 4).flatten(0, 1) for i in range(3))
        if self.stride > 1:
            q = q.reshape(b * units, self.heads, self.stride, -1, q.shape[-1]).amax(2)
        found = attention(q, k, v)
        found = found.reshape(b, units, *found.shape[1:]).permute(0, 3, 1, 2, 4)
        return self.proj(found.reshape(b, n // self.stride, -1))


class Layer(Module):
    """Attention and feed-forward, each normalised before; the first of a stage may pool."""

    def __init__(
        self, cfg: HieraConfig, size: int, out: int, heads: int, stride: int, window: int
    ) -> None:
        self.layernorm_before = LayerNorm(size, cfg.layer_norm_eps)
        self.attn = UnitAttention(size, out, heads, stride, window)
        self.layernorm_after = LayerNorm(out, cfg.layer_norm_eps)
        self.mlp = Mlp(out, int(out * cfg.mlp_ratio), cfg.hidden_act)
        self.proj = Linear(size, out) if size != out else None
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, size)` → `(batch, length / stride, out)`."""
        normed = self.layernorm_before(x)
        if self.proj is not None:
            wide = self.proj(normed)
            x = wide.reshape(x.shape[0], self.stride, -1, wide.shape[2]).amax(1)
        x = x + self.attn(normed)
        return x + self.mlp(self.layernorm_after(x))


class Stage(Module):
    """Layers of one width."""

    def __init__(self, cfg: HieraConfig, number: int) -> None:
        area = math.prod(cfg.query_stride)
        window = math.prod(cfg.masked_unit_size) // area**number
        out, heads = cfg.widths[number], cfg.num_heads[number]
        pools = 0 < number <= cfg.num_query_pool
        before = max(number - 1, 0)
        layers = []
        for i in range(cfg.depths[number]):
            within = cfg.masked_unit_attention[number]
            within = within or (i == 0 and cfg.masked_unit_attention[before])
            layers.append(
                Layer(
                    cfg,
                    cfg.widths[before] if i == 0 else out,
                    out,
                    heads,
                    area if pools and i == 0 else 1,
                    window if within else 0,
                )
            )
        self.layers = Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, size)` → `(batch, length / stride, out)`."""
        return self.layers(x)


class Encoder(Module):
    """The stages."""

    def __init__(self, cfg: HieraConfig) -> None:
        self.stages = ModuleList([Stage(cfg, i) for i in range(len(cfg.depths))])

    def forward(self, x: Tensor) -> list[Tensor]:
        """What goes in and what each stage gives, `(batch, length, size)`."""
        states = [x]
        for stage in self.stages:
            states.append(stage(states[-1]))
        return states


def maps(cfg: HieraConfig, states: list[Tensor], grid: Grid) -> list[Tensor]:
    """The encoder's states as maps `(batch, rows, columns, size)`."""
    strides, found = cfg.strides, [reroll(states[0], grid, cfg.strides)]
    for i, x in enumerate(states[1:]):
        found.append(reroll(x, grid, strides))
        if i < cfg.num_query_pool:
            grid = (grid[0] // cfg.query_stride[0], grid[1] // cfg.query_stride[1])
            strides = strides[1:]
    return found


class Pooler(Module):
    """The mean, normalised."""

    def __init__(self, size: int, eps: float) -> None:
        self.layernorm = LayerNorm(size, eps)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, size)` → `(batch, size)`."""
        return self.layernorm(x.mean(1))


class HieraModel(Model):
    """Embeddings, stages, and the normalised mean as the pooled output."""

    config_class = HieraConfig
    base_model_prefix = "hiera"
    optional_parts = ("pooler",)
    ignorable = (r"pooler\..*",)

    def __init__(self, cfg: HieraConfig) -> None:
        self.config = cfg
        self.embeddings = Embeddings(cfg)
        self.encoder = Encoder(cfg)
        self.pooler: Pooler | None = Pooler(cfg.widths[-1], cfg.layer_norm_eps)

    def forward(
        self,
        pixel_values: Tensor,
        *,
        interpolate_pos_encoding: bool | None = None,
        output_hidden_states: bool = False,
    ) -> SwinOutput:
        """`(batch, channels, height, width)` → tokens `(batch, length, size)`, and their mean.

        Raises:
            ShapeError: rows or columns do not divide into the units of all stages.
        """
        cfg = self.config
        x, grid = self.embeddings(pixel_values, bool(interpolate_pos_encoding))
        units = [n ** len(cfg.strides) for n in cfg.query_stride]
        fits = all(n % unit == 0 for n, unit in zip(grid, units, strict=True))
        expect(fits, "pixel_values", f"patches in multiples of {tuple(units)}", grid)
        states = self.encoder(unroll(x, grid, cfg.strides))
        pooled = None if self.pooler is None else self.pooler(states[-1])
        if not output_hidden_states:
            return SwinOutput(states[-1], pooled)
        return SwinOutput(states[-1], pooled, tuple(states), tuple(maps(cfg, states, grid)))


class HieraForImageClassification(ImageClassification):
    """Scores from the pooled output."""

    config_class, base_class, base_model_prefix = HieraConfig, HieraModel, "hiera"

    def make_classifier(self, cfg: HieraConfig) -> Module:
        """From the last stage's width."""
        return Linear(cfg.widths[-1], cfg.num_labels)

    def pool(self, found: BaseOutput) -> Tensor:
        """The normalised mean."""
        assert found.pooler_output is not None, "checkpoints of classifiers have the pooler"
        return found.pooler_output

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        *,
        interpolate_pos_encoding: bool | None = None,
        output_hidden_states: bool = False,
    ) -> LogitsOutput:
        """`(batch, channels, height, width)` → scores `(batch, labels)`; the loss with labels."""
        found = self.hiera(
            pixel_values,
            interpolate_pos_encoding=interpolate_pos_encoding,
            output_hidden_states=output_hidden_states,
        )
        return self.finish(found, labels)


class HieraBackbone(Backbone):
    """The chosen stages' features, normalised."""

    config_class = HieraConfig

    def __init__(self, cfg: HieraConfig) -> None:
        self.config = cfg
        self.embeddings = Embeddings(cfg)
        self.encoder = Encoder(cfg)
        self.widths = (cfg.embed_dim, *cfg.widths)
        self.hidden_states_norms = ModuleDict(
            {
                f"stage{i}" if i else "stem": LayerNorm(self.widths[i])
                for i in cfg.chosen(len(self.widths))
            }
        )

    def states(self, pixel_values: Tensor) -> list[Tensor]:
        """The stem's and each stage's features, `(batch, size, rows, columns)`.

        As in the reference, tokens go in as they stand, without the reordering of the model.
        """
        x, grid = self.embeddings(pixel_values)
        found = maps(self.config, self.encoder(x), grid)
        return [each.permute(0, 3, 1, 2) for each in found]

    def maps(self, states: list[Tensor]) -> tuple[Tensor, ...]:
        """The chosen ones, normalised."""
        chosen = super().maps(states)
        norms = self.hidden_states_norms.values()
        return tuple(
            norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            for norm, x in zip(norms, chosen, strict=True)
        )
