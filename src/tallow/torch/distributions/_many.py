"""Distributions of vectors, mixtures, and variables put through transforms."""

from __future__ import annotations

import math
from typing import Any

from tallow import linalg, ops
from tallow.autograd.mode import no_grad
from tallow.errors import ArgumentError, expect
from tallow.tensor import Tensor
from tallow.torch.distributions._base import Distribution
from tallow.torch.distributions.transforms import ComposeTransform, Transform
from tallow.torch.distributions.utils import sum_rightmost


class MultivariateNormal(Distribution):
    """A normal vector, by its covariance, its inverse, or a lower triangular root."""

    has_rsample = True

    def __init__(
        self, loc: Tensor, covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None, scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = [m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None]
        expect(len(given) == 1, MultivariateNormal, "one of covariance_matrix, precision_matrix "
               "and scale_tril", len(given), ArgumentError)  # fmt: skip
        matrix = given[0]
        expect(loc.ndim > 0 and matrix.ndim > 1, MultivariateNormal, "a vector and a matrix",
               f"{tuple(loc.shape)} and {tuple(matrix.shape)}")  # fmt: skip
        if scale_tril is not None:
            root = scale_tril
        elif covariance_matrix is not None:
            root = linalg.cholesky(covariance_matrix)
        else:
            upper = linalg.cholesky(matrix.flip(-2, -1)).flip(-2, -1).mT
            eye = ops.eye(matrix.shape[-1], dtype=matrix.dtype)
            root = linalg.solve_triangular(upper, eye, upper=False)
        batch = ops.broadcast_tensors(loc[..., 0], root[..., 0, 0])[0].shape
        n = loc.shape[-1]
        self.loc = loc.expand(*batch, n)
        self.scale_tril = root.expand(*batch, n, n)
        super().__init__(batch, (n,), validate_args)

    @property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        return self.scale_tril @ self.scale_tril.mT

    @property
    def precision_matrix(self) -> Tensor:
        """Its inverse."""
        return linalg.inv(self.covariance_matrix)

    @property
    def mean(self) -> Tensor:
        """`loc`."""
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        """The diagonal of the covariance."""
        return self.scale_tril.square().sum(-1)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        x = ops.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + (self.scale_tril @ x.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        gap = (value - self.loc).unsqueeze(-1)
        z = linalg.solve_triangular(self.scale_tril, gap, upper=False)
        half = self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return (
            -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + z.square().sum((-2, -1))) - half
        )

    def entropy(self) -> Tensor:
        """The entropy."""
        half = self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return 0.5 * self._event_shape[0] * (1 + math.log(2 * math.pi)) + half


class LowRankMultivariateNormal(MultivariateNormal):
    """A normal vector of covariance `factor @ factor.T + diag`."""

    def __init__(
        self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor, validate_args: bool | None = None
    ) -> None:
        self.cov_factor, self.cov_diag = cov_factor, cov_diag
        whole = cov_factor @ cov_factor.mT + ops.diag_embed(cov_diag)
        super().__init__(loc, whole, validate_args=validate_args)


class MixtureSameFamily(Distribution):
    """A choice (Categorical) among the entries of a batch's last axis."""

    def __init__(
        self, mixture_distribution: Any, component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        self.mixture_distribution = mixture_distribution
        self.component_distribution = component_distribution
        self._event_ndims = len(component_distribution._event_shape)
        shape = component_distribution._batch_shape
        super().__init__(shape[:-1], component_distribution._event_shape, validate_args)

    def _pad(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-1 - self._event_ndims)

    def _weights(self) -> Tensor:
        probs = self.mixture_distribution.probs
        return probs.reshape(*probs.shape, *([1] * self._event_ndims))

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return (self._weights() * self.component_distribution.mean).sum(-1 - self._event_ndims)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        axis, w = -1 - self._event_ndims, self._weights()
        within = (w * self.component_distribution.variance).sum(axis)
        gap = self.component_distribution.mean - self._pad(self.mean)
        return within + (w * gap.square()).sum(axis)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        inside = self.component_distribution.cdf(self._pad(value))
        return (inside * self.mixture_distribution.probs).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        inside = self.component_distribution.log_prob(self._pad(value))
        weights = self.mixture_distribution.logits.log_softmax(-1)
        return (inside + weights).logsumexp(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        with no_grad():
            chosen = self.mixture_distribution.sample(sample_shape)
            values = self.component_distribution.sample(sample_shape)
            at = chosen.reshape(*chosen.shape, *([1] * (self._event_ndims + 1)))
            axis = values.ndim - 1 - self._event_ndims
            at = at.expand(*chosen.shape, 1, *values.shape[axis + 1 :])
            return values.gather(axis, at).squeeze(axis)


class TransformedDistribution(Distribution):
    """A variable put through transforms."""

    def __init__(
        self, base_distribution: Distribution, transforms: Any, validate_args: bool | None = None
    ) -> None:
        self.base_dist = base_distribution
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        whole = (*base_distribution._batch_shape, *base_distribution._event_shape)
        self._transform = ComposeTransform(self.transforms)
        axes = max(len(base_distribution._event_shape), self._transform.event_dim)
        cut = len(whole) - axes
        super().__init__(
            whole[:cut], whole[cut:], False if validate_args is None else validate_args
        )

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]  # as the base has it
        """As the base."""
        return self.base_dist.has_rsample

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        with no_grad():
            return self._transform(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws."""
        return self._transform(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        axes = len(self._event_shape)
        total: Any = 0.0
        y = value
        for part in reversed(self.transforms):
            x = part._inv(y)
            term = part.log_abs_det_jacobian(x, y)
            total = total - sum_rightmost(term, axes - part.event_dim)
            y = x
        inner = self.base_dist.log_prob(y)
        return total + sum_rightmost(inner, axes - len(self.base_dist._event_shape))

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        return self.base_dist.cdf(self._transform._inv(value))

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile."""
        return self._transform(self.base_dist.icdf(value))
