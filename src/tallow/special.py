"""Special functions under PyTorch's names: `tl.special.expit`, `tl.special.xlogy`, …"""

from __future__ import annotations

from typing import Any

from .registry import ROWS, namespace

_ALIASES = {
    "expit": "sigmoid", "exp2": "exp2", "expm1": "expm1", "log1p": "log1p", "logit": "logit",
    "erf": "erf", "erfc": "erfc", "erfinv": "erfinv", "gammaln": "lgamma", "digamma": "digamma",
    "psi": "digamma", "i0": "i0", "sinc": "sinc", "round": "round", "xlogy": "xlogy",
    "polygamma": "polygamma", "multigammaln": "mvlgamma", "softmax": "softmax",
    "log_softmax": "log_softmax", "logsumexp": "logsumexp",
}  # fmt: skip

__all__ = [*namespace("special", globals()), *(name for name, row in _ALIASES.items() if row in ROWS)]


def __getattr__(name: str) -> Any:
    row = ROWS.get(_ALIASES.get(name, ""))
    if row is None:
        raise AttributeError(f"module 'tallow.special' has no attribute {name!r}")
    return row.caller()
