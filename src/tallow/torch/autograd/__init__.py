"""torch.autograd: Tallow's, with Variable and the profiler's names."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    modules="forward_ad graph profiler",
    places={
        "tallow.torch.autograd._variable": (
            "Variable detect_anomaly set_detect_anomaly once_differentiable NestedIOFunction "
            "FunctionCtx InplaceFunction"
        ),
        "tallow.autograd.mode": (
            "no_grad enable_grad inference_mode set_grad_enabled is_grad_enabled"
        ),
        "tallow.autograd.engine": "grad backward",
        "tallow.autograd.function": "Function",
        "tallow.autograd.check": "gradcheck gradgradcheck",
    },
)
