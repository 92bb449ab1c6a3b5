"""What Swin transformers share: windows and their shifts, stages, embeddings (arXiv 2103.14030)."""

from __future__ import annotations

from typing import ClassVar

from tallow.dtype import f32
from tallow.errors import expect
from tallow.factories import arange
from tallow.models.base import Model
from tallow.models.blocks.bert import Dense, SelfAttention
from tallow.models.blocks.heads import attend
from tallow.models.blocks.image_heads import BackboneConfig, ResizedClassification
from tallow.models.blocks.vision import Grid, PatchEmbeddings, resized
from tallow.models.configs import activation, ratio, size, sizes
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput, HiddenStates
from tallow.nn import LayerNorm, Linear, Module, ModuleList, param
from tallow.nn import functional as F
from tallow.nn.init import zeros
from tallow.ops import roll
from tallow.tensor import Tensor
from tallow.weights.arrange import rename

HIDDEN = -100.0  # added to scores of pairs that a shift has brought together

_BLOCK = "encoder.layers.{}.blocks.{}."
# From the names that modules have in memory since transformers 5 to those of checkpoints.
SWIN_RULES = tuple(
    rename(_BLOCK + memory, _BLOCK + file)
    for memory, file in (
        ("attention.q_proj.*", "attention.self.query.*"),
        ("attention.k_proj.*", "attention.self.key.*"),
        ("attention.v_proj.*", "attention.self.value.*"),
        ("attention.o_proj.*", "attention.output.dense.*"),
        ("attention.relative_position_bias.*", "attention.self.*"),
        ("mlp.fc1.*", "intermediate.dense.*"),
        ("mlp.fc2.*", "output.dense.*"),
    )
)


class SwinConfig(BackboneConfig):
    """What the configs of Swin transformers have in common."""

    image_size: tuple[int, ...] = sizes(224, 224, length=2)
    patch_size: tuple[int, ...] = sizes(4, 4, length=2)
    num_channels: int = size(3)
    embed_dim: int = size(96)
    depths: tuple[int, ...] = sizes(2, 2, 6, 2, high=256)
    num_heads: tuple[int, ...] = sizes(3, 6, 12, 24)
    window_size: int = size(7, high=256)
    mlp_ratio: float = ratio(4.0)
    qkv_bias: bool = True
    hidden_act: str = activation("gelu")
    use_absolute_embeddings: bool = False
    layer_norm_eps: float = 1e-5

    without_effect = frozenset({"encoder_stride", "hidden_size", "num_layers", "path_norm"})

    def check(self, fields: Fields) -> None:
        """Each stage has heads that divide its width."""
        good = len(self.num_heads) == len(self.depths) and all(
            width % heads == 0 for width, heads in zip(self.widths, self.num_heads, strict=True)
        )
        if not good:
            wanted = f"divisors of {self.widths}, one a stage"
            raise fields.error("num_heads", wanted, self.num_heads)

    @property
    def widths(self) -> tuple[int, ...]:
        """The width of each stage."""
        return tuple(self.embed_dim << i for i in range(len(self.depths)))

    @property
    def hidden_size(self) -> int:
        """The width of the last stage."""
        return self.widths[-1]


def partition(x: Tensor, window: int) -> Tensor:
    """`(batch, height, width, size)` → `(batch * windows, window², size)`."""
    b, h, w, size = x.shape
    parts = x.reshape(b, h // window, window, w // window, window, size)
    return parts.transpose(2, 3).reshape(-1, window * window, size)


def joined(x: Tensor, window: int, grid: Grid) -> Tensor:
    """The inverse of `partition`, for a picture of `grid`."""
    h, w = grid
    parts = x.reshape(-1, h // window, w // window, window, window, x.shape[-1])
    return parts.transpose(2, 3).reshape(-1, h, w, x.shape[-1])


def relative_index(window: int) -> Tensor:
    """For each pair of a window's places the row of a table of distances, `(window⁴,)`."""
    line = arange(window)
    rows, columns = line.repeat_interleave(window), line.repeat(window)
    down = rows.unsqueeze(1) - rows + window - 1
    across = columns.unsqueeze(1) - columns + window - 1
    return (down * (2 * window - 1) + across).flatten()


def shift_mask(grid: Grid, window: int, shift: int) -> Tensor:
    """What is added to scores in each window of a shifted picture, `(windows, 1, n, n)`."""
    line = [arange(n) for n in grid]
    bands = [
        x.ge(n - window).long() + x.ge(n - shift).long() for x, n in zip(line, grid, strict=True)
    ]
    regions = bands[0].unsqueeze(1) * 3 + bands[1]
    parts = partition(regions.reshape(1, *grid, 1), window).squeeze(-1)
    apart = parts.unsqueeze(1).ne(parts.unsqueeze(2))
    return apart.to(f32).unsqueeze(1) * HIDDEN


def windowed(attention: Module, x: Tensor, window: int, shift: int, mask: Tensor | None) -> Tensor:
    """Attention within windows of `(batch, height, width, size)`, padded where they do not fit."""
    h, w = x.shape[1:3]
    down, across = -h % window, -w % window
    if down or across:
        x = F.pad(x, (0, 0, 0, across, 0, down))
    if shift:
        x = roll(x, (-shift, -shift), (1, 2))
    found = joined(attention(partition(x, window), mask), window, (h + down, w + across))
    if shift:
        found = roll(found, (shift, shift), (1, 2))
    return found[:, :h, :w] if down or across else found


class WindowAttention(Module):
    """Attention of any kind, `self`, and `output.dense`."""

    def __init__(self, attention: Module, size: int) -> None:
        self.self = attention
        self.output = Dense(size, size)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`(batch * windows, length, size)` → the same shape."""
        return self.output(self.self(x, mask))


def for_batch(bias: Tensor, mask: Tensor | None, windows: int) -> Tensor:
    """Biases of heads plus masks of windows, for as many windows as a batch has."""
    if mask is None:
        return bias
    both = bias + mask
    repeats = windows // mask.shape[0]
    if repeats == 1:
        return both
    return both.unsqueeze(0).expand(repeats, -1, -1, -1, -1).flatten(0, 1)


class BiasedAttention(SelfAttention):
    """Attention with a learned bias for each distance within the window."""

    def __init__(self, size: int, heads: int, window: int, index: Tensor, *, bias: bool) -> None:
        super().__init__(size, heads, bias=bias)
        self.relative_position_bias_table = param(
            (2 * window - 1) ** 2, heads, init=zeros, dtype=f32
        )
        self.index = index

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch * windows, length, size)` → the same shape, before the output projection."""
        n = x.shape[1]
        pairs = self.relative_position_bias_table.index_select(0, self.index.to(x.device))
        bias = pairs.transpose(0, 1).reshape(1, self.heads, n, n)
        full = for_batch(bias, mask, x.shape[0])
        return attend(self.query(x), self.key(x), self.value(x), self.heads, mask=full)


class SwinLayer(Module):
    """Attention in windows and feed-forward, each normalised before."""

    def __init__(
        self, attention: Module, size: int, hidden: int, act: str, eps: float, shift: int
    ) -> None:
        self.layernorm_before = LayerNorm(size, eps)
        self.attention = WindowAttention(attention, size)
        self.layernorm_after = LayerNorm(size, eps)
        self.intermediate = Dense(size, hidden, act)
        self.output = Dense(hidden, size)
        self.shift = shift

    def forward(self, x: Tensor, window: int, shift: int, mask: Tensor | None) -> Tensor:
        """`(batch, height, width, size)` → the same shape."""
        x = x + windowed(self.attention, self.layernorm_before(x), window, shift, mask)
        return x + self.output(self.intermediate(self.layernorm_after(x)))


def merged_patches(x: Tensor) -> Tensor:
    """`(batch, height, width, size)` → `(batch, height / 2, width / 2, 4 * size)`, padded."""
    h, w = x.shape[1:3]
    if h % 2 or w % 2:
        x = F.pad(x, (0, 0, 0, w % 2, 0, h % 2))
    b, h, w, size = x.shape
    blocks = x.reshape(b, h // 2, 2, w // 2, 2, size).permute(0, 1, 3, 4, 2, 5)
    return blocks.reshape(b, h // 2, w // 2, 4 * size)


class PatchMerging(Module):
    """Four neighbours as one vector of twice the width, normalised before."""

    def __init__(self, size: int) -> None:
        self.reduction = Linear(4 * size, 2 * size, bias=False)
        self.norm = LayerNorm(4 * size)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, height, width, size)` → `(batch, height / 2, width / 2, 2 * size)`."""
        return self.reduction(self.norm(merged_patches(x)))


class SwinStage(Module):
    """Layers of one width, whose windows are shifted in turn, and the merging behind them."""

    def __init__(self, blocks: list[Module], downsample: Module | None, window: int) -> None:
        self.blocks = ModuleList(blocks)
        self.downsample = downsample
        self.window = window

    def forward(self, x: Tensor, *, shifting: bool) -> Tensor:
        """`(batch, height, width, size)` → the same shape; shifted where `shifting`."""
        window, masks = self.window, dict[int, Tensor]()
        h, w = (n + -n % window for n in x.shape[1:3])
        for block in self.blocks:
            shift = block.shift if shifting else 0
            if shift and shift not in masks:
                masks[shift] = shift_mask((h, w), window, shift)
            x = block(x, window, shift, masks.get(shift))
        return x


class SwinEncoder(Module):
    """The stages, under the name `layers`."""

    def __init__(self, stages: list[SwinStage]) -> None:
        self.layers = ModuleList(stages)

    def forward(self, x: Tensor, *, always: bool = False) -> tuple[list[Tensor], list[Tensor]]:
        """`(batch, height, width, size)` → what each stage gives, and the same before merging.

        Both begin with `x`. Windows of a stage that has room for one are not shifted, unless
        `always`, which also pads smaller pictures to a window.

        Raises:
            ShapeError: the picture is smaller than a window.
        """
        states, wide = [x], [x]
        for stage in self.layers:
            x, least = states[-1], min(states[-1].shape[1:3])
            wanted = f"at least {stage.window} × {stage.window} patches in each stage"
            expect(always or least >= stage.window, "pixel_values", wanted, x.shape[1:3])
            wide.append(stage(x, shifting=always or least > stage.window))
            down = stage.downsample
            states.append(wide[-1] if down is None else down(wide[-1]))
        return states, wide


def swin_encoder(cfg: SwinConfig) -> SwinEncoder:
    """The stages of the first version."""
    index, stages = relative_index(cfg.window_size), list[SwinStage]()
    for i, width in enumerate(cfg.widths):
        blocks: list[Module] = [
            SwinLayer(
                BiasedAttention(width, cfg.num_heads[i], cfg.window_size, index, bias=cfg.qkv_bias),
                width,
                int(cfg.mlp_ratio * width),
                cfg.hidden_act,
                cfg.layer_norm_eps,
                cfg.window_size // 2 if j % 2 else 0,
            )
            for j in range(cfg.depths[i])
        ]
        last = i == len(cfg.depths) - 1
        stages.append(SwinStage(blocks, None if last else PatchMerging(width), cfg.window_size))
    return SwinEncoder(stages)


class SwinEmbeddings(Module):
    """Patches, normalised, with absolute positions if there are any."""

    def __init__(self, cfg: SwinConfig) -> None:
        width, (height, across) = cfg.embed_dim, cfg.image_size
        self.patch = cfg.patch_size
        self.patch_embeddings = PatchEmbeddings(cfg.num_channels, width, *cfg.patch_size)
        self.norm = LayerNorm(width)
        self.position_embeddings = None
        if cfg.use_absolute_embeddings:
            count = (height // self.patch[0]) * (across // self.patch[1])
            self.position_embeddings = param(1, count, width, init=zeros)

    def forward(self, x: Tensor, interpolate: bool = False) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, rows, columns, size)`, padded.

        Raises:
            ShapeError: absolute positions are for another size, without `interpolate`.
        """
        height, width = x.shape[-2:]
        down, across = -height % self.patch[0], -width % self.patch[1]
        x, grid = self.patch_embeddings(F.pad(x, (0, across, 0, down)) if down or across else x)
        x = self.norm(x)
        table: Tensor | None = self.position_embeddings
        if table is not None:
            if interpolate and (table.shape[1] != x.shape[1] or height != width):
                table = resized(table, grid)
            wanted = f"pictures of {table.shape[1]} patches, or interpolate_pos_encoding=True"
            expect(table.shape[1] == x.shape[1], "pixel_values", wanted, (height, width))
            x = x + table
        return x.reshape(x.shape[0], *grid, x.shape[2])


class SwinOutput(BaseOutput):
    """Tokens, their mean, and on request what each stage gives as tokens and as maps."""

    reshaped_hidden_states: HiddenStates | None = None


class SwinBase(Model):
    """Embeddings, stages and a last norm; the pooled output is the mean."""

    rules = SWIN_RULES
    ignorable: ClassVar[tuple[str, ...]] = (
        r".*\.relative_position_index",
        r"embeddings\.mask_token",
    )
    always: ClassVar[bool] = False  # windows stay as the config says, whatever the picture

    def __init__(self, cfg: SwinConfig) -> None:
        self.config = cfg
        self.embeddings = SwinEmbeddings(cfg)
        self.encoder = self.make_encoder(cfg)
        self.layernorm: Module = LayerNorm(cfg.widths[-1], cfg.layer_norm_eps)

    def make_encoder(self, cfg: SwinConfig) -> SwinEncoder:
        """The stages."""
        raise NotImplementedError

    def forward(
        self,
        pixel_values: Tensor,
        interpolate_pos_encoding: bool = False,
        *,
        output_hidden_states: bool = False,
    ) -> SwinOutput:
        """`(batch, channels, height, width)` → tokens `(batch, length, size)`, and their mean."""
        states, _ = self.encoder(
            self.embeddings(pixel_values, interpolate_pos_encoding), always=self.always
        )
        x = self.layernorm(states[-1].flatten(1, 2))
        hidden = maps = None
        if output_hidden_states:
            hidden = tuple(state.flatten(1, 2) for state in states)
            maps = tuple(state.permute(0, 3, 1, 2) for state in states)
        return SwinOutput(x, x.mean(1), hidden, maps)


class SwinClassification(ResizedClassification):
    """Scores from the mean."""

    def make_classifier(self, cfg: SwinConfig) -> Module:
        """From the last stage's width."""
        return Linear(cfg.widths[-1], cfg.num_labels)
