"""Enumerations of torch.onnx."""

from __future__ import annotations

from enum import Enum


class OperatorExportTypes(Enum):
    """Which ops a model may hold."""

    ONNX = 0
    ONNX_ATEN = 1
    ONNX_ATEN_FALLBACK = 2
    ONNX_FALLTHROUGH = 3


class TrainingMode(Enum):
    """As what a model is written."""

    EVAL = 0
    PRESERVE = 1
    TRAINING = 2


class TensorProtoDataType(Enum):
    """Dtypes of ONNX."""

    UNDEFINED = 0
    FLOAT = 1
    INT64 = 7
