"""torch.mtia as a build without it has it: there is no device."""

from __future__ import annotations

from tallow.torch._absent import absent as _absent

__getattr__, __dir__ = _absent(__name__)
