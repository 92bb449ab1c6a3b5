"""torch.fx: programs as graphs, which Tallow captures in its own way (`tl.capture`)."""

from __future__ import annotations

from typing import Any

from tallow.torch._names import namespace

Target = Any
Argument = Any
_USER_PRESERVED_ATTRIBUTES_KEY = "_user_preserved_attributes"

__getattr__, __dir__ = namespace(
    __name__,
    answers={"get_proxy_mode": None, "is_symbolic_tracing": False},
    decorators="wrap has_side_effect",
    refuses={
        "graphs of PyTorch are not supported (tl.capture captures a function)": (
            "symbolic_trace replace_pattern Graph GraphModule Node Tracer Interpreter Transformer "
            "_CodeOnlyModule Proxy GraphAppendingTracer TracerBase _copy_attr PH "
            "ProxyableClassMeta CodeGen make_fx ProxyTorchDispatchMode ShapeEnv"
        )
    },
)
