"""timm's EVA and EVA-02: vision transformers, the second with rotary positions and SwiGLU.

Sources: arXiv 2211.07636, 2303.11331.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tallow.dtype import f32
from tallow.factories import arange, tensor, zeros
from tallow.models.blocks.heads import merge_heads
from tallow.models.blocks.vision import Grid, Mlp, Patches
from tallow.models.configs import choice, sizes
from tallow.models.fields import Fields
from tallow.models.timm_tokens import TokensConfig, TokensModel
from tallow.nn import LayerNorm, Linear, Module, ModuleList, init, param
from tallow.ops import attention, cat, rope, silu_mul
from tallow.tensor import Tensor

EPS = 1e-6
TEMPERATURE = 10000.0

_SIZES = {
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
}
_NAME = re.compile(r"eva02_(tiny|small|base|large)_patch14_(224|336|448)|eva_giant_patch14_(\d+)")


class EvaConfig(TokensConfig):
    """Of timm's `Eva`, as far as these variants need it."""

    global_pool: str = choice("avg", "max", "avgmax", "token")
    qkv_fused: bool = True
    swiglu_mlp: bool = False
    scale_mlp: bool = False
    use_rot_pos_emb: bool = False
    ref_feat_shape: tuple[int, ...] = sizes(length=2)
    use_fc_norm: bool | None = None

    @classmethod
    def variant(cls, name: str) -> Mapping[str, Any] | None:
        """The arguments of a variant."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        kind, side, giant = found.groups()
        if giant is not None:
            values = {"embed_dim": 1408, "depth": 40, "num_heads": 16, "mlp_ratio": 6144 / 1408}
            return {"patch_size": 14, "img_size": int(giant), **values}
        width, depth, heads = _SIZES[kind]
        large = kind in ("base", "large")
        return {
            **({"num_classes": 0} if side == "224" else {}),  # no classifier was trained
            "img_size": int(side), "patch_size": 14, "embed_dim": width, "depth": depth,
            "num_heads": heads, "mlp_ratio": 4 * 2 / 3, "swiglu_mlp": True, "scale_mlp": large,
            "qkv_fused": not large, "use_rot_pos_emb": True, "ref_feat_shape": [16, 16],
        }  # fmt: skip

    def check(self, fields: Fields) -> None:
        """A quarter of each head turns with the row, one with the column, in pairs."""
        if self.embed_dim % (4 * self.num_heads):
            wanted = f"heads of whole quarters of embed_dim {self.embed_dim}"
            raise fields.error("num_heads", wanted, self.num_heads)
        super().check(fields)

    @property
    def late_norm(self) -> bool:
        """Whether what is pooled is normalised, and not the tokens."""
        return self.global_pool == "avg" if self.use_fc_norm is None else self.use_fc_norm


class Attention(Module):
    """Attention whose keys have no bias, and whose patches may be turned by their places."""

    def __init__(self, width: int, heads: int, *, fused: bool) -> None:
        self.qkv = Linear(width, 3 * width, bias=False) if fused else None
        self.q_bias = param(width, init=init.zeros) if fused else None
        self.v_bias = param(width, init=init.zeros) if fused else None
        self.q_proj = None if fused else Linear(width, width)
        self.k_proj = None if fused else Linear(width, width, bias=False)
        self.v_proj = None if fused else Linear(width, width)
        self.proj = Linear(width, width)
        self.heads = heads

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, `(batch, length, size)` each."""
        if self.q_proj is not None and self.k_proj is not None and self.v_proj is not None:
            return self.q_proj(x), self.k_proj(x), self.v_proj(x)
        assert self.qkv is not None, "one matrix or three"
        d, both = x.shape[2], self.qkv(x)
        q, k, v = both[..., :d], both[..., d : 2 * d], both[..., 2 * d :]
        return q + self.q_bias, k, v + self.v_bias

    def forward(self, x: Tensor, table: Tensor | None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        shape = (*x.shape[:2], self.heads, -1)
        q, k, v = (part.reshape(shape) for part in self.parts(x))
        if table is not None:
            q, k = rope(q, table, True), rope(k, table, True)
        found = attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return self.proj(merge_heads(found))


class GluMlp(Module):
    """SwiGLU whose gate and input stand in one matrix."""

    def __init__(self, width: int, hidden: int) -> None:
        self.fc1 = Linear(width, 2 * hidden)
        self.fc2 = Linear(hidden, width)
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        both = self.fc1(x)
        return self.fc2(silu_mul(both[..., : self.hidden], both[..., self.hidden :]))


class NormedGlu(Module):
    """SwiGLU with a norm in between."""

    def __init__(self, width: int, hidden: int) -> None:
        self.fc1_g = Linear(width, hidden)
        self.fc1_x = Linear(width, hidden)
        self.norm = LayerNorm(hidden, EPS)
        self.fc2 = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        return self.fc2(self.norm(silu_mul(self.fc1_g(x), self.fc1_x(x))))


class Block(Module):
    """Attention and feed-forward, each normalised before."""

    def __init__(self, cfg: EvaConfig) -> None:
        width, hidden = cfg.embed_dim, int(cfg.embed_dim * cfg.mlp_ratio)
        self.norm1 = LayerNorm(width, EPS)
        self.attn = Attention(width, cfg.num_heads, fused=cfg.qkv_fused)
        self.norm2 = LayerNorm(width, EPS)
        if cfg.swiglu_mlp:
            self.mlp: Module = (NormedGlu if cfg.scale_mlp else GluMlp)(width, hidden)
        else:
            self.mlp = Mlp(width, hidden, "gelu")

    def forward(self, x: Tensor, table: Tensor | None) -> Tensor:
        """`(batch, length, size)` → the same shape."""
        x = x + self.attn(self.norm1(x), table)
        return x + self.mlp(self.norm2(x))


def turns(cfg: EvaConfig, grid: Grid) -> Tensor:
    """The table of turns, `(1, length, head size)`; none for the class token."""
    count = cfg.embed_dim // cfg.num_heads // 4
    bands = tensor([TEMPERATURE ** (-i / count) for i in range(count)], dtype=f32)
    reach = cfg.ref_feat_shape or grid
    down, across = (
        (arange(n).to(f32) * (far / n)).unsqueeze(1) * bands
        for n, far in zip(grid, reach, strict=True)
    )
    both = [
        down.unsqueeze(1).expand(*grid, count),
        across.unsqueeze(0).expand(*grid, count),
    ]
    full = cat([zeros(1, 2 * count), cat(both, -1).reshape(-1, 2 * count)], 0)
    return cat([full.cos(), full.sin()], -1).unsqueeze(0)


class TimmEva(TokensModel):
    """Patches behind a class token, blocks, pooling and a linear layer."""

    config_class = EvaConfig
    own = 1

    def __init__(self, cfg: EvaConfig) -> None:
        self.config = cfg
        width, (rows, columns) = cfg.embed_dim, cfg.grid
        self.patch_embed = Patches(cfg.in_chans, width, *cfg.patch_size)
        self.cls_token = param(1, 1, width, init=init.zeros)
        self.pos_embed = param(1, rows * columns + 1, width, init=init.zeros)
        self.blocks = ModuleList([Block(cfg) for _ in range(cfg.depth)])
        self.set_norms(width, EPS, late=cfg.late_norm)
        self.head = self.classifier_layer(width)

    def tokens(self, x: Tensor) -> list[Tensor]:
        """What each block gives."""
        cfg, x = self.config, self.patches(x)
        x = cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        table, states = turns(cfg, cfg.grid) if cfg.use_rot_pos_emb else None, [x]
        for block in self.blocks:
            states.append(block(states[-1], table))
        return states[1:]
