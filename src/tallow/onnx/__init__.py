"""ONNX models: loaded as modules that run by plans, and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow._version import __version__ as __version__
from tallow.formats.onnx import open_onnx
from tallow.onnx.importing import import_graph
from tallow.onnx.model import Model
from tallow.onnx.operators import operator
from tallow.packages import names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from tallow.formats.mapping import Source
    from tallow.formats.writing import Target
    from tallow.nn.module import Module
    from tallow.onnx.saving import save
    from tallow.onnx.session import (
        InferenceSession,
        ModelMetadata,
        NodeArg,
        get_all_providers,
        get_available_providers,
        get_device,
    )
    from tallow.onnx.session_options import (
        ExecutionMode,
        ExecutionOrder,
        GraphOptimizationLevel,
        RunOptions,
        SessionOptions,
    )
    from tallow.onnx.session_values import IOBinding, OrtValue

__all__ = [
    "ExecutionMode",
    "ExecutionOrder",
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "Model",
    "ModelMetadata",
    "NodeArg",
    "OrtValue",
    "RunOptions",
    "SessionOptions",
    "export",
    "get_all_providers",
    "get_available_providers",
    "get_device",
    "load",
    "operator",
    "save",
]

# `load` needs none of them: they come when they are asked for.
_HOMES = {
    **dict.fromkeys(
        ("ExecutionMode", "ExecutionOrder", "GraphOptimizationLevel"), "session_options"
    ),
    **dict.fromkeys(("RunOptions", "SessionOptions"), "session_options"),
    **dict.fromkeys(("IOBinding", "OrtValue"), "session_values"),
    **dict.fromkeys(("InferenceSession", "ModelMetadata", "NodeArg", "get_device"), "session"),
    **dict.fromkeys(("get_all_providers", "get_available_providers"), "session"),
    "save": "saving",
}
__getattr__, __dir__ = names_of(globals(), _HOMES)


def load(
    source: Source, *, plans: bool = True, rewrites: bool | str | Iterable[str] = True
) -> Model:
    """The model in an ONNX file (a path, or its bytes); no weight is read before a call.

    `plans=False` computes every call node by node; `rewrites` are those of `tallow.compile`.

    Raises:
        FormatError: the file is no ONNX model, or a part of it is missing.
        ModelError: it has operators that Tallow has not; all are named.
    """
    file = open_onnx(source)
    model = Model(file, import_graph(file), plans=plans, rewrites=rewrites)
    file.release_pages()
    return model


def export(
    module: Module,
    examples: Any,
    path: Target,
    *,
    opset: int = 17,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
    dequantize: bool = False,
    external_data: bool | str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Write a module as an ONNX model; gives the paths that were written.

    `examples` are the arguments of a call: a tensor, a sequence, or a mapping by the names of
    parameters, where what is no tensor is a constant of the model. `dynamic` names the axes that
    may have any length: `{"input_ids": {0: "batch", 1: "length"}}`; axes of one name have one
    length. The module is called at a few `sizes` of each, small ones unless three or more are
    given, with the
    examples repeated and turned; all other lengths are fixed. Weights are initialisers under their
    names. Those of q8_0, q5_0 and q4_0 stay blocks with `opset` 21; other quantised ones, and all
    with `dequantize`, become floats. `external_data` puts weights into `<path>.data` (True; "auto":
    from 2 GB on). `progress(done, size)` is told of the bytes that are written.

    Raises:
        ArgumentError: examples, names or axes do not fit together.
        CaptureError: the module reads what depends on an input into Python.
        ModelError: an op is none of ONNX's, or something follows from a size in another way.
    """
    from tallow.onnx.exporter import export as write

    return write(
        module, examples, path, opset=opset, input_names=input_names, output_names=output_names,
        dynamic=dynamic, sizes=sizes, dequantize=dequantize, external_data=external_data,
        progress=progress,
    )  # fmt: skip
