"""Special functions under PyTorch's names (`tl.special.expit` and so on)."""

from __future__ import annotations

from typing import Any

from .registry import OPS, namespace

_ALIASES = {
    "expit": "sigmoid", "exp2": "exp2", "expm1": "expm1", "log1p": "log1p", "logit": "logit",
    "erf": "erf", "erfc": "erfc", "erfinv": "erfinv", "gammaln": "lgamma", "digamma": "digamma",
    "psi": "digamma", "i0": "i0", "sinc": "sinc", "round": "round", "xlogy": "xlogy",
    "polygamma": "polygamma", "multigammaln": "mvlgamma", "softmax": "softmax",
    "log_softmax": "log_softmax", "logsumexp": "logsumexp", "gammainc": "igamma",
    "gammaincc": "igammac", "modified_bessel_i0": "i0", "modified_bessel_i1": "special.i1",
}  # fmt: skip

_names, _find = namespace(__name__)
__all__ = sorted({*_names, *_ALIASES})


def __getattr__(name: str) -> Any:
    return OPS[_ALIASES[name]].caller() if name in _ALIASES else _find(name)


def __dir__() -> list[str]:
    return list(__all__)
