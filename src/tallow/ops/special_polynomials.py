"""Orthogonal polynomials, Bessel functions of the second kind, Airy's function, for `tl.special`.

PyTorch has no derivatives of them, nor have these ops: backward says so.
"""

from __future__ import annotations

from typing import Any

from ..errors import GradError
from ..registry import op
from ..tensor import Tensor


def _no_rule(name: str) -> Any:
    raise GradError(f"special.{name}: expected an argument without gradient, which has no rule")


def _function(name: str, meaning: str) -> None:
    """Define a function of one argument."""

    def function(x: Tensor) -> Tensor:
        """A primitive."""
        ...

    def gradient(g: Tensor, x: Tensor) -> Any:
        return _no_rule(name)

    _define(name, meaning, function, gradient)


def _polynomial(name: str, meaning: str, beyond: str) -> None:
    """Define a polynomial of order `n` at `x`."""

    def function(x: Tensor | float, n: Tensor | float) -> Tensor:
        """A primitive."""
        ...

    def gradient(g: Tensor, x: Any, n: Any) -> Any:
        return (lambda: _no_rule(name),) * 2

    _define(name, f"{meaning}, of order `n` at `x`; 0 below order 0{beyond}.", function, gradient)


def _define(name: str, meaning: str, function: Any, gradient: Any) -> None:
    function.__name__ = function.__qualname__ = name
    function.__doc__, function.__module__ = meaning, __name__
    made = op(name=f"special.{name}")(function)
    made.kernel(name)
    made.grad(gradient)


for _letter, _which in (("t", "first"), ("u", "second"), ("v", "third"), ("w", "fourth")):
    _meaning = f"The Chebyshev polynomial of the {_which} kind"
    _polynomial(f"chebyshev_polynomial_{_letter}", _meaning, "")
    _polynomial(f"shifted_chebyshev_polynomial_{_letter}", f"{_meaning} of `2 x - 1`", "")
_polynomial("hermite_polynomial_h", "The physicist's Hermite polynomial", ", NaN above 512")
_polynomial("hermite_polynomial_he", "The probabilist's Hermite polynomial", ", NaN above 512")
_polynomial("laguerre_polynomial_l", "The Laguerre polynomial", ", NaN above 2**20")
_polynomial("legendre_polynomial_p", "The Legendre polynomial", ", NaN above 2**20")

for _order in (0, 1):
    _meaning = f"The modified Bessel function of the second kind, of order {_order}"
    _function(f"modified_bessel_k{_order}", f"{_meaning}: NaN below 0, infinite at 0.")
    _function(f"scaled_modified_bessel_k{_order}", f"{_meaning}, times `exp(x)`.")
_function("spherical_bessel_j0", "The spherical Bessel function of order 0: `sin(x) / x`.")
_function("airy_ai", "Airy's function Ai: the solution of `y'' = x y` that vanishes for large x.")
