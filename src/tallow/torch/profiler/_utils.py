"""torch.profiler._utils: preparation for CUDA graphs, of which there are none."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(__name__, answers={"_init_for_cuda_graphs": None})
