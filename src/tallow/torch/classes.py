"""torch.classes: classes of compiled extensions, of which there are none."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__, refuses={"compiled classes of PyTorch are not supported": "load_library"}
)
