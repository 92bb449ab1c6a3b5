"""PyTorch's private bases of layers, as `isinstance` asks for them, and its tuples of sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

from tallow import nn

_KINDS = {
    "_BatchNorm": "BatchNorm1d BatchNorm2d BatchNorm3d",
    "_InstanceNorm": "InstanceNorm1d InstanceNorm2d InstanceNorm3d",
    "_NormBase": (
        "BatchNorm1d BatchNorm2d BatchNorm3d InstanceNorm1d InstanceNorm2d InstanceNorm3d"
    ),
    "_ConvNd": ("Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d"),
    "_ConvTransposeNd": "ConvTranspose1d ConvTranspose2d ConvTranspose3d",
    "_MaxPoolNd": "MaxPool1d MaxPool2d MaxPool3d",
    "_AvgPoolNd": "AvgPool1d AvgPool2d AvgPool3d",
    "_AdaptiveAvgPoolNd": "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d",
    "_AdaptiveMaxPoolNd": "AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d",
    "_DropoutNd": "Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout",
    "RNNCellBase": "RNNCell LSTMCell GRUCell",
}


class _KindType(type(nn.Module)):  # type: ignore[misc]  # a base known at run time
    """A base that says yes to the layers of its kind, which do not inherit from it."""

    kinds = ""

    def __instancecheck__(cls, instance: object) -> bool:
        return type.__instancecheck__(cls, instance) or isinstance(instance, _classes(cls))

    def __subclasscheck__(cls, other: type) -> bool:
        return type.__subclasscheck__(cls, other) or issubclass(other, _classes(cls))


def _classes(cls: _KindType) -> tuple[type, ...]:
    return tuple(getattr(nn, name) for name in cls.__dict__.get("kinds", "").split())


for _name, _kinds in _KINDS.items():
    globals()[_name] = _KindType(_name, (nn.Module,), {"kinds": _kinds, "__module__": __name__})


class _Loss(nn.Module):
    """A loss with a reduction: what users' own losses inherit from."""

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.reduction = reduction


class _WeightedLoss(_Loss):
    """A loss with a weight per class."""

    def __init__(
        self, weight: Any = None, size_average: Any = None, reduce: Any = None,
        reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple[Any, ...]]:
    def parse(x: Any) -> tuple[Any, ...]:
        return tuple(x) if isinstance(x, Iterable) else tuple(repeat(x, n))

    parse.__name__ = name
    return parse


_single, _pair = _ntuple(1, "_single"), _ntuple(2, "_pair")
_triple, _quadruple = _ntuple(3, "_triple"), _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(t: Iterable[Any], n: int) -> tuple[Any, ...]:
    return tuple(x for x in reversed(tuple(t)) for _ in range(n))
