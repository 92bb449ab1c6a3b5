"""torch.distributions.transforms: invertible functions and the logarithms of their slopes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tallow import ops
from tallow.nn import functional as F
from tallow.tensor import Tensor
from tallow.torch.distributions.utils import sum_rightmost


class Transform:
    """`t(x)`, `t.inv(y)` and `t.log_abs_det_jacobian(x, y)`."""

    bijective = True
    event_dim = 0
    sign = 1

    def __init__(self, cache_size: int = 0) -> None:
        self._inverse: Transform | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """The function."""
        return self._call(x)

    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _inv(self, y: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def inv(self) -> Transform:
        """The inverse."""
        if self._inverse is None:
            self._inverse = _Inverse(self)
        return self._inverse

    def inv_call(self, y: Tensor) -> Tensor:
        """The inverse of `y`."""
        return self._inv(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """`log |dy/dx|`."""
        raise NotImplementedError

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the result."""
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        """The shape of the argument."""
        return shape

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    """The inverse of a transform."""

    def __init__(self, forward: Transform) -> None:
        super().__init__()
        self._forward = forward
        self.event_dim, self.sign = forward.event_dim, forward.sign

    @property
    def inv(self) -> Transform:
        """The transform itself."""
        return self._forward

    def _call(self, x: Tensor) -> Tensor:
        return self._forward._inv(x)

    def _inv(self, y: Tensor) -> Tensor:
        return self._forward._call(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Minus that of the transform."""
        return -self._forward.log_abs_det_jacobian(y, x)


class ComposeTransform(Transform):
    """Transforms one after the other."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__()
        self.parts = list(parts)
        self.event_dim = max((p.event_dim for p in self.parts), default=0)

    def _call(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def _inv(self, y: Tensor) -> Tensor:
        for part in reversed(self.parts):
            y = part._inv(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The sum of those of the parts."""
        total: Any = 0
        for part in self.parts:
            after = part(x)
            term = part.log_abs_det_jacobian(x, after)
            total = total + sum_rightmost(term, self.event_dim - part.event_dim)
            x = after
        return total if isinstance(total, Tensor) else x * 0


identity_transform = ComposeTransform([])


class AffineTransform(Transform):
    """`loc + scale * x`."""

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__()
        self.loc, self.scale, self.event_dim = loc, scale, event_dim

    def _call(self, x: Tensor) -> Tensor:
        return self.loc + self.scale * x

    def _inv(self, y: Tensor) -> Tensor:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """`log |scale|`."""
        size = (
            self.scale.abs().log().expand(*x.shape) if isinstance(self.scale, Tensor)
            else x * 0 + math.log(abs(self.scale))
        )  # fmt: skip
        return sum_rightmost(size, self.event_dim)


class ExpTransform(Transform):
    """`exp(x)`."""

    def _call(self, x: Tensor) -> Tensor:
        return x.exp()

    def _inv(self, y: Tensor) -> Tensor:
        return y.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """`x`."""
        return x


class SigmoidTransform(Transform):
    """`sigmoid(x)`."""

    def _call(self, x: Tensor) -> Tensor:
        return x.sigmoid()

    def _inv(self, y: Tensor) -> Tensor:
        return y.log() - ops.log1p(-y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The logarithm of the slope."""
        return -F.softplus(-x) - F.softplus(x)


class TanhTransform(Transform):
    """`tanh(x)`."""

    def _call(self, x: Tensor) -> Tensor:
        return x.tanh()

    def _inv(self, y: Tensor) -> Tensor:
        return ops.atanh(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The logarithm of the slope."""
        return 2.0 * (math.log(2.0) - x - F.softplus(-2.0 * x))


class SoftplusTransform(Transform):
    """`log(1 + exp(x))`."""

    def _call(self, x: Tensor) -> Tensor:
        return F.softplus(x)

    def _inv(self, y: Tensor) -> Tensor:
        return (-ops.expm1(-y)).log() + y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The logarithm of the slope."""
        return -F.softplus(-x)


class PowerTransform(Transform):
    """`x ** exponent`."""

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__()
        self.exponent = exponent

    def _call(self, x: Tensor) -> Tensor:
        return x**self.exponent

    def _inv(self, y: Tensor) -> Tensor:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The logarithm of the slope."""
        return (self.exponent * y / x).abs().log()


class AbsTransform(Transform):
    """`|x|`, which has no inverse: `inv` gives the positive one."""

    bijective = False

    def _call(self, x: Tensor) -> Tensor:
        return x.abs()

    def _inv(self, y: Tensor) -> Tensor:
        return y
