"""Angles: the von Mises distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from tallow import ops, special
from tallow.autograd.mode import no_grad
from tallow.errors import ArgumentError, expect
from tallow.factories import zeros
from tallow.tensor import Tensor
from tallow.torch.distributions import constraints as C
from tallow.torch.distributions._base import Distribution


class VonMises(Distribution):
    """The normal distribution's like on the circle: density proportional to `exp(k cos(x - loc))`.

    Angles are taken modulo a whole turn; draws lie in [-pi, pi).
    """

    arg_constraints: ClassVar[Any] = {"loc": C.real, "concentration": C.positive}
    support = C.real
    loc: Tensor
    concentration: Tensor

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, loc=loc, concentration=concentration)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density on one turn."""
        self._validate_sample(value)
        # log I0(k) is k + log i0e(k), and cos - 1 keeps the difference small for large k.
        near = self.concentration * ((value - self.loc).cos() - 1)
        return near - special.i0e(self.concentration).log() - math.log(2 * math.pi)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws by rejection from a wrapped Cauchy distribution (Best and Fisher, 1979)."""
        with no_grad():
            loc, k = (x.detach().to("f64") for x in (self.loc, self.concentration))
            tau = 1 + (1 + 4 * k * k).sqrt()
            rho = (tau - (2 * tau).sqrt()) / (2 * k)
            r = ops.where(k < 1e-5, 1 / k + k, (1 + rho * rho) / (2 * rho))
            wanted = "a concentration whose square is finite"
            expect(bool(r.isfinite().all()), "VonMises.sample", wanted, "another", ArgumentError)
            shape = self._extended_shape(sample_shape)
            out, done = zeros(shape, dtype="f64"), zeros(shape, dtype="bool")
            while not bool(done.all()):
                z = (ops.rand(shape, dtype="f64") * math.pi).cos()
                f = (1 + r * z) / (r + z)
                c, u = k * (r - f), ops.rand(shape, dtype="f64")
                good = (c * (2 - c) > u) | ((c / u).log() + 1 - c >= 0)
                side = (ops.rand(shape, dtype="f64") - 0.5).sign()
                out = ops.where(good & ~done, side * f.clamp(-1, 1).acos(), out)
                done = done | good
            turned = (out + loc + math.pi).remainder(2 * math.pi) - math.pi
            return turned.to(self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        """The direction of the mean: `loc`."""
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        """The circular variance: 1 minus the length of the mean."""
        return 1 - special.i1e(self.concentration) / special.i0e(self.concentration)
