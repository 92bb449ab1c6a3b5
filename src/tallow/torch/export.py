"""torch.export: programs as graphs, which Tallow captures in its own way (tl.capture)."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "graphs of PyTorch are not supported (tl.capture captures a function)": (
            "export save load Dim dims ExportedProgram draft_export export_for_training "
            "register_dataclass unflatten"
        )
    },
)
