"""torch.compiler: marks for a compiler that changes nothing here."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={"tallow.torch.jit": "compile"},
    answers={
        "is_compiling": False,
        "is_dynamo_compiling": False,
        "is_exporting": False,
        "reset": None,
        "list_backends": [],
        "cudagraph_mark_step_begin": None,
    },
    decorators="disable allow_in_graph assume_constant_result substitute_in_graph",
)
