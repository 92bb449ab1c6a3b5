"""timm's mobile networks, which strings describe: MobileNet V1 to V4, EfficientNet, Lite and V2.

Sources: arXiv 1704.04861, 1801.04381, 1905.02244, 2404.10518, 1905.11946, 2104.00298.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.conv import conv_norm, divisible
from tallow.models.blocks.timm_blocks import Block, Build, make, parse
from tallow.models.blocks.timm_conv import NormAct, conv
from tallow.models.configs import choice, custom, ratio, size
from tallow.models.fields import Fields
from tallow.models.timm import ACT_NAMES, TimmConfig, TimmModel
from tallow.nn import Conv2d, Sequential
from tallow.tensor import Tensor
from tallow.weights.arrange import WeightConverter, rename

# Stages by spaces, the kinds of blocks of one stage by `+`.
_V3_LARGE = (
    "ds_r1_k3_s1_e1_c16_nre ir_r1_k3_s2_e4_c24_nre+ir_r1_k3_s1_e3_c24_nre "
    "ir_r3_k5_s2_e3_c40_se0.25_nre ir_r1_k3_s2_e6_c80+ir_r1_k3_s1_e2.5_c80+ir_r2_k3_s1_e2.3_c80 "
    "ir_r2_k3_s1_e6_c112_se0.25 ir_r3_k5_s2_e6_c160_se0.25 cn_r1_k1_s1_c960"
)
_V3_SMALL = (
    "ds_r1_k3_s2_e1_c16_se0.25_nre ir_r1_k3_s2_e4.5_c24_nre+ir_r1_k3_s1_e3.67_c24_nre "
    "ir_r1_k5_s2_e4_c40_se0.25+ir_r2_k5_s1_e6_c40_se0.25 ir_r2_k5_s1_e3_c48_se0.25 "
    "ir_r3_k5_s2_e6_c96_se0.25 cn_r1_k1_s1_c576"
)
_V4_HEAD = "cn_r1_k1_s1_c960"
_V4_SMALL = (
    "cn_r1_k3_s2_e1_c32+cn_r1_k1_s1_e1_c32 cn_r1_k3_s2_e1_c96+cn_r1_k1_s1_e1_c64 "
    "uir_r1_a5_k5_s2_e3_c96+uir_r4_a0_k3_s1_e2_c96+uir_r1_a3_k0_s1_e4_c96 "
    "uir_r1_a3_k3_s2_e6_c128+uir_r1_a5_k5_s1_e4_c128+uir_r1_a0_k5_s1_e4_c128+"
    "uir_r1_a0_k5_s1_e3_c128+uir_r2_a0_k3_s1_e4_c128 "
) + _V4_HEAD
_V4_MEDIUM = (
    "er_r1_k3_s2_e4_c48 uir_r1_a3_k5_s2_e4_c80+uir_r1_a3_k3_s1_e2_c80 "
    "uir_r1_a3_k5_s2_e6_c160+uir_r2_a3_k3_s1_e4_c160+uir_r1_a3_k5_s1_e4_c160+"
    "uir_r1_a3_k3_s1_e4_c160+uir_r1_a3_k0_s1_e4_c160+uir_r1_a0_k0_s1_e2_c160+"
    "uir_r1_a3_k0_s1_e4_c160 uir_r1_a5_k5_s2_e6_c256+uir_r1_a5_k5_s1_e4_c256+"
    "uir_r2_a3_k5_s1_e4_c256+uir_r1_a0_k0_s1_e4_c256+uir_r1_a3_k0_s1_e4_c256+"
    "uir_r1_a3_k5_s1_e2_c256+uir_r1_a5_k5_s1_e4_c256+uir_r2_a0_k0_s1_e4_c256+"
    "uir_r1_a5_k0_s1_e2_c256 "
) + _V4_HEAD
_V4_START = "er_r1_k3_s2_e4_c48 uir_r1_a3_k5_s2_e4_c96+uir_r1_a3_k3_s1_e4_c96 "
_V4_LARGE = (
    _V4_START + "uir_r1_a3_k5_s2_e4_c192+uir_r3_a3_k3_s1_e4_c192+uir_r1_a3_k5_s1_e4_c192+"
    "uir_r5_a5_k3_s1_e4_c192+uir_r1_a3_k0_s1_e4_c192 "
    "uir_r4_a5_k5_s2_e4_c512+uir_r1_a5_k0_s1_e4_c512+uir_r1_a5_k3_s1_e4_c512+"
    "uir_r2_a5_k0_s1_e4_c512+uir_r1_a5_k3_s1_e4_c512+uir_r1_a5_k5_s1_e4_c512+"
    "uir_r3_a5_k0_s1_e4_c512 " + _V4_HEAD
)
_Q160, _Q256 = "mqa_r1_k3_h4_s1_v2_d64_c160", "mqa_r1_k3_h4_s1_d64_c256"
_V4_HYBRID_MEDIUM = (
    "er_r1_k3_s2_e4_c48 uir_r1_a3_k5_s2_e4_c80+uir_r1_a3_k3_s1_e2_c80 "
    "uir_r1_a3_k5_s2_e6_c160+uir_r1_a0_k0_s1_e2_c160+uir_r1_a3_k3_s1_e4_c160+"
    f"uir_r1_a3_k5_s1_e4_c160+{_Q160}+uir_r1_a3_k3_s1_e4_c160+{_Q160}+uir_r1_a3_k0_s1_e4_c160+"
    f"{_Q160}+uir_r1_a3_k3_s1_e4_c160+{_Q160}+uir_r1_a3_k0_s1_e4_c160 "
    "uir_r1_a5_k5_s2_e6_c256+uir_r1_a5_k5_s1_e4_c256+uir_r2_a3_k5_s1_e4_c256+"
    "uir_r1_a0_k0_s1_e2_c256+uir_r1_a3_k5_s1_e2_c256+uir_r1_a0_k0_s1_e2_c256+"
    f"uir_r1_a0_k0_s1_e4_c256+{_Q256}+uir_r1_a3_k0_s1_e4_c256+{_Q256}+uir_r1_a5_k5_s1_e4_c256+"
    f"{_Q256}+uir_r1_a5_k0_s1_e4_c256+{_Q256}+uir_r1_a5_k0_s1_e4_c256 " + _V4_HEAD
)
_Q192, _Q512 = "mqa_r1_k3_h8_s1_v2_d48_c192", "mqa_r1_k3_h8_s1_d64_c512"
_V4_HYBRID_LARGE = (
    _V4_START + "uir_r1_a3_k5_s2_e4_c192+uir_r3_a3_k3_s1_e4_c192+uir_r1_a3_k5_s1_e4_c192+"
    f"uir_r2_a5_k3_s1_e4_c192+{_Q192}+" + f"uir_r1_a5_k3_s1_e4_c192+{_Q192}+" * 3
    + "uir_r1_a3_k0_s1_e4_c192 uir_r4_a5_k5_s2_e4_c512+uir_r1_a5_k0_s1_e4_c512+"
    "uir_r1_a5_k3_s1_e4_c512+uir_r2_a5_k0_s1_e4_c512+uir_r1_a5_k3_s1_e4_c512+"
    "uir_r1_a5_k5_s1_e4_c512+" + f"{_Q512}+uir_r1_a5_k0_s1_e4_c512+" * 3
    + f"{_Q512}+uir_r1_a5_k0_s1_e4_c512 " + _V4_HEAD
)  # fmt: skip
_B = (
    "ds_r1_k3_s1_e1_c16_se0.25 ir_r2_k3_s2_e6_c24_se0.25 ir_r2_k5_s2_e6_c40_se0.25 "
    "ir_r3_k3_s2_e6_c80_se0.25 ir_r3_k5_s1_e6_c112_se0.25 ir_r4_k5_s2_e6_c192_se0.25 "
    "ir_r1_k3_s1_e6_c320_se0.25"
)
_EFFICIENT_V2 = {
    "b": "cn_r1_k3_s1_e1_c16_skip er_r2_k3_s2_e4_c32 er_r2_k3_s2_e4_c48 ir_r3_k3_s2_e4_c96_se0.25 "
    "ir_r5_k3_s1_e6_c112_se0.25 ir_r8_k3_s2_e6_c192_se0.25",
    "s": "cn_r2_k3_s1_e1_c24_skip er_r4_k3_s2_e4_c48 er_r4_k3_s2_e4_c64 ir_r6_k3_s2_e4_c128_se0.25 "
    "ir_r9_k3_s1_e6_c160_se0.25 ir_r15_k3_s2_e6_c256_se0.25",
    "m": "cn_r3_k3_s1_e1_c24_skip er_r5_k3_s2_e4_c48 er_r5_k3_s2_e4_c80 ir_r7_k3_s2_e4_c160_se0.25 "
    "ir_r14_k3_s1_e6_c176_se0.25 ir_r18_k3_s2_e6_c304_se0.25 ir_r5_k3_s1_e6_c512_se0.25",
    "l": "cn_r4_k3_s1_e1_c32_skip er_r7_k3_s2_e4_c64 er_r7_k3_s2_e4_c96 "
    "ir_r10_k3_s2_e4_c192_se0.25 ir_r19_k3_s1_e6_c224_se0.25 ir_r25_k3_s2_e6_c384_se0.25 "
    "ir_r7_k3_s1_e6_c640_se0.25",
    "xl": "cn_r4_k3_s1_e1_c32_skip er_r8_k3_s2_e4_c64 er_r8_k3_s2_e4_c96 "
    "ir_r16_k3_s2_e4_c192_se0.25 ir_r24_k3_s1_e6_c256_se0.25 ir_r32_k3_s2_e6_c512_se0.25 "
    "ir_r8_k3_s1_e6_c640_se0.25",
}
_SCALES = {  # of EfficientNet's names: width and depth
    0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2), 3: (1.2, 1.4), 4: (1.4, 1.8), 5: (1.6, 2.2),
    6: (1.8, 2.6), 7: (2.0, 3.1), 8: (2.2, 3.6),
}  # fmt: skip

Arguments = dict[str, Any]


def _v3(found: re.Match[str]) -> Arguments | None:
    kind, minimal, percent, deep = found.groups()
    text = _V3_SMALL if kind == "small" else _V3_LARGE
    act = "hard_swish"
    if minimal:  # the same without squeeze-and-excitation, large kernels and other activations
        text, act = re.sub("_se0.25|_nre", "", text).replace("k5", "k3"), "relu"
    width = int(percent) / 100
    return {
        "block_args": text, "stem_size": 16, "channel_multiplier": width, "act_layer": act,
        "depth_multiplier": 1.2 if deep else 1.0, "fix_stem": width < 0.75, "head": "late",
        "num_features": 1024 if kind == "small" else 1280, "head_bias": True,
        "se_from_exp": True, "se_gate": "hard_sigmoid", "se_act": "relu", "se_divisor": 8,
    }  # fmt: skip


def _v4(found: re.Match[str]) -> Arguments | None:
    kind, percent = found.group(1), int(found.group(2) or 100) / 100
    text, stem, act, scale = {
        "conv_small": (_V4_SMALL, 32, "relu", None),
        "conv_medium": (_V4_MEDIUM, 32, "relu", None),
        "conv_large": (_V4_LARGE, 24, "relu", None),
        "hybrid_medium": (_V4_HYBRID_MEDIUM, 32, "relu", 1e-5),
        "hybrid_large": (_V4_HYBRID_LARGE, 24, "gelu", 1e-5),
    }[kind]
    return {
        "block_args": text, "stem_size": stem, "fix_stem": percent < 1, "act_layer": act,
        "channel_multiplier": percent, "head": "late", "head_norm": True,
        "se_from_exp": True, "layer_scale_init_value": scale,
    }  # fmt: skip


def _v2(found: re.Match[str]) -> Arguments | None:
    width, deep = int(found.group(1)) / 100, found.group(2) == "d"
    text = (
        "ds_r1_k3_s1_c16 ir_r2_k3_s2_e6_c24 ir_r3_k3_s2_e6_c32 ir_r4_k3_s2_e6_c64 "
        "ir_r3_k3_s1_e6_c96 ir_r3_k3_s2_e6_c160 ir_r1_k3_s1_e6_c320"
    )
    depth = {1.1: 1.2, 1.2: 1.4}.get(width, 1.0) if deep else 1.0
    return {
        "block_args": text, "channel_multiplier": width, "depth_multiplier": depth,
        "fix_stem": deep, "fix_first_last": deep, "act_layer": "relu6",
        "num_features": 1280 if deep else max(1280, divisible(1280 * width)),
    }  # fmt: skip


def _v1(found: re.Match[str]) -> Arguments | None:
    width, head = int(found.group(1)) / 100, found.group(2) == "h"
    text = "dsa_r1_k3_s1_c64 dsa_r2_k3_s2_c128 dsa_r2_k3_s2_c256 dsa_r6_k3_s2_c512 "
    return {
        "block_args": text + "dsa_r2_k3_s2_c1024", "channel_multiplier": width,
        "act_layer": "relu6", "num_features": max(1024, divisible(1024 * width)) if head else 0,
    }  # fmt: skip


def _b(found: re.Match[str]) -> Arguments | None:
    width, depth = _SCALES[int(found.group(1))]
    return {
        "block_args": _B, "channel_multiplier": width, "depth_multiplier": depth,
        "num_features": divisible(1280 * width), "act_layer": "swish",
    }  # fmt: skip


def _lite(found: re.Match[str]) -> Arguments | None:
    width, depth = _SCALES[int(found.group(1))]
    return {
        "block_args": _B.replace("_se0.25", ""), "channel_multiplier": width,
        "depth_multiplier": depth, "fix_first_last": True, "fix_stem": True, "act_layer": "relu6",
    }  # fmt: skip


def _efficient_v2(found: re.Match[str]) -> Arguments | None:
    kind, number = found.group(1), found.group(2)
    if (kind == "b") != bool(number):
        return None
    width, depth = _SCALES[int(number or 0)]
    return {
        "block_args": _EFFICIENT_V2[kind], "channel_multiplier": width, "depth_multiplier": depth,
        "round_limit": 0.0 if kind == "b" else 0.9, "act_layer": "swish",
        "stem_size": 24 if kind in "sm" else 32,
        "num_features": divisible(1280 * width, limit=0.0),
    }  # fmt: skip


_NAMES = (
    (r"mobilenetv3_(large|small)_(minimal_)?(\d{3})(d?)", _v3),
    (r"mobilenetv4_((?:conv|hybrid)_(?:small|medium|large))(?:_(\d{3}))?", _v4),
    (r"mobilenetv2_(\d{3})(d?)", _v2),
    (r"mobilenetv1_(\d{3})(h?)", _v1),
    (r"efficientnet_b([0-8])", _b),
    (r"efficientnet_lite([0-4])", _lite),
    (r"efficientnetv2_(b|s|m|l|xl)([0-3]?)", _efficient_v2),
)


def _stages(fields: Fields, name: str, default: Any) -> tuple[tuple[Block, ...], ...]:
    value = fields.get(name)
    stages = [s.split("+") for s in value.split()] if isinstance(value, str) else value
    good = isinstance(stages, list) and 0 < len(stages) <= 64
    if not good or not all(isinstance(s, list) and 0 < len(s) <= 64 for s in stages):
        raise fields.error(name, "lists of strings, one list a stage", value)
    found = tuple(tuple(parse(text) for text in stage) for stage in stages)
    for stage, texts in zip(found, stages, strict=True):
        for block, text in zip(stage, texts, strict=True):
            if block is None:
                raise fields.error(name, "blocks such as ir_r2_k3_s2_e6_c24_se0.25", text)
    return found  # type: ignore[return-value]  # None was refused


class TimmMobileConfig(TimmConfig):
    """Of timm's `EfficientNet` (`head` early: its convolution before pooling) or `MobileNetV3`."""

    block_args: tuple[tuple[Block, ...], ...] = custom((), _stages)
    stem_size: int = size(32)
    fix_stem: bool = False
    num_features: int = size(1280, low=0)
    head: str = choice("early", "late")
    head_bias: bool = False
    head_norm: bool = False
    pad_type: str = choice("", "same")
    act_layer: str = choice("relu", "relu6", "hard_swish", "swish", "silu", "gelu", "mish")
    bn_eps: float = 1e-5
    channel_multiplier: float = ratio(1.0)
    depth_multiplier: float = ratio(1.0)
    round_limit: float = 0.9
    fix_first_last: bool = False
    se_from_exp: bool = False
    se_gate: str = choice("sigmoid", "hard_sigmoid")
    se_act: str = choice("", "relu")
    se_divisor: int = size(1)
    layer_scale_init_value: float | None = None

    @classmethod
    def variant(cls, name: str) -> Mapping[str, Any] | None:
        """Its arguments."""
        given = name.removeprefix("tf_")
        for text, arguments in _NAMES:
            found = re.fullmatch(text, given)
            made = None if found is None else arguments(found)
            if made is not None:
                return {**made, "pad_type": "same", "bn_eps": 1e-3} if given != name else made
        return None

    def width(self, channels: int) -> int:
        """Channels, scaled."""
        return divisible(channels * self.channel_multiplier, limit=self.round_limit)

    @property
    def act(self) -> str:
        """The activation by its name here."""
        return ACT_NAMES.get(self.act_layer, self.act_layer)

    @property
    def build(self) -> Build:
        """What all blocks share."""
        gate = ACT_NAMES.get(self.se_gate, self.se_gate)
        return Build(
            self.act, self.bn_eps, self.pad_type == "same", self.se_from_exp, gate, self.se_act,
            self.se_divisor, self.layer_scale_init_value is not None,
        )  # fmt: skip


# EfficientNet-PyTorch's names → timm's; `ds` and `ir` are blocks without and with an expansion.
_OTHERS = (
    rename("_bn1.*", "bn2.*"), rename("_bn0.*", "bn1.*"), rename("_conv_stem.*", "conv_stem.*"),
    rename("_conv_head.*", "conv_head.*"), rename("_fc.*", "classifier.*"),
    *(
        rename(f"{kind}.{{}}.{{}}._{theirs}.*", f"blocks.{{}}.{{}}.{ours}.*")
        for kind, names in (
            ("ds", "depthwise_conv conv_dw bn1 bn1 project_conv conv_pw bn2 bn2"),
            ("ir", "expand_conv conv_pw bn0 bn1 depthwise_conv conv_dw bn1 bn2"),
            ("ir", "project_conv conv_pwl bn2 bn3"),
            ("ds", "se_reduce se.conv_reduce se_expand se.conv_expand"),
            ("ir", "se_reduce se.conv_reduce se_expand se.conv_expand"),
        )
        for theirs, ours in zip(names.split()[::2], names.split()[1::2], strict=True)
    ),
)  # fmt: skip


def _numbered(stages: Sequential) -> list[WeightConverter]:
    """`_blocks.7.*` as `ir.2.1.*`, of the stage and its block of that number."""
    places = [(i, j, block) for i, stage in enumerate(stages) for j, block in enumerate(stage)]
    kinds = ["ds" if hasattr(block, "conv_pw") and not hasattr(block, "conv_pwl") else "ir"
             for _, _, block in places]  # fmt: skip
    return [rename(f"_blocks.{n}.*", f"{kinds[n]}.{i}.{j}.*") for n, (i, j, _) in enumerate(places)]


class TimmMobileNet(TimmModel):
    """Stem, stages of blocks, and a head convolution before or behind the pooling."""

    config_class = TimmMobileConfig

    def __init__(self, cfg: TimmMobileConfig) -> None:
        self.config = cfg
        same, act, eps = cfg.pad_type == "same", cfg.act, cfg.bn_eps
        width = cfg.stem_size if cfg.fix_stem else cfg.width(cfg.stem_size)
        self.conv_stem = conv(cfg.in_chans, width, 3, 2, same=same)
        self.bn1 = NormAct(width, act, eps)
        stages, strides = [], []
        last = len(cfg.block_args) - 1
        for i, stage in enumerate(cfg.block_args):
            depth = 1.0 if cfg.fix_first_last and i in (0, last) else cfg.depth_multiplier
            blocks, width, stride = make(stage, depth, width, cfg.width, cfg.build)
            stages.append(Sequential(*blocks))
            strides.append(stride)
        self.blocks = Sequential(*stages)
        # The last features before each stride, counted with the stem.
        self.ends = [i for i, stride in enumerate(strides) if stride > 1] + [len(strides)]
        hidden, late = cfg.num_features, cfg.head == "late"
        size = cfg.pooled(width) if late else width
        bias = late and cfg.head_bias and not cfg.head_norm
        self.conv_head = Conv2d(size, hidden, 1, bias=bias) if hidden else None
        self.norm_head = NormAct(hidden, act, eps) if late and cfg.head_norm else None
        self.bn2 = NormAct(hidden, act, eps) if hidden and not late else None
        out = hidden or width
        self.classifier = self.classifier_layer(out if late else cfg.pooled(out))

    def arrangement(self, names: Collection[str]) -> tuple[WeightConverter, ...]:
        """Beside timm's names those of EfficientNet-PyTorch, which numbers blocks throughout."""
        return (*super().arrangement(names), *_numbered(self.blocks), *_OTHERS)

    def maps(self, x: Tensor) -> list[Tensor]:
        """The last features of each size."""
        states = [conv_norm(self.conv_stem, self.bn1, x)]
        for stage in self.blocks:
            states.append(stage(states[-1]))
        return [states[i] for i in self.ends]

    def finish(self, x: Tensor) -> Tensor:
        """Through the head's convolution, where it comes before pooling."""
        if self.bn2 is None or self.conv_head is None:
            return x
        return conv_norm(self.conv_head, self.bn2, x)

    def pool(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)` → `(batch, size)`, through a late convolution."""
        found = super().pool(x)
        if self.config.head == "early" or self.conv_head is None:
            return found
        made = self.conv_head(found.unsqueeze(-1).unsqueeze(-1))
        norm = ACTIVATIONS[self.config.act] if self.norm_head is None else self.norm_head
        return norm(made).flatten(1)
