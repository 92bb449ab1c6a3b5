"""torch.distributions: densities, draws, divergences and transforms."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    modules="constraints transforms utils",
    places={
        "tallow.torch.distributions._base": "Distribution ExponentialFamily Independent",
        "tallow.torch.distributions._real": ("Normal Uniform Laplace Cauchy Gumbel StudentT"),
        "tallow.torch.distributions._half_line": (
            "Exponential LogNormal HalfNormal HalfCauchy Pareto Weibull Kumaraswamy"
        ),
        "tallow.torch.distributions._positive": (
            "Gamma Beta Dirichlet Chi2 FisherSnedecor InverseGamma"
        ),
        "tallow.torch.distributions._choices": (
            "Bernoulli Categorical OneHotCategorical OneHotCategoricalStraightThrough"
        ),
        "tallow.torch.distributions._counts": (
            "Multinomial Binomial NegativeBinomial Geometric Poisson"
        ),
        "tallow.torch.distributions._relaxed": (
            "ContinuousBernoulli RelaxedBernoulli LogitRelaxedBernoulli RelaxedOneHotCategorical"
        ),
        "tallow.torch.distributions._many": (
            "MultivariateNormal LowRankMultivariateNormal MixtureSameFamily TransformedDistribution"
        ),
        "tallow.torch.distributions._circle": "VonMises",
        "tallow.torch.distributions._tail": "GeneralizedPareto",
        "tallow.torch.distributions._divergence": "kl_divergence register_kl",
        "tallow.torch.distributions.transforms": (
            "Transform AffineTransform ExpTransform SigmoidTransform TanhTransform PowerTransform "
            "AbsTransform ComposeTransform SoftplusTransform identity_transform"
        ),
        "tallow.torch.distributions.constraints": "biject_to=biject_to transform_to=transform_to",
    },
    refuses={
        "it is not supported": (
            "Wishart LKJCholesky LogisticNormal "
            "CorrCholeskyTransform CumulativeDistributionTransform "
            "IndependentTransform LowerCholeskyTransform PositiveDefiniteTransform "
            "ReshapeTransform SoftmaxTransform StackTransform StickBreakingTransform CatTransform"
        )
    },
)
