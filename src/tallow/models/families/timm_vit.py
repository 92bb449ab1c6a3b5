"""timm's vision transformers: ViT, CLIP's, DeiT and DeiT III, DINOv2 (arXiv 2010.11929)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tallow.models import losses
from tallow.models.blocks.heads import attend
from tallow.models.blocks.packed import PackedAttention
from tallow.models.blocks.vision import Mlp, Patches
from tallow.models.configs import activation, choice, size
from tallow.models.fields import Fields
from tallow.models.outputs import LogitsOutput
from tallow.models.timm_tokens import TokensConfig, TokensModel
from tallow.nn import LayerNorm, Linear, Module, ModuleList, init, param
from tallow.ops import cat
from tallow.tensor import Tensor

_SIZES = {  # widths, depths, heads
    "tiny": (192, 12, 3), "small": (384, 12, 6), "medium": (512, 12, 8), "base": (768, 12, 12),
    "large": (1024, 24, 16), "huge": (1280, 32, 16), "so400m": (1152, 27, 16),
}  # fmt: skip
_CLIP = {"medium": 512, "base": 512, "large": 768, "huge": 1024}  # of vectors beside texts
_PROJECTED = re.compile(r".*clip_quickgelu.*|.*medium.*clip.*|.*clip_(256|378)")  # to such
_NAME = re.compile(
    r"(?P<type>vit|deit|deit3)_(?P<kind>tiny|small|medium|base|large|huge|so400m)(?P<distilled>_distilled)?"
    r"_patch(?P<patch>8|14|16|32)(_reg(?P<reg>[14]))?"
    r"(?P<more>_dinov2|_clip|_clip_quickgelu|_gap|_siglip)?(_(?P<side>\d{3}))?"
)
_BARE = frozenset(  # whose first weights have no classifier
    {"vit_small_patch8_224", "vit_huge_patch14_224", "vit_large_patch32_224"}
)


_TANH = re.compile(r".*_(patch32|large_patch16_siglip_512|so400m_patch16).*")


def _more(kind: str, more: str, registers: int) -> dict[str, Any]:
    """What distinguishes a way of training."""
    if more == "_dinov2":
        return {"img_size": 518, "init_values": 1e-5, "no_embed_class": registers > 0}
    if more.startswith("_clip"):
        act = {"act_layer": "quick_gelu"} if "quick" in more else {}
        return {"pre_norm": True, "norm_eps": 1e-5, **act}
    if more == "_siglip":
        ratio = {"mlp_ratio": 3.7362} if kind == "so400m" else {}
        return {"class_token": False, "global_pool": "map", "num_classes": 0, **ratio}
    if more == "_gap":
        scaled = {"init_values": 1e-5} if kind == "medium" else {}
        return {"class_token": False, "no_embed_class": True, "global_pool": "avg", **scaled}
    return {}


class TimmVitConfig(TokensConfig):
    """Arguments of timm's `VisionTransformer`; `norm_eps` is that of its `norm_layer`."""

    global_pool: str = choice("token", "avg", "max", "avgmax", "map")
    qkv_bias: bool = True
    init_values: float | None = None
    class_token: bool = True
    no_embed_class: bool = False
    reg_tokens: int = size(0, low=0, high=1 << 10)
    pre_norm: bool = False
    fc_norm: bool | None = None
    norm_eps: float = 1e-6
    act_layer: str = activation("gelu")
    distilled: bool = False

    @classmethod
    def variant(cls, name: str) -> Mapping[str, Any] | None:
        """The arguments of a variant."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        kind, more, reg = found["kind"], found["more"] or "", int(found["reg"] or 0)
        sided = found["side"] is not None or more == "_dinov2"
        others = found["type"] != "vit" and (more or reg)
        if kind == "so400m" and more != "_siglip":
            return None
        if not sided or others or (reg and more not in ("_dinov2", "_gap")):
            return None
        if (more == "_gap" and not reg) or (found["distilled"] and found["type"] != "deit"):
            return None
        width, depth, heads = _SIZES[kind]
        values = {
            "img_size": int(found["side"] or 518), "patch_size": int(found["patch"]),
            "embed_dim": width, "depth": depth, "num_heads": heads, "reg_tokens": reg,
            **_more(kind, more, reg),
        }  # fmt: skip
        if found["type"] == "deit3":
            values |= {"no_embed_class": True, "init_values": 1e-6}
        if found["distilled"]:
            values["distilled"] = True
        if more == "_siglip" and _TANH.fullmatch(name):
            values["act_layer"] = "gelu_pytorch_tanh"
        if name in _BARE or more == "_dinov2":
            values["num_classes"] = 0
        elif _PROJECTED.fullmatch(name) and kind in _CLIP:
            values["num_classes"] = _CLIP[kind]
        return values

    def check(self, fields: Fields) -> None:
        """What is pooled is there."""
        super().check(fields)
        if self.global_pool == "token" and not self.class_token:
            raise fields.error("global_pool", "avg, max or avgmax, without class_token", "token")

    @property
    def late_norm(self) -> bool:
        """Whether what is pooled is normalised, and not the tokens."""
        pooled = self.global_pool not in ("token", "map")
        return pooled if self.fc_norm is None else self.fc_norm


class Scale(Module):
    """A factor of each channel, `gamma`."""

    def __init__(self, size: int) -> None:
        self.gamma = param(size, init=init.ones)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)`, kept."""
        return x * self.gamma


class Block(Module):
    """Attention and feed-forward, each normalised before and scaled behind if it is asked for."""

    def __init__(self, cfg: TimmVitConfig) -> None:
        width, eps = cfg.embed_dim, cfg.norm_eps
        scaled = cfg.init_values is not None
        self.norm1 = LayerNorm(width, eps)
        self.attn = PackedAttention(
            width, cfg.num_heads, packed="qkv", out="proj", bias=cfg.qkv_bias, out_bias=True
        )
        self.ls1 = Scale(width) if scaled else None
        self.norm2 = LayerNorm(width, eps)
        self.mlp = Mlp(width, int(width * cfg.mlp_ratio), cfg.act_layer)
        self.ls2 = Scale(width) if scaled else None

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, size)`, kept."""
        seen = self.attn(self.norm1(x), None, None)
        x = x + (seen if self.ls1 is None else self.ls1(seen))
        fed: Tensor = self.mlp(self.norm2(x))
        return x + (fed if self.ls2 is None else self.ls2(fed))


class LatentPool(Module):
    """What a learned query sees, and feed-forward."""

    def __init__(self, cfg: TimmVitConfig) -> None:
        width = cfg.embed_dim
        self.latent = param(1, 1, width, init=init.zeros)
        self.q = Linear(width, width)
        self.kv = Linear(width, 2 * width)
        self.proj = Linear(width, width)
        self.norm = LayerNorm(width, cfg.norm_eps)
        self.mlp = Mlp(width, int(width * cfg.mlp_ratio), cfg.act_layer)
        self.heads = cfg.num_heads

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, size)` → `(batch, size)`."""
        k, v = self.kv(x).chunk(2, -1)
        query = self.q(self.latent).expand(x.shape[0], -1, -1)
        seen = self.proj(attend(query, k, v, self.heads))
        return (seen + self.mlp(self.norm(seen)))[:, 0]


class TimmVit(TokensModel):
    """Patches behind tokens of their own, blocks, pooling and a linear layer."""

    config_class = TimmVitConfig
    ignorable = (r"head_dist\..*",)

    def __init__(self, cfg: TimmVitConfig) -> None:
        self.config = cfg
        width, (rows, columns), eps = cfg.embed_dim, cfg.grid, cfg.norm_eps
        self.patch_embed = Patches(cfg.in_chans, width, *cfg.patch_size, bias=not cfg.pre_norm)
        self.cls_token = param(1, 1, width, init=init.zeros) if cfg.class_token else None
        self.dist_token = param(1, 1, width, init=init.zeros) if cfg.distilled else None
        count = cfg.reg_tokens
        self.reg_token = param(1, count, width, init=init.zeros) if count else None
        self.own = cfg.class_token + cfg.distilled + count
        length = rows * columns + (0 if cfg.no_embed_class else self.own)
        self.pos_embed = param(1, length, width, init=init.zeros)
        self.norm_pre = LayerNorm(width, eps) if cfg.pre_norm else None
        self.blocks = ModuleList([Block(cfg) for _ in range(cfg.depth)])
        self.set_norms(width, eps, late=cfg.late_norm)
        self.attn_pool = LatentPool(cfg) if cfg.global_pool == "map" else None
        self.head = self.classifier_layer(width)
        self.head_dist = self.classifier_layer(width) if cfg.distilled else None

    def tokens(self, x: Tensor) -> list[Tensor]:
        """What each block gives."""
        placed = not self.config.no_embed_class
        x = self.patches(x)
        x = x if placed else x + self.pos_embed
        own = (self.cls_token, self.dist_token, self.reg_token)
        x = cat([*(each.expand(x.shape[0], -1, -1) for each in own if each is not None), x], 1)
        x = x + self.pos_embed if placed else x
        states = [x if self.norm_pre is None else self.norm_pre(x)]
        for block in self.blocks:
            states.append(block(states[-1]))
        return states[1:]

    def pool(self, x: Tensor) -> Tensor:
        """`(batch, length, size)` → `(batch, size)`."""
        if self.attn_pool is not None:
            return self.attn_pool(x[:, self.own :])
        return super().pool(x) if self.dist_token is None else 0.5 * (x[:, 0] + x[:, 1])

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> Any:
        """`(batch, channels, height, width)` → scores `(batch, labels)`; the loss with labels."""
        if self.head is None or self.head_dist is None:
            return super().forward(pixel_values, labels)
        x = self.finish(self.last(pixel_values))
        logits = 0.5 * (self.head(x[:, 0]) + self.head_dist(x[:, 1]))
        loss = None if labels is None else losses.sequence(logits, labels, self.config)
        return LogitsOutput(logits, loss)
