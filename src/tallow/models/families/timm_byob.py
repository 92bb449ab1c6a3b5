"""timm's RepVGG (arXiv 2101.03697) and MobileOne (2206.04040), with branches or fused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.blocks.conv import divisible
from tallow.models.blocks.reparam import RepBlock
from tallow.models.blocks.timm_conv import SEModule
from tallow.models.configs import choice, ratio, size, sizes
from tallow.models.fields import Fields
from tallow.models.timm import ClassifierHead, TimmConfig, TimmModel
from tallow.nn import Sequential
from tallow.tensor import Tensor

_DEPTHS = {"a": (2, 4, 14, 1), "b": (4, 6, 16, 1), "d": (8, 14, 24, 1)}
_REP = {  # widths of the first three stages and of the last, in 1/64 and 1/512
    "a0": (0.75, 2.5), "a1": (1.0, 2.5), "a2": (1.5, 2.75), "b0": (1.0, 2.5), "b1": (2.0, 4.0),
    "b2": (2.5, 5.0), "b3": (3.0, 5.0), "d2": (2.5, 5.0),
}  # fmt: skip
_ONE = (
    (0.75, 1.0, 1.0, 2.0), (1.5, 1.5, 2.0, 2.5), (1.5, 2.0, 2.5, 4.0), (2.0, 2.5, 3.0, 4.0),
    (3.0, 3.5, 3.5, 4.0),
)  # fmt: skip
_REP_NAME = re.compile(r"repvgg_([abd]\d)(?:g(4)|(se))?")


class TimmByobConfig(TimmConfig):
    """What timm's `ByoModelCfg` says of these two."""

    stem_type: str = choice("rep", "one")
    stem_chs: int = size(64)
    depths: tuple[int, ...] = sizes(2, 4, 14, 1, high=256)
    widths: tuple[int, ...] = sizes(48, 96, 192, 1280)
    groups: int = size(1, high=64)  # of every second block
    num_conv_branches: int = size(1, high=16)
    se_blocks: tuple[int, ...] = sizes(0, 0, 0, 0, low=0, high=256)  # the last ones of each stage
    se_ratio: float = ratio(1 / 16)
    se_divisor: int = size(8)

    @classmethod
    def variant(cls, name: str) -> Mapping[str, Any] | None:
        """Its arguments."""
        found = _REP_NAME.fullmatch(name)
        if found is not None and found[1] in _REP:
            first, last = _REP[found[1]]
            depths = _DEPTHS[found[1][0]]
            return {
                "stem_type": "rep", "stem_chs": 48 if found[1] == "a0" else 64,
                "depths": list(depths), "groups": int(found[2] or 1),
                "widths": [int(64 * first), int(128 * first), int(256 * first), int(512 * last)],
                "se_blocks": list(depths) if found[3] else [0] * 4, "se_divisor": 1,
            }  # fmt: skip
        found = re.fullmatch(r"mobileone_s([0-4])", name)
        if found is None:
            return None
        kind = int(found[1])
        widths = [int(64 * 2**i * factor) for i, factor in enumerate(_ONE[kind])]
        return {
            "stem_type": "one", "stem_chs": 48 if kind == 0 else 64, "widths": widths,
            "depths": [2, 8, 10, 1], "num_conv_branches": 4 if kind == 0 else 1,
            "se_blocks": [0, 0, 5, 1] if kind == 4 else [0] * 4,
        }  # fmt: skip

    def check(self, fields: Fields) -> None:
        """Each stage needs every number."""
        for name in ("depths", "se_blocks"):
            if len(getattr(self, name)) != len(self.widths) or not self.widths:
                wanted = f"one number for each of {len(self.widths)} stages"
                raise fields.error(name, wanted, list(getattr(self, name)))


class ByobBlock(RepBlock):
    """A convolution in branches, squeeze-and-excitation where asked, and ReLU."""

    def __init__(
        self,
        cfg: TimmByobConfig,
        size: int,
        out: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        *,
        excited: bool = False,
        count: int = 1,
    ) -> None:
        repvgg = cfg.stem_type == "rep"
        super().__init__(size, out, kernel, stride, groups, count=count, repvgg=repvgg)
        inner = divisible(out * cfg.se_ratio, cfg.se_divisor, limit=0.0)
        self.attn = SEModule(out, inner) if excited else None
        self.act = ACTIVATIONS["relu"]

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, out, height / stride, width / stride)`."""
        out = super().forward(x)
        return self.act(out if self.attn is None else self.attn(out))


class TimmByob(TimmModel):
    """Stem and stages of blocks; MobileOne's are pairs of depthwise and pointwise ones."""

    config_class = TimmByobConfig
    classifier_name = "head.fc"

    def __init__(self, cfg: TimmByobConfig) -> None:
        self.config = cfg
        width = cfg.stem_chs
        excited = cfg.stem_type == "rep" and any(cfg.se_blocks)
        self.stem = ByobBlock(cfg, cfg.in_chans, width, 3, 2, excited=excited)
        stage = self._pairs if cfg.stem_type == "one" else self._stage
        stages, width = [], cfg.stem_chs
        for i, out in enumerate(cfg.widths):
            stages.append(Sequential(*stage(width, out, cfg.depths[i], cfg.se_blocks[i])))
            width = out
        self.stages = Sequential(*stages)
        self.head = ClassifierHead(self.classifier_layer(cfg.pooled(width)))

    def maps(self, x: Tensor) -> list[Tensor]:
        """What the stem and each stage give."""
        states = [self.stem(x)]
        for stage in self.stages:
            states.append(stage(states[-1]))
        return states

    def _stage(self, size: int, out: int, depth: int, excited: int) -> list[ByobBlock]:
        cfg, blocks = self.config, []
        for i in range(depth):
            groups = cfg.groups if i % 2 else 1
            stride = 1 if i else 2
            se = i >= depth - excited
            blocks.append(ByobBlock(cfg, size, out, 3, stride, groups, excited=se))
            size = out
        return blocks

    def _pairs(self, size: int, out: int, depth: int, excited: int) -> list[ByobBlock]:
        cfg, blocks = self.config, []
        for i in range(depth):
            se, count = i >= depth - excited, cfg.num_conv_branches
            stride = 1 if i else 2
            blocks.append(ByobBlock(cfg, size, size, 3, stride, size, excited=se, count=count))
            blocks.append(ByobBlock(cfg, size, out, 1, excited=se, count=count))
            size = out
        return blocks
