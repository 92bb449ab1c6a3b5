"""torch._dynamo: the compiler's settings and marks, which change nothing here."""

from __future__ import annotations

from tallow.nn.module import Module
from tallow.torch._names import namespace


class OptimizedModule(Module):
    """What compiling a module would give: none is made, so that no module is one."""


__getattr__, __dir__ = namespace(
    __name__,
    places={"tallow.torch._config": "config=dynamo"},
    answers={
        "reset": None,
        "is_compiling": False,
        "mark_dynamic": None,
        "mark_static": None,
        "maybe_mark_dynamic": None,
        "mark_static_address": None,
        "list_backends": [],
        "is_compile_supported": False,
    },
    decorators=(
        "disable allow_in_graph disallow_in_graph graph_break optimize run assume_constant_result"
    ),
    refuses={"programs are not captured as graphs (see tl.capture)": "export explain"},
)
