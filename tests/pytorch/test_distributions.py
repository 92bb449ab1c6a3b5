"""torch.distributions: densities, moments, entropies, quantiles and divergences; laws of draws."""

import importlib
import math

import pytest

import tallow.torch as ours

NORMAL = "D.Normal(t([0.5, -1.0]), t([1.0, 2.0]))"
TRANSFORMS = "[D.transforms.TanhTransform(), D.transforms.AffineTransform(1.0, 2.0)]"
UNIT = [0.3, 0.6]
# name → how it is made, and values at which it is asked.
CASES = {
    "Normal": (NORMAL, UNIT),
    "Laplace": ("D.Laplace(t([0.5, -1.0]), t([1.0, 2.0]))", UNIT),
    "Cauchy": ("D.Cauchy(t([0.5, -1.0]), t([1.0, 2.0]))", UNIT),
    "Gumbel": ("D.Gumbel(t([0.5, -1.0]), t([1.0, 2.0]))", UNIT),
    "Uniform": ("D.Uniform(t([0.0, -1.0]), t([1.0, 2.0]))", UNIT),
    "Exponential": ("D.Exponential(t([0.5, 2.0]))", UNIT),
    "LogNormal": ("D.LogNormal(t([0.5, -1.0]), t([1.0, 0.5]))", UNIT),
    "HalfNormal": ("D.HalfNormal(t([1.0, 2.0]))", UNIT),
    "HalfCauchy": ("D.HalfCauchy(t([1.0, 2.0]))", UNIT),
    "StudentT": ("D.StudentT(t([3.0, 5.0]), t([0.0, 1.0]), t([1.0, 2.0]))", UNIT),
    "Pareto": ("D.Pareto(t([0.3, 0.2]), t([3.0, 4.0]))", UNIT),
    "Weibull": ("D.Weibull(t([1.0, 2.0]), t([1.5, 3.0]))", UNIT),
    "VonMises": ("D.VonMises(t([0.5, -1.0]), t([0.7, 20.0]))", UNIT),
    "GeneralizedPareto": (
        "D.GeneralizedPareto(t([0.1, 0.2]), t([1.0, 2.0]), t([0.3, -0.4]))", UNIT,
    ),
    "GeneralizedPareto of concentration 0": (
        "D.GeneralizedPareto(t([0.1, 0.2]), t([1.0, 2.0]), t([0.0, 0.7]))", UNIT,
    ),
    "Gamma": ("D.Gamma(t([1.0, 2.5]), t([1.0, 2.0]))", UNIT),
    "Beta": ("D.Beta(t([1.5, 2.0]), t([3.0, 2.0]))", UNIT),
    "Chi2": ("D.Chi2(t([3.0, 4.0]))", UNIT),
    "Dirichlet": ("D.Dirichlet(t([[1.0, 2.0], [3.0, 0.5]]))", [[0.3, 0.7], [0.4, 0.6]]),
    "InverseGamma": ("D.InverseGamma(t([3.0, 2.5]), t([1.0, 2.0]))", UNIT),
    "FisherSnedecor": ("D.FisherSnedecor(t([3.0, 4.0]), t([5.0, 6.0]))", UNIT),
    "Bernoulli": ("D.Bernoulli(t([0.3, 0.8]))", [0.0, 1.0]),
    "Bernoulli of logits": ("D.Bernoulli(logits=t([0.3, -0.8]))", [0.0, 1.0]),
    "Categorical": ("D.Categorical(t([[1.0, 2.0, 3.0], [0.2, 0.3, 0.5]]))", [1.0, 2.0]),
    "Categorical of logits": (
        "D.Categorical(logits=t([[1.0, 2.0, 3.0], [0.2, 0.3, 0.5]]))", [1.0, 2.0],
    ),
    "OneHotCategorical": (
        "D.OneHotCategorical(t([[1.0, 2.0, 3.0], [0.2, 0.3, 0.5]]))", [[0.0, 1, 0], [0.0, 0, 1]],
    ),
    "Multinomial": ("D.Multinomial(4, t([0.2, 0.3, 0.5]))", [1.0, 1.0, 2.0]),
    "Binomial": ("D.Binomial(5, t([0.3, 0.8]))", [1.0, 4.0]),
    "NegativeBinomial": ("D.NegativeBinomial(t([5.0, 3.0]), t([0.3, 0.8]))", [1.0, 4.0]),
    "Geometric": ("D.Geometric(t([0.3, 0.8]))", [1.0, 4.0]),
    "Poisson": ("D.Poisson(t([0.3, 3.8]))", [1.0, 4.0]),
    "ContinuousBernoulli": ("D.ContinuousBernoulli(t([0.3, 0.4999]))", UNIT),
    "RelaxedBernoulli": ("D.RelaxedBernoulli(t([0.5]), t([0.3, 0.8]))", UNIT),
    "RelaxedOneHotCategorical": (
        "D.RelaxedOneHotCategorical(t([0.5]), t([0.2, 0.3, 0.5]))", [0.2, 0.3, 0.5],
    ),
    "MultivariateNormal": (
        "D.MultivariateNormal(t([0.0, 1.0]), t([[2.0, 0.5], [0.5, 1.0]]))", UNIT,
    ),
    "MultivariateNormal by precision": (
        "D.MultivariateNormal(t([0.0, 1.0]), precision_matrix=t([[2.0, 0.5], [0.5, 1.0]]))", UNIT,
    ),
    "LowRankMultivariateNormal": (
        "D.LowRankMultivariateNormal(t([0.0, 1.0]), t([[2.0], [0.5]]), t([1.0, 0.5]))", UNIT,
    ),
    "MixtureSameFamily": (
        "D.MixtureSameFamily(D.Categorical(t([0.3, 0.7])), D.Normal(t([0.0, 1.0]), t([1.0, 2.0])))",
        UNIT,
    ),
    "Independent": (f"D.Independent({NORMAL}, 1)", UNIT),
    "TransformedDistribution": (
        f"D.TransformedDistribution({NORMAL}, {TRANSFORMS})",
        [0.3, 1.6],
    ),
}  # fmt: skip


def make(library, name):
    return eval(CASES[name][0], {"D": library.distributions, "t": library.tensor})


def facts(library, name):
    """What a distribution says; what it does not say is absent."""
    d, value = make(library, name), library.tensor(CASES[name][1])
    asked = {
        "mean": lambda: d.mean,
        "mode": lambda: d.mode,
        "variance": lambda: d.variance,
        "stddev": lambda: d.stddev,
        "log_prob": lambda: d.log_prob(value),
        "cdf": lambda: d.cdf(value),
        "icdf": lambda: d.icdf(library.tensor([0.2, 0.7])),
        "entropy": d.entropy,
        "support": d.enumerate_support,
        "divergence": lambda: library.distributions.kl_divergence(d, make(library, name)),
    }
    out = {"shapes": [list(d.batch_shape), list(d.event_shape), list(d.sample((3,)).shape)]}
    for what, ask in asked.items():
        try:
            out[what] = ask().tolist()
        except (NotImplementedError, AttributeError):
            continue
    return out


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", CASES)
def test_facts_equal_torch(name):
    expected, got = facts(importlib.import_module("torch"), name), facts(ours, name)
    for what in expected.keys() & got.keys():
        flat = [flatten(x) for x in (got[what], expected[what])]
        assert flat[0] == pytest.approx(flat[1], rel=1e-4, abs=1e-5, nan_ok=True), what
    assert expected.keys() <= got.keys()


def flatten(x):
    return [leaf for row in x for leaf in flatten(row)] if isinstance(x, list) else [x]


@pytest.mark.parametrize(
    "name", ["Normal", "Gumbel", "Gamma", "Beta", "Poisson", "Binomial", "GeneralizedPareto"]
)
def test_draws_have_the_mean(name):
    ours.manual_seed(1)
    d = make(ours, name)
    drawn = d.sample((20000,)).mean(0).tolist()
    for got, mean, spread in zip(drawn, d.mean.tolist(), d.stddev.tolist(), strict=True):
        assert abs(got - mean) < 5 * spread / math.sqrt(20000)


@pytest.mark.parametrize(
    "name", ["Normal", "Laplace", "Cauchy", "Gumbel", "Uniform", "Weibull", "GeneralizedPareto"]
)
def test_quantiles_invert(name):
    d, p = make(ours, name), ours.tensor([0.2, 0.7])
    assert d.cdf(d.icdf(p)).tolist() == pytest.approx([0.2, 0.7], abs=1e-5)


@pytest.mark.parametrize("concentration", [1e-6, 0.7, 20.0, 1e5])
def test_angles_have_the_mean_direction(concentration):
    """The mean of exp(i (x - loc)) is 1 minus the circular variance."""
    ours.manual_seed(1)
    d = ours.distributions.VonMises(ours.tensor(3.0), ours.tensor(concentration))
    drawn = d.sample((20000,))
    assert drawn.abs().max().item() <= math.pi + 1e-6
    length = (drawn - 3.0).cos()
    error = 5 * length.std().item() / math.sqrt(20000) + 1e-6
    assert abs(length.mean().item() - (1 - d.variance.item())) < error
    assert abs((drawn - 3.0).sin().mean().item()) < 5 / math.sqrt(20000)


def test_gradients_of_an_angles_density():
    loc, k = (ours.tensor([0.5, -1.0], dtype="f64"), ours.tensor([0.7, 20.0], dtype="f64"))
    value = ours.tensor([0.3, 0.6], dtype="f64")
    density = lambda loc, k: ours.distributions.VonMises(loc, k).log_prob(value)  # noqa: E731
    assert ours.autograd.gradcheck(density, (loc.requires_grad_(), k.requires_grad_()))


def test_gamma_draws_pass_gradients():
    # torch._standard_gamma_grad (2.13) at these shapes and draws.
    from tallow.torch.distributions._gamma import slope

    alpha = ours.tensor([0.3, 1.5, 8.0, 40.0], dtype="f64")
    drawn = ours.tensor([0.2, 1.0, 9.0, 35.0], dtype="f64")
    expected = [1.2120, 0.9026, 1.0823, 0.9386]
    assert slope(alpha, drawn).tolist() == pytest.approx(expected, abs=2e-4)
    a = ours.tensor([2.0, 3.0], requires_grad=True)
    ours.distributions.Gamma(a, ours.ones(2)).rsample((4,)).sum().backward()
    assert (a.grad > 0).all()


def test_wrong_arguments():
    D = ours.distributions
    with pytest.raises(ValueError, match=r"Normal: expected scale in GreaterThan\(lower_bound=0"):
        D.Normal(0.0, -1.0)
    with pytest.raises(ValueError, match="either probs or logits"):
        D.Bernoulli()
    with pytest.raises(ValueError, match="values in Boolean"):
        D.Bernoulli(0.5).log_prob(ours.tensor(0.3))
    with pytest.raises(NotImplementedError, match="Normal and Bernoulli"):
        D.kl_divergence(D.Normal(0.0, 1.0), D.Bernoulli(0.5))


@pytest.mark.needs_torch
@pytest.mark.parametrize(
    ("name", "first", "second"),
    [("Pareto", (2.0, 3.0), (1.5, 2.0)), ("Pareto", (1.0, 3.0), (1.5, 2.0))],
)
def test_divergences_of_two_parameters_equal_torch(name, first, second):
    found = []
    for library in (importlib.import_module("torch"), ours):
        made = [
            getattr(library.distributions, name)(*map(library.tensor, numbers))
            for numbers in (first, second)
        ]
        found.append(library.distributions.kl_divergence(*made).item())
    assert found[1] == pytest.approx(found[0], rel=1e-5)


def test_divergence_of_two_weibulls_by_numbers():
    p, q = ours.distributions.Weibull(1.5, 2.0), ours.distributions.Weibull(1.0, 1.3)
    x = ours.linspace(1e-4, 12, 200_001, dtype=ours.float64)
    density = p.log_prob(x)
    numeric = ours.trapezoid(density.exp() * (density - q.log_prob(x)), x)
    assert ours.distributions.kl_divergence(p, q).item() == pytest.approx(numeric.item(), rel=1e-4)


def test_a_mixture_may_be_expanded():
    D, t = ours.distributions, ours.tensor
    parts = D.Normal(t([0.0, 1.0]), t([1.0, 2.0]))
    mixed = D.MixtureSameFamily(D.Categorical(t([0.3, 0.7])), parts)
    large = mixed.expand((3,))
    assert large.sample((5,)).shape == (5, 3)
    assert large.log_prob(t(0.4)).tolist() == pytest.approx([mixed.log_prob(t(0.4)).item()] * 3)


@pytest.mark.parametrize("concentration", [float("inf"), float("nan"), 1e200])
def test_no_endless_draws_on_the_circle(concentration):
    where, how = (ours.tensor(x, dtype=ours.float64) for x in (0.0, concentration))
    drawn = ours.distributions.VonMises(where, how, validate_args=False)
    with pytest.raises(ValueError, match="finite"):
        drawn.sample()
