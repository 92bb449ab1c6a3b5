"""What is computed of parameters alone, kept for as long as they stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow.autograd.mode import is_grad_enabled
from tallow.overrides import disable_overrides
from tallow.tensor import Tensor


class Kept:
    """The result of a function of some tensors; made anew when one changes, or for a gradient."""

    def __init__(self) -> None:
        self._held: tuple[Any, Tensor] | None = None

    def get(self, make: Callable[[], Tensor], *tensors: Tensor) -> Tensor:
        """`make()`, or what it was while `tensors` were the same."""
        if is_grad_enabled() and any(x.requires_grad for x in tensors):
            return make()
        state = [(x._array, x._array.storage_version) for x in tensors]
        if self._held is None or self._held[0] != state:
            # Out of sight of who follows calls: the next time there would be none.
            with disable_overrides():
                self._held = (state, make())
        return self._held[1]
