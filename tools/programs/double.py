"""torch in f64 wherever a program says f32 or nothing: the truth to which runs in f32 are near."""

from __future__ import annotations

from typing import Any


def attach(torch: Any) -> None:
    """Let the names of f32 mean f64, and what comes from numpy and files in f32 become f64."""
    single, double = torch.float32, torch.float64
    torch.set_default_dtype(double)

    def wider(function: Any) -> Any:
        def made(*args: Any, **named: Any) -> Any:
            out = function(*args, **named)
            if out.dtype is not single:
                return out
            return out.detach().to(double).requires_grad_(out.requires_grad)

        return made

    for name in ("from_numpy", "tensor", "as_tensor", "frombuffer", "asarray"):
        setattr(torch, name, wider(getattr(torch, name)))
    torch.float32 = torch.float = double
    torch.FloatTensor = torch.DoubleTensor
    torch.Tensor.float = torch.Tensor.double
    torch.nn.Module.float = torch.nn.Module.double
