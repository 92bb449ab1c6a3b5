"""torch.distributed.checkpoint.state_dict: states of one process's module."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={
        "tallow.torch.distributed.checkpoint._state": (
            "StateDictOptions get_model_state_dict set_model_state_dict get_optimizer_state_dict "
            "set_optimizer_state_dict _init_optim_state"
        )
    },
)
