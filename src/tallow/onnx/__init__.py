"""ONNX models: loaded as modules that run by plans, and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.formats.onnx import open_onnx
from tallow.onnx.importing import import_graph
from tallow.onnx.model import Model
from tallow.onnx.operators import operator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tallow.formats.mapping import Source

__all__ = ["Model", "load", "operator"]


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
