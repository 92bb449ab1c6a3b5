"""Names with an underscore at PyTorch's root that packages use."""

from __future__ import annotations

from typing import Any

from tallow.tensor import Tensor, tensor
from tallow.torch._foreach import over_lists


def __getattr__(name: str) -> Any:
    if not name.startswith("_foreach_"):
        raise AttributeError(f"module 'torch' has no attribute {name!r}")
    found = over_lists(name)
    globals()[name] = found
    return found


def _assert(condition: Any, message: str = "") -> None:
    assert condition, message


def _check(cond: Any, message: Any = None) -> None:
    if not cond:
        raise RuntimeError(message() if callable(message) else message or "expected to be true")


def _check_value(cond: Any, message: Any = None) -> None:
    if not cond:
        raise ValueError(message() if callable(message) else message or "expected to be true")


def _check_type(cond: Any, message: Any = None) -> None:
    if not cond:
        raise TypeError(message() if callable(message) else message or "expected to be true")


def _check_is_size(i: Any, message: Any = None, **_: Any) -> None:
    _check(i >= 0, message)


def _shape_as_tensor(x: Tensor) -> Tensor:
    return tensor(list(x.shape))


def _sample_dirichlet(concentration: Tensor, generator: Any = None) -> Tensor:
    from tallow.torch.distributions import Dirichlet

    made: Tensor = Dirichlet(concentration).sample()
    return made


def _standard_gamma(concentration: Tensor, generator: Any = None) -> Tensor:
    from tallow.torch.distributions._gamma import standard_gamma

    return standard_gamma(concentration)
