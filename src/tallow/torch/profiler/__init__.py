"""torch.profiler: times of named blocks; single ops are not recorded."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    modules="_utils",
    places={
        "tallow.torch.profiler._profile": (
            "profile record_function schedule ProfilerActivity ProfilerAction "
            "tensorboard_trace_handler supported_activities"
        )
    },
)
