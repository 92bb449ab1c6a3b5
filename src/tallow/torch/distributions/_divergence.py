"""kl_divergence: by pairs of families, most of them in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tallow import linalg, ops
from tallow.tensor import Tensor
from tallow.torch._names import UnsupportedError
from tallow.torch.distributions import _choices as D
from tallow.torch.distributions import _counts as N
from tallow.torch.distributions import _half_line as H
from tallow.torch.distributions import _many as M
from tallow.torch.distributions import _positive as P
from tallow.torch.distributions import _real as R
from tallow.torch.distributions import _relaxed as S
from tallow.torch.distributions._base import Distribution, Independent
from tallow.torch.distributions.utils import sum_rightmost

_RULES: dict[tuple[type, type], Callable[..., Tensor]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Any], Any]:
    """A decorator: the function gives the divergence of such a pair."""

    def take(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        _RULES[type_p, type_q] = function
        return function

    return take


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """`E_p[log p - log q]`, in nats."""
    for one in type(p).__mro__:
        for two in type(q).__mro__:
            if (one, two) in _RULES:
                return _RULES[one, two](p, q)
    pair = f"{type(p).__name__} and {type(q).__name__}"
    raise UnsupportedError(f"kl_divergence: there is none of {pair}")


@register_kl(R.Normal, R.Normal)
def _(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).square()
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).square() - 1 - ratio.log())


@register_kl(R.Laplace, R.Laplace)
def _(p: Any, q: Any) -> Any:
    ratio, gap = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + gap / q.scale + ratio * (-gap / p.scale).exp() - 1


@register_kl(R.Uniform, R.Uniform)
def _(p: Any, q: Any) -> Any:
    out = ((q.high - q.low) / (p.high - p.low)).log()
    return ops.where((q.low > p.low) | (q.high < p.high), math.inf, out)


@register_kl(H.Exponential, H.Exponential)
def _(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(H.Pareto, H.Pareto)
def _(p: Any, q: Any) -> Any:
    ratio = q.alpha / p.alpha
    out = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return ops.where(p.scale < q.scale, math.inf, out)


@register_kl(H.Weibull, H.Weibull)
def _(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    shift = (a - b) * (p.scale.log() - R.Gumbel._EULER / a)
    logs = a.log() - b.log() - a * p.scale.log() + b * q.scale.log()
    return logs + shift + ((p.scale / q.scale).log() * b + (b / a + 1).lgamma()).exp() - 1


@register_kl(R.Gumbel, R.Gumbel)
def _(p: Any, q: Any) -> Any:
    a, b, c = p.scale / q.scale, q.loc / q.scale, p.loc / q.scale
    inner = (b + (1 + a).lgamma() - c).exp()
    return -a.log() - b + c + a * R.Gumbel._EULER + inner - (1 + R.Gumbel._EULER)


@register_kl(H.HalfNormal, H.HalfNormal)
def _(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).square()
    return 0.5 * (ratio - 1 - ratio.log())


@register_kl(R.Cauchy, R.Cauchy)
def _(p: Any, q: Any) -> Any:
    top = ((p.scale + q.scale).square() + (p.loc - q.loc).square()).log()
    return top - (4 * p.scale * q.scale).log()


@register_kl(P.Gamma, P.Gamma)
def _(p: Any, q: Any) -> Any:
    out = q.concentration * (p.rate / q.rate).log()
    out = out + q.concentration.lgamma() - p.concentration.lgamma()
    out = out + (p.concentration - q.concentration) * p.concentration.digamma()
    return out + (q.rate - p.rate) * (p.concentration / p.rate)


@register_kl(P.Beta, P.Beta)
def _(p: Any, q: Any) -> Any:
    a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    t1 = c.lgamma() + d.lgamma() + (a + b).lgamma()
    t2 = a.lgamma() + b.lgamma() + (c + d).lgamma()
    out = t1 - t2 + (a - c) * a.digamma() + (b - d) * b.digamma()
    return out + ((c + d) - (a + b)) * (a + b).digamma()


@register_kl(P.Dirichlet, P.Dirichlet)
def _(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    t1 = total.lgamma() - b.sum(-1).lgamma()
    t2 = (a.lgamma() - b.lgamma()).sum(-1)
    return t1 - t2 + ((a - b) * (a.digamma() - total.digamma().unsqueeze(-1))).sum(-1)


@register_kl(D.Bernoulli, D.Bernoulli)
def _(p: Any, q: Any) -> Any:
    one = p.probs * (_softplus(-q.logits) - _softplus(-p.logits))
    one = ops.where(q.probs == 0, math.inf, one)
    one = ops.where(p.probs == 0, 0.0, one)
    two = (1 - p.probs) * (_softplus(q.logits) - _softplus(p.logits))
    two = ops.where(q.probs == 1, math.inf, two)
    return one + ops.where(p.probs == 1, 0.0, two)


def _softplus(x: Tensor) -> Tensor:
    return ops.softplus(x)


@register_kl(D.Categorical, D.Categorical)
def _(p: Any, q: Any) -> Any:
    t = p.probs * (p.logits - q.logits)
    t = ops.where((q.probs == 0).expand(*t.shape), math.inf, t)
    return ops.where((p.probs == 0).expand(*t.shape), 0.0, t).sum(-1)


@register_kl(D.OneHotCategorical, D.OneHotCategorical)
def _(p: Any, q: Any) -> Any:
    return kl_divergence(p._categorical, q._categorical)


@register_kl(N.Poisson, N.Poisson)
def _(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(N.Geometric, N.Geometric)
def _(p: Any, q: Any) -> Any:
    return -p.entropy() - ops.log1p(-q.probs) / p.probs - q.logits


@register_kl(N.Binomial, N.Binomial)
def _(p: Any, q: Any) -> Any:
    inside = p.probs * (p.logits - q.logits) + ops.log1p(-p.probs) - ops.log1p(-q.probs)
    return ops.where(p.total_count > q.total_count, math.inf, p.total_count * inside)


@register_kl(S.ContinuousBernoulli, S.ContinuousBernoulli)
def _(p: Any, q: Any) -> Any:
    t1 = p.mean * (p.logits - q.logits)
    t2 = p._log_constant() + ops.log1p(-p.probs)
    return t1 + t2 - q._log_constant() - ops.log1p(-q.probs)


@register_kl(M.MultivariateNormal, M.MultivariateNormal)
def _(p: Any, q: Any) -> Any:
    n = p._event_shape[0]
    half = q.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    half = half - p.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    inner = linalg.solve_triangular(q.scale_tril, p.scale_tril, upper=False).square().sum((-2, -1))
    gap = (q.loc - p.loc).unsqueeze(-1)
    far = linalg.solve_triangular(q.scale_tril, gap, upper=False).square().sum((-2, -1))
    return half + 0.5 * (inner + far - n)


@register_kl(Independent, Independent)
def _(p: Any, q: Any) -> Any:
    inner = kl_divergence(p.base_dist, q.base_dist)
    return sum_rightmost(inner, p.reinterpreted_batch_ndims)


@register_kl(M.TransformedDistribution, M.TransformedDistribution)
def _(p: Any, q: Any) -> Any:
    same = [(type(a), vars(a).get("loc"), vars(a).get("scale")) for a in p.transforms]
    other = [(type(a), vars(a).get("loc"), vars(a).get("scale")) for a in q.transforms]
    if p.transforms is not q.transforms and same != other:
        raise UnsupportedError("kl_divergence: there is none of different transforms")
    return kl_divergence(p.base_dist, q.base_dist)
