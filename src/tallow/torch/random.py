"""torch.random: seeds and states of the default generator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tallow.random import default_generator as default_generator
from tallow.random import get_rng_state as get_rng_state
from tallow.random import initial_seed as initial_seed
from tallow.random import manual_seed as manual_seed
from tallow.random import seed as seed
from tallow.random import set_rng_state as set_rng_state

__all__ = [
    "default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed",
    "set_rng_state",
]  # fmt: skip


@contextmanager
def fork_rng(
    devices: Any = None, enabled: bool = True, _caller: str = "", _devices_kw: str = "",
    device_type: str = "cuda",
) -> Iterator[None]:  # fmt: skip
    """A block after which the default generator goes on where it was before."""
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
