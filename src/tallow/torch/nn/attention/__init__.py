"""torch.nn.attention: the choice between implementations of attention, of which there is one."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from enum import IntEnum
from typing import Any

from tallow.errors import ArgumentError, expect
from tallow.torch._names import namespace


class SDPBackend(IntEnum):
    """PyTorch's implementations of attention."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


def sdpa_kernel(backends: Any, set_priority: bool = False) -> AbstractContextManager[None]:
    """A block that changes nothing: whatever is chosen, Tallow's own attention runs."""
    given = [backends] if isinstance(backends, SDPBackend) else list(backends)
    fits = all(isinstance(b, SDPBackend) for b in given)
    expect(fits, sdpa_kernel, "a SDPBackend or a list of them", backends, ArgumentError)
    return nullcontext()


__getattr__, __dir__ = namespace(__name__, modules="flex_attention")
