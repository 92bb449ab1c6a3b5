"""torch.jit and torch.compile: functions and modules run as they are, so nothing is changed."""

from __future__ import annotations

import typing
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TypeVar

from tallow.nn.module import Module
from tallow.torch._names import namespace

T = TypeVar("T")
ScriptFunction = type("ScriptFunction", (), {"__doc__": "What scripting would give; none is made."})


class ScriptModule(Module):
    """What scripting a module would give: none is made, so that no module is one."""


class TracerWarning(Warning):
    """What tracing would warn of."""


class RecursiveScriptModule(ScriptModule):
    """As ScriptModule."""


Final = Final
Attribute = None

# torch.jit.annotations: what annotations of sizes name.
BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = list
List, Dict, Tuple = typing.List, typing.Dict, typing.Tuple  # noqa: UP006
Optional, Union = typing.Optional, typing.Union

__getattr__, __dir__ = namespace(
    __name__,
    answers={
        "is_scripting": False,
        "is_tracing": False,
        "set_fusion_strategy": None,
        "enable_onednn_fusion": None,
        "onednn_fusion_enabled": False,
    },
    decorators=(
        "script_method _script_if_tracing export ignore unused interface script_if_tracing "
        "_overload _overload_method _overload_class _copy_to_script_wrapper"
    ),
    refuses={
        "programs of TorchScript are not supported": (
            "load save fork wait trace_module CompilationUnit _get_trace_graph"
        )
    },
)


def script(obj: T, *_: Any, **__: Any) -> T:
    """`obj` itself."""
    return obj


def freeze(mod: T, *_: Any, **__: Any) -> T:
    """`mod` itself."""
    return mod


def optimize_for_inference(mod: T, *_: Any, **__: Any) -> T:
    """`mod` itself."""
    return mod


def trace(func: T, example_inputs: Any = None, *_: Any, **__: Any) -> T:
    """`func` itself, after running it once on the example, as tracing does."""
    call: Any = func
    if example_inputs is not None and callable(func):
        from tallow.autograd.mode import no_grad
        from tallow.tensor import Tensor

        given = (example_inputs,) if isinstance(example_inputs, Tensor) else example_inputs
        with no_grad():
            call(**given) if type(given) is dict else call(*given)
    return func


def annotate(the_type: Any, the_value: T) -> T:
    """`the_value` itself."""
    return the_value


def optimized_execution(should_optimize: bool) -> AbstractContextManager[None]:
    """A block that changes nothing."""
    return nullcontext()


strict_fusion = optimized_execution


def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: Any = None,
    disable: bool = False,
    name: str | None = None,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    shapes_spec: Any = None,
) -> Any:
    """`model` itself; also a decorator, with or without arguments."""
    return model if model is not None else lambda function: function
