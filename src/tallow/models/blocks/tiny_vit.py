"""TinyViT: convolutions, then attention in windows, each block with a convolution (2207.10666)."""

from __future__ import annotations

from collections.abc import Iterable

from tallow.dtype import f32
from tallow.factories import arange
from tallow.models.blocks.heads import merge_heads
from tallow.models.blocks.swin import windowed
from tallow.models.blocks.timm_blocks import Residual
from tallow.models.blocks.timm_conv import ConvNormAct
from tallow.models.blocks.vision import Mlp, pictures
from tallow.models.configs import Config, ratio, size, sizes
from tallow.models.fields import Fields
from tallow.nn import LayerNorm, Linear, Module, Sequential
from tallow.nn import functional as F
from tallow.nn.init import zeros
from tallow.nn.parameter import declare
from tallow.ops import attention
from tallow.tensor import Tensor
from tallow.weights.arrange import WeightConverter, rename


class TinyVitConfig(Config):
    """Arguments of timm's `TinyVit` and of its authors'; defaults are those of the 5m variant."""

    embed_dims: tuple[int, ...] = sizes(64, 128, 160, 320)
    depths: tuple[int, ...] = sizes(2, 2, 6, 2, high=256)
    num_heads: tuple[int, ...] = sizes(2, 4, 5, 10)
    window_sizes: tuple[int, ...] = sizes(7, 7, 14, 7, high=32)  # their tables have its 4th power
    mlp_ratio: float = ratio(4.0)
    mbconv_expand_ratio: float = ratio(4.0)
    local_conv_size: int = size(3, high=31)

    def check(self, fields: Fields) -> None:
        """Each stage needs every number, and heads must divide widths."""
        count = len(self.embed_dims)
        for name in ("depths", "num_heads", "window_sizes"):
            if len(getattr(self, name)) != count or not count:
                wanted = f"one number for each of {count} stages"
                raise fields.error(name, wanted, list(getattr(self, name)))
        if any(w % h for w, h in zip(self.embed_dims[1:], self.num_heads[1:], strict=True)):
            wanted = f"divisors of {list(self.embed_dims)}"
            raise fields.error("num_heads", wanted, list(self.num_heads))
        for name in ("mlp_ratio", "mbconv_expand_ratio"):
            if not 0.1 <= getattr(self, name) <= 64:
                raise fields.error(name, "a number from 0.1 to 64", getattr(self, name))
        if self.local_conv_size % 2 == 0:
            raise fields.error("local_conv_size", "an odd number", self.local_conv_size)
        if self.embed_dims[0] < 2:
            raise fields.error("embed_dims", "at least 2 first", list(self.embed_dims))


def _narrowing(size: int, out: int, stride: int) -> Module:
    parts: dict[str, Module | None] = {
        "conv1": ConvNormAct(size, out, act="gelu"),
        "conv2": ConvNormAct(out, out, 3, stride, groups=out, act="gelu"),
        "conv3": ConvNormAct(out, out),
    }
    return Residual(parts, skip=False)


class MBConv(Residual):
    """A wide depthwise convolution between two narrow ones, around it the input, then GELU."""

    def __init__(self, size: int, inner: int) -> None:
        parts: dict[str, Module | None] = {
            "conv1": ConvNormAct(size, inner, act="gelu"),
            "conv2": ConvNormAct(inner, inner, 3, groups=inner, act="gelu"),
            "conv3": ConvNormAct(inner, size),
        }
        super().__init__(parts, skip=True)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)`, kept."""
        return F.gelu(super().forward(x))


def distances(window: int) -> Tensor:
    """For each pair of a window's places how far rows and columns lie apart, as one number."""
    line = arange(window)
    rows, columns = line.repeat_interleave(window), line.repeat(window)
    down = (rows.unsqueeze(1) - rows).abs()
    return (down * window + (columns.unsqueeze(1) - columns).abs()).flatten()


class BiasedAttention(Module):
    """Attention in a window, normalised before, with a learned bias for each distance."""

    def __init__(self, size: int, heads: int, window: int, index: Tensor) -> None:
        self.norm = LayerNorm(size)
        self.qkv = Linear(size, 3 * size)
        self.proj = Linear(size, size)
        self.attention_biases = declare(heads, window**2, init=zeros, loaded=f32)
        self.heads, self.index = heads, index

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch * windows, window², size)`, kept."""
        b, n, size = x.shape
        head = size // self.heads
        # In each head queries, keys and values stand beside each other.
        each = self.qkv(self.norm(x)).reshape(b, n, self.heads, 3 * head).transpose(1, 2)
        q, k, v = each.split([head] * 3, 3)
        bias = self.attention_biases.index_select(1, self.index.to(x.device)).reshape(
            1, self.heads, n, n
        )
        return self.proj(merge_heads(attention(q, k, v, mask=bias)))


class NormMlp(Mlp):
    """Feed-forward, normalised before."""

    def __init__(self, size: int, hidden: int) -> None:
        self.norm = LayerNorm(size)
        super().__init__(size, hidden, "gelu")

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)`, kept."""
        return super().forward(self.norm(x))


class Block(Module):
    """Attention in windows, a depthwise convolution and feed-forward."""

    def __init__(self, cfg: TinyVitConfig, stage: int, index: Tensor) -> None:
        width, kernel = cfg.embed_dims[stage], cfg.local_conv_size
        self.window = cfg.window_sizes[stage]
        self.attn = BiasedAttention(width, cfg.num_heads[stage], self.window, index)
        self.local_conv = ConvNormAct(width, width, kernel, groups=width)
        self.mlp = NormMlp(width, int(width * cfg.mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, height, width, size)`, kept."""
        x = x + windowed(self.attn, x, self.window, 0, None)
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.mlp(x)


class Stage(Module):
    """Blocks of one width behind what leads to it; the first are convolutions alone."""

    def __init__(self, cfg: TinyVitConfig, index: int, stride: int) -> None:
        widths = cfg.embed_dims
        self.downsample = None
        blocks: Iterable[Module]
        if index:
            self.downsample = _narrowing(widths[index - 1], widths[index], stride)
            pairs = distances(cfg.window_sizes[index])
            blocks = (Block(cfg, index, pairs) for _ in range(cfg.depths[index]))
        else:
            inner = int(widths[0] * cfg.mbconv_expand_ratio)
            blocks = (MBConv(widths[0], inner) for _ in range(cfg.depths[0]))
        self.blocks = Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        if self.downsample is None:
            return self.blocks(x)
        found: Tensor = self.blocks(self.downsample(x).permute(0, 2, 3, 1))
        return found.permute(0, 3, 1, 2)


class TinyVit(Module):
    """Patches and stages, each of half the height and width but for `last_stride`."""

    def __init__(self, cfg: TinyVitConfig, channels: int, last_stride: int = 2) -> None:
        width, last = cfg.embed_dims[0], len(cfg.embed_dims) - 1
        parts: dict[str, Module | None] = {
            "conv1": ConvNormAct(channels, width // 2, 3, 2, act="gelu"),
            "conv2": ConvNormAct(width // 2, width, 3, 2),
        }
        self.channels = channels
        self.patch_embed = Residual(parts, skip=False)
        self.stages = Sequential(
            *(Stage(cfg, i, last_stride if i == last else 2) for i in range(last + 1))
        )

    def maps(self, x: Tensor) -> list[Tensor]:
        """What each stage gives."""
        x = self.patch_embed(pictures(x, self.channels))
        return [x := stage(x) for stage in self.stages]


def authors_names(theirs: str = "", ours: str = "") -> tuple[WeightConverter, ...]:
    """From the names of the authors' files, below a prefix, to those of timm's."""
    pairs = [(f"patch_embed.seq.{2 * i}", f"patch_embed.conv{i + 1}") for i in range(2)]
    for i in range(3):  # they merge patches behind a stage, timm before the next
        old, new = f"layers.{i}.downsample", f"stages.{i + 1}.downsample"
        pairs += [(f"{old}.conv{{}}", f"{new}.conv{{}}")]
    block = "s.{}.blocks.{}."
    pairs += [(f"layer{block}{part}", f"stage{block}{part}") for part in ("conv{}", "local_conv")]
    found = [
        rename(f"{theirs}{old}.{part}.*", f"{ours}{new}.{to}.*")
        for old, new in pairs
        for part, to in (("c", "conv"), ("bn", "bn"))
    ]
    return (*found, rename(f"{theirs}layers.{{}}.blocks.*", f"{ours}stages.{{}}.blocks.*"))
