"""torch.nn.utils.rnn: packed and padded sequences."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(__name__, behind=("tallow.nn.utils.rnn",))
