"""torch.utils._python_dispatch: ops are not dispatched to Python types."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    answers={"is_traceable_wrapper_subclass": False},
    refuses={"it is not supported": "TorchDispatchMode"},
)
