"""torch.fx: programs as graphs, which Tallow captures in its own way (`tl.capture`)."""

from __future__ import annotations

from typing import Any

from tallow.torch._names import namespace

Target = Any
Argument = Any

__getattr__, __dir__ = namespace(
    __name__,
    decorators="wrap has_side_effect",
    refuses={
        "graphs of PyTorch are not supported (tl.capture captures a function)": (
            "symbolic_trace replace_pattern Graph GraphModule Node Tracer Interpreter Transformer "
            "Proxy GraphAppendingTracer TracerBase PH ProxyableClassMeta CodeGen"
        )
    },
)
