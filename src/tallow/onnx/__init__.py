"""ONNX models: loaded as modules that run by plans, and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow._version import __version__ as __version__
from tallow.formats.onnx import open_onnx
from tallow.onnx.importing import import_graph
from tallow.onnx.model import Model
from tallow.onnx.operators import operator
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

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tallow.formats.mapping import Source

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
    "get_all_providers",
    "get_available_providers",
    "get_device",
    "load",
    "operator",
]


def load(
    source: Source, *, plans: bool = True, rewrites: bool | str | Iterable[str] = True
) -> Model:
    """The model in an ONNX file (a path, or its bytes); its weights are views of the file.

    `plans=False` computes every call node by node; `rewrites` are those of `tallow.compile`.

    Raises:
        FormatError: the file is no ONNX model, or a part of it is missing.
        ModelError: it has operators that Tallow has not; all are named.
    """
    file = open_onnx(source)
    return Model(file, import_graph(file), plans=plans, rewrites=rewrites)
