"""torch.nn.init: Tallow's rules, and the older names without an underscore."""

from __future__ import annotations

from tallow.torch._names import namespace

_OLD = (
    "uniform normal constant eye dirac xavier_uniform xavier_normal kaiming_uniform "
    "kaiming_normal orthogonal sparse"
)
_RULES = (
    "uniform_ normal_ trunc_normal_ constant_ ones_ zeros_ eye_ dirac_ calculate_gain "
    "xavier_uniform_ xavier_normal_ kaiming_uniform_ kaiming_normal_ orthogonal_ sparse_"
)

_PRIVATE = (
    "_calculate_fan_in_and_fan_out _calculate_correct_fan _no_grad_fill_ _no_grad_trunc_normal_"
)

__getattr__, __dir__ = namespace(
    __name__,
    places={
        "tallow.torch.nn._init": f"{_OLD} {_PRIVATE}",
        "tallow.nn.init": _RULES,
    },
)
