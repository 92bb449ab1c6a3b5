"""torch.backends.mkldnn: not there; what can be set changes nothing."""

from __future__ import annotations

from tallow.torch._names import namespace

enabled = True
deterministic = False
allow_tf32 = True
fp32_precision = "none"

__getattr__, __dir__ = namespace(
    __name__,
    answers={
        "is_available": False,
        "is_acl_available": False,
    },
)
