"""torch.onnx: models are not written as ONNX."""

from __future__ import annotations

from tallow.torch._names import Settings, namespace

OperatorExportTypes = Settings(ONNX=0, ONNX_ATEN=1, ONNX_ATEN_FALLBACK=2, ONNX_FALLTHROUGH=3)
TrainingMode = Settings(EVAL=0, PRESERVE=1, TRAINING=2)
TensorProtoDataType = Settings(FLOAT=1, UINT8=2, INT8=3, INT32=6, INT64=7, BOOL=9, DOUBLE=11)

__getattr__, __dir__ = namespace(
    __name__,
    answers={
        "is_in_onnx_export": False,
        "is_onnxrt_backend_supported": False,
        # torchvision and others register at import how their ops would be written.
        "register_custom_op_symbolic": None,
        "unregister_custom_op_symbolic": None,
    },
    decorators="symbolic_override parse_args quantized_args",
    refuses={
        "models are not written as ONNX": (
            "export dynamo_export _export squeeze unsqueeze select shape_as_tensor "
            "select_model_mode_for_export ExportOptions ONNXProgram OnnxExporterError"
        )
    },
)
