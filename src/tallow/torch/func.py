"""torch.func: derivatives and batching of functions of nested arguments."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={
        "tallow.torch._transforms": ("grad grad_and_value vjp jvp jacrev jacfwd hessian linearize"),
        "tallow.torch._vmap": "vmap",
        "tallow.torch._functional_call": "functional_call stack_module_state",
    },
    refuses={"it is not supported": "functionalize debug_unwrap replace_all_batch_norm_modules_"},
)
