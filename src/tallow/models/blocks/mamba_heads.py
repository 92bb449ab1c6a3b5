"""Mixers of Mamba 2 in models that mix them with attention, and what their configs say of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tallow.lazy_dataclasses import dataclass
from tallow.models.blocks.mamba import GatedNorm, HeadMixer
from tallow.models.fields import Fields


@dataclass(frozen=True)
class HeadSizes:
    """Heads, their size and state, groups that share B and C, and taps of the convolution."""

    heads: int
    head_dim: int
    state_size: int
    groups: int
    taps: int
    conv_bias: bool = True
    bias: bool = False
    limits: tuple[float, float] = (0.0, math.inf)

    @property
    def inner(self) -> int:
        """The number of channels."""
        return self.heads * self.head_dim

    def mixer(self, size: int, eps: float) -> HeadMixer:
        """A mixer of these sizes between layers of the width `size`."""
        return HeadMixer(
            size, self.heads, self.head_dim, state_size=self.state_size, groups=self.groups,
            taps=self.taps, bias=self.bias, conv_bias=self.conv_bias, limits=self.limits,
            norm=GatedNorm(self.inner, self.inner // self.groups, eps),
        )  # fmt: skip


def read_limits(fields: Fields, name: str = "time_step_limit") -> tuple[float, float]:
    """The least and the largest time step; JSON has no infinity, so that files name it."""
    value = fields.get(name)
    if value is None:
        return 0.0, math.inf
    good = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2
    found = [_infinite(each) for each in value] if good else []
    if not good or not all(type(each) in (int, float) for each in found) or found[0] > found[1]:
        raise fields.error(name, "the least and the largest time step", value)
    return float(found[0]), float(found[1])


def _infinite(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"__float__"}:
        return {"Infinity": math.inf, "-Infinity": -math.inf}.get(value["__float__"])
    return value


def read_heads(fields: Fields, size: int, *, state_size: int) -> HeadSizes:
    """The keys `mamba_…` of a config of the width `size`.

    Raises:
        ModelError: heads do not share the channels, or groups the heads.
    """
    heads = fields.integer("mamba_n_heads", 128, high=65536)
    inner = fields.integer("mamba_expand", 2, high=64) * size
    if inner % heads:
        raise fields.error("mamba_n_heads", f"a divisor of the {inner} channels", heads)
    auto = fields.get("mamba_d_head") in (None, "auto")
    head_dim = inner // heads if auto else fields.integer("mamba_d_head")
    if head_dim * heads != inner:
        wanted = f"{inner // heads}, as {heads} heads share {inner} channels"
        raise fields.error("mamba_d_head", wanted, head_dim)
    groups = fields.integer("mamba_n_groups", 1)
    if heads % groups:
        raise fields.error("mamba_n_groups", f"a divisor of the {heads} heads", groups)
    return HeadSizes(
        heads=heads,
        head_dim=head_dim,
        state_size=fields.integer("mamba_d_state", state_size, high=1024),
        groups=groups,
        taps=fields.integer("mamba_d_conv", 4, low=2, high=16),
        conv_bias=fields.flag("mamba_conv_bias", True),
        bias=fields.flag("mamba_proj_bias"),
        limits=read_limits(fields),
    )
