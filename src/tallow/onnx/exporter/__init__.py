"""Writes modules as ONNX graphs: their ops are traced at a few sizes, and each becomes nodes."""

from tallow.onnx.exporter.exporting import export

__all__ = ["export"]
