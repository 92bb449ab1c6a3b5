"""torch.distributed.fsdp.wrap: which modules are sharded on their own."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "sharding over processes is not supported": (
            "transformer_auto_wrap_policy size_based_auto_wrap_policy always_wrap_policy "
            "lambda_auto_wrap_policy enable_wrap wrap ModuleWrapPolicy CustomPolicy"
        )
    },
)
