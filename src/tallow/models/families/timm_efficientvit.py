"""timm's EfficientViT of Microsoft: cascaded attention in windows (arXiv 2305.07027)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallow.dtype import f32
from tallow.factories import tensor
from tallow.models.blocks.conv import conv_norm, divisible
from tallow.models.blocks.timm_conv import SEModule
from tallow.models.configs import sizes
from tallow.models.fields import Fields
from tallow.models.timm import TimmConfig, TimmModel
from tallow.nn import BatchNorm1d, BatchNorm2d, Conv2d, Linear, Module, ModuleList, ReLU, Sequential
from tallow.nn import functional as F
from tallow.nn.init import zeros
from tallow.nn.parameter import declare
from tallow.ops import attention, cat
from tallow.tensor import Tensor

_KINDS = (  # widths, depths, heads, kernels of the queries
    ((64, 128, 192), (1, 2, 3), (4, 4, 4), (5, 5, 5, 5)),
    ((128, 144, 192), (1, 2, 3), (2, 3, 3), (7, 5, 3, 3)),
    ((128, 192, 224), (1, 2, 3), (4, 3, 2), (7, 5, 3, 3)),
    ((128, 240, 320), (1, 2, 3), (4, 3, 4), (5, 5, 5, 5)),
    ((128, 256, 384), (1, 2, 3), (4, 4, 4), (7, 5, 3, 3)),
    ((192, 288, 384), (1, 3, 4), (3, 3, 4), (7, 5, 3, 3)),
)
NAMES = ("embed_dim", "depth", "num_heads", "kernels")


class TimmEfficientVitConfig(TimmConfig):
    """Arguments of timm's `EfficientVitMsra`."""

    img_size: tuple[int, ...] = sizes(224, 224, length=2)  # by which windows shrink to stages
    embed_dim: tuple[int, ...] = sizes(64, 128, 192)
    key_dim: tuple[int, ...] = sizes(16, 16, 16)
    depth: tuple[int, ...] = sizes(1, 2, 3, high=256)
    num_heads: tuple[int, ...] = sizes(4, 4, 4, high=64)
    window_size: tuple[int, ...] = sizes(7, 7, 7, high=32)
    kernels: tuple[int, ...] = sizes(5, 5, 5, 5, high=31)

    @classmethod
    def variant(cls, name: str) -> Mapping[str, Any] | None:
        """Its arguments."""
        known = {f"efficientvit_m{i}": row for i, row in enumerate(_KINDS)}
        row = known.get(name)
        return None if row is None else dict(zip(NAMES, map(list, row), strict=True))

    def check(self, fields: Fields) -> None:
        """Each stage needs every number, heads must divide widths and have kernels."""
        count = len(self.embed_dim)
        for name in ("key_dim", "depth", "num_heads", "window_size"):
            if len(getattr(self, name)) != count or not count:
                wanted = f"one number for each of {count} stages"
                raise fields.error(name, wanted, list(getattr(self, name)))
        good = all(w % h == 0 for w, h in zip(self.embed_dim, self.num_heads, strict=True))
        if not good or max(self.num_heads) > len(self.kernels) or self.embed_dim[0] % 8:
            wanted = "divisors of the widths, at most one for each kernel"
            raise fields.error("num_heads", wanted, list(self.num_heads))


class ConvNorm(Module):
    """Convolution and batch norm."""

    def __init__(
        self, size: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        self.conv = Conv2d(size, out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        return conv_norm(self.conv, self.bn, x)


class Mlp(Module):
    """An MLP of pointwise convolutions."""

    def __init__(self, size: int) -> None:
        self.pw1 = ConvNorm(size, 2 * size)
        self.pw2 = ConvNorm(2 * size, size)

    def forward(self, x: Tensor) -> Tensor:
        """Kept."""
        return self.pw2(F.relu(self.pw1(x)))


class Residual(Module):
    """What `m` gives, and its input."""

    def __init__(self, m: Module) -> None:
        self.m = m

    def forward(self, x: Tensor) -> Tensor:
        """Kept."""
        return x + self.m(x)


def _local(size: int) -> list[Module]:
    return [Residual(ConvNorm(size, size, 3, groups=size)), Residual(Mlp(size))]


class CascadedAttention(Module):
    """Heads in turn, each on its share of the channels and what the one before gave."""

    def __init__(
        self, size: int, key: int, heads: int, resolution: int, kernels: tuple[int, ...]
    ) -> None:
        self.key = key
        self.value = int(size / (key * heads) * key)
        self.resolution = resolution
        self.qkvs = ModuleList(
            [ConvNorm(size // heads, 2 * key + self.value) for _ in range(heads)]
        )
        self.dws = ModuleList([ConvNorm(key, key, kernels[i], groups=key) for i in range(heads)])
        self.proj = Sequential(ReLU(), ConvNorm(self.value * heads, size))
        self.attention_biases = declare(heads, resolution**2, init=zeros, loaded=f32)
        places = [(y, x) for y in range(resolution) for x in range(resolution)]
        offsets = [abs(a - c) * resolution + abs(b - d) for a, b in places for c, d in places]
        self.register_buffer("attention_bias_idxs", tensor(offsets), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, resolution, resolution)`, kept."""
        b, _, h, w = x.shape
        heads, places = len(self.qkvs), h * w
        biases = self.attention_biases.index_select(1, self.attention_bias_idxs)
        biases = biases.reshape(heads, 1, 1, places, places)
        parts = x.chunk(heads, 1)
        found: list[Tensor] = []
        for i, (qkv, depthwise) in enumerate(zip(self.qkvs, self.dws, strict=True)):
            part = parts[i] if not found else found[-1] + parts[i]
            q, k, v = qkv(part).split([self.key, self.key, self.value], 1)
            rows = [each.reshape(b, 1, -1, places).transpose(2, 3) for each in (depthwise(q), k, v)]
            out = attention(*rows, mask=biases[i])
            found.append(out.transpose(2, 3).reshape(b, self.value, h, w))
        return self.proj(cat(found, 1))


class WindowAttention(Module):
    """Attention in windows, which zeros fill up behind the image."""

    def __init__(self, attn: CascadedAttention) -> None:
        self.attn = attn

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)`, kept."""
        b, c, h, w = x.shape
        n = self.attn.resolution
        if h == n and w == n:
            return self.attn(x)
        below, right = -h % n, -w % n
        if below or right:
            x = F.pad(x, [0, right, 0, below])
        rows, columns = (h + below) // n, (w + right) // n
        x = x.reshape(b, c, rows, n, columns, n).permute(0, 2, 4, 1, 3, 5)
        x = self.attn(x.reshape(b * rows * columns, c, n, n))
        x = x.reshape(b, rows, columns, c, n, n).permute(0, 3, 1, 4, 2, 5)
        x = x.reshape(b, c, h + below, w + right)
        return x[:, :, :h, :w] if below or right else x


class Block(Module):
    """Attention between two pairs of a depthwise convolution and an MLP."""

    def __init__(self, size: int, attn: CascadedAttention) -> None:
        self.dw0, self.ffn0 = _local(size)
        self.mixer = Residual(WindowAttention(attn))
        self.dw1, self.ffn1 = _local(size)

    def forward(self, x: Tensor) -> Tensor:
        """Kept."""
        for part in self.children():
            x = part(x)
        return x


class PatchMerging(Module):
    """Half the image, with more channels."""

    def __init__(self, size: int, out: int) -> None:
        inner = 4 * size
        self.conv1 = ConvNorm(size, inner)
        self.conv2 = ConvNorm(inner, inner, 3, 2, inner)
        self.se = SEModule(inner, divisible(inner / 4, limit=0.0))
        self.conv3 = ConvNorm(inner, out)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / 2, width / 2)`."""
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return self.conv3(self.se(x))


class Downsample(Module):
    """Merged patches between pairs of a depthwise convolution and an MLP."""

    def __init__(self, size: int, out: int) -> None:
        self.res1 = Sequential(*_local(size))
        self.patchmerge = PatchMerging(size, out)
        self.res2 = Sequential(*_local(out))

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / 2, width / 2)`."""
        return self.res2(self.patchmerge(self.res1(x)))


class Stage(Module):
    """Blocks of one width, behind what leads to it."""

    def __init__(self, cfg: TimmEfficientVitConfig, index: int, resolution: int) -> None:
        size, out = cfg.embed_dim[max(index - 1, 0)], cfg.embed_dim[index]
        self.downsample = Downsample(size, out) if index else None
        window = max(1, min(cfg.window_size[index], resolution))
        blocks = []
        for _ in range(cfg.depth[index]):
            heads, key = cfg.num_heads[index], cfg.key_dim[index]
            blocks.append(Block(out, CascadedAttention(out, key, heads, window, cfg.kernels)))
        self.blocks = Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / 2, width / 2)`."""
        return self.blocks(x if self.downsample is None else self.downsample(x))


class NormLinear(Module):
    """Batch norm of vectors, and a linear layer."""

    def __init__(self, size: int, out: int) -> None:
        self.bn = BatchNorm1d(size)
        self.linear = Linear(size, out)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size)` → `(batch, out)`."""
        return self.linear(self.bn(x))


class PatchEmbedding(Module):
    """Four convolutions, each of which halves the image."""

    def __init__(self, channels: int, size: int) -> None:
        widths = (channels, size // 8, size // 4, size // 2, size)
        for i in range(4):
            setattr(self, f"conv{i + 1}", ConvNorm(widths[i], widths[i + 1], 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, size, height / 16, width / 16)`."""
        first, *rest = self.children()
        x = first(x)
        for part in rest:
            x = part(F.relu(x))
        return x


class TimmEfficientVit(TimmModel):
    """Patches, stages and a normed classifier."""

    config_class = TimmEfficientVitConfig
    classifier_name = "head"

    def __init__(self, cfg: TimmEfficientVitConfig) -> None:
        self.config = cfg
        self.patch_embed = PatchEmbedding(cfg.in_chans, cfg.embed_dim[0])
        resolution, stages = min(cfg.img_size) // 16, []
        for i in range(len(cfg.embed_dim)):
            resolution = (resolution - 1) // 2 + 1 if i else resolution
            stages.append(Stage(cfg, i, resolution))
        self.stages = Sequential(*stages)
        count = cfg.num_labels if self.classifies else 0
        self.head = NormLinear(cfg.pooled(cfg.embed_dim[-1]), count) if count else None

    def maps(self, x: Tensor) -> list[Tensor]:
        """What each stage gives."""
        x = self.patch_embed(x)
        return [x := stage(x) for stage in self.stages]
