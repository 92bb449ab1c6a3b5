"""torch.accelerator: there is none, and what needs one says so."""

from __future__ import annotations

from tallow.torch._absent import absent as _absent

__getattr__, __dir__ = _absent(__name__)
