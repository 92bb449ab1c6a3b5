"""torch.optim: Tallow's optimisers and schedules."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    modules="lr_scheduler swa_utils",
    places={
        "tallow.torch.optim._small": (
            "ParamsT _params_t required _use_grad_for_differentiable "
            "_default_to_fused_or_foreach _get_capturable_supported_devices _get_value "
            "_dispatch_sqrt _stack_if_compiling _view_as_real _disable_dynamo_if_unsupported"
        )
    },
    behind=("tallow.optim",),
    refuses={"sparse gradients are not supported (use Adam)": "SparseAdam"},
)
