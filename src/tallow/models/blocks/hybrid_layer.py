"""Layers of decoders that mix attention with recurrences, whose parts have names of their own."""

from __future__ import annotations

from typing import Any, NamedTuple

from tallow.models.blocks.attention import Attention
from tallow.models.states import KeyValue, Ring
from tallow.nn import Module
from tallow.tensor import Tensor


class Names(NamedTuple):
    """What a checkpoint calls the parts of a layer, in the order in which they are called."""

    norm: str
    mixer: str
    mlp_norm: str
    mlp: str


class MixedLayer(Module):
    """A mixer and a feed-forward network, each behind a norm and added to its input.

    A mixer is an `Attention`, or what has `make_state()`; `scale` multiplies what is added. `turns`
    says that the mixer wants the table of a `Rope`, and not positions as integers.
    """

    def __init__(
        self,
        names: Names,
        mixer: Module,
        mlp: Module,
        norms: tuple[Module, Module],
        *,
        scale: float = 1.0,
    ) -> None:
        for name, part in zip(names, (norms[0], mixer, norms[1], mlp), strict=True):
            setattr(self, name, part)
        self.names, self.scale = names, scale
        self.turns: bool = getattr(mixer, "turns", isinstance(mixer, Attention))

    def make_state(self) -> Any:
        """What the mixer carries along, or its keys and values."""
        mixer = getattr(self, self.names.mixer)
        if not isinstance(mixer, Attention):
            return mixer.make_state()
        sizes = mixer.kv_heads, mixer.head_dim
        return Ring(*sizes, window=mixer.window) if mixer.window else KeyValue(*sizes)

    def forward(self, x: Tensor, **given: Any) -> Tensor:
        """`(batch, n, size)` → the same shape; `given` is for the mixer."""
        norm, mixer, mlp_norm = (getattr(self, name) for name in self.names[:3])
        mixed = mixer(norm(x), **given)
        x = x + (mixed if self.scale == 1 else mixed * self.scale)
        fed = self.fed(mlp_norm(x))
        return x + (fed if self.scale == 1 else fed * self.scale)

    def fed(self, x: Tensor) -> Tensor:
        """What the feed-forward network makes of `(batch, n, size)`."""
        found: Tensor = getattr(self, self.names.mlp)(x)
        return found
