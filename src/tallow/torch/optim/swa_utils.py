"""torch.optim.swa_utils: averages of weights."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(__name__, behind=("tallow.optim.swa_utils",))
