"""torch.onnx: models are not written as ONNX."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    answers={"is_in_onnx_export": False, "is_onnxrt_backend_supported": False},
    decorators="symbolic_override",
    refuses={
        "models are not written as ONNX": (
            "export dynamo_export register_custom_op_symbolic unregister_custom_op_symbolic "
            "select_model_mode_for_export ExportOptions ONNXProgram OnnxExporterError"
        )
    },
)
