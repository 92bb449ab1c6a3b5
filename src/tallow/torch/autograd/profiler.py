"""torch.autograd.profiler: the older place of the profiler."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={"tallow.torch.profiler._profile": "profile record_function emit_nvtx emit_itt"},
)
