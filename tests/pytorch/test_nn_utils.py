"""torch.nn.utils: parametrised, normalised, pruned and fused weights."""

import copy
import importlib

import pytest

import tallow.torch as ours

WEIGHT = [[0.5, -1.0, 0.25], [1.5, 0.75, -0.5], [0.3, 0.2, -0.8], [1.0, 0.1, 0.9]]
INPUT = [[1.0, -0.5, 2.0], [0.25, 2.0, -1.0]]


def linear(library):
    layer = library.nn.Linear(3, 4)
    with library.no_grad():
        layer.weight.copy_(library.tensor(WEIGHT))
        layer.bias.zero_()
    return layer


def weight_norm(library):
    layer = library.nn.utils.parametrizations.weight_norm(linear(library))
    assert sorted(layer.state_dict()) == [
        "bias", "parametrizations.weight.original0", "parametrizations.weight.original1",
    ]  # fmt: skip
    return layer


def older_weight_norm(library):
    layer = library.nn.utils.weight_norm(linear(library), dim=1)
    assert sorted(layer.state_dict()) == ["bias", "weight_g", "weight_v"]
    return layer


def older_spectral_norm(library):
    layer = library.nn.utils.spectral_norm(linear(library))
    layer.weight_u.copy_(library.tensor([0.5, 0.5, 0.5, 0.5]))
    layer.weight_v.copy_(library.tensor([0.6, 0.8, 0.0]))
    return layer


def spectral_norm(library):
    layer = library.nn.utils.parametrizations.spectral_norm(linear(library), n_power_iterations=60)
    assert sorted(layer.state_dict()) == [
        "bias", "parametrizations.weight.0._u", "parametrizations.weight.0._v",
        "parametrizations.weight.original",
    ]  # fmt: skip
    return layer


def own_parametrization(library):
    class Twice(library.nn.Module):
        def forward(self, x):
            return 2 * x

        def right_inverse(self, x):
            return x / 2

    layer = linear(library)
    library.nn.utils.parametrize.register_parametrization(layer, "weight", Twice())
    library.nn.utils.parametrize.register_parametrization(layer, "weight", Twice())
    layer.weight = layer.weight.detach() * 1.5
    return layer


def pruned(library):
    layer = linear(library)
    prune = importlib.import_module(f"{library.__name__}.nn.utils.prune")
    prune.l1_unstructured(layer, "weight", 5)
    prune.ln_structured(layer, "weight", 0.25, n=2, dim=0)
    assert sorted(layer.state_dict()) == ["bias", "weight_mask", "weight_orig"]
    return layer


CASES = [
    weight_norm, older_weight_norm, older_spectral_norm, spectral_norm, own_parametrization, pruned,
]  # fmt: skip


def run(library, make):
    layer = make(library)
    x = library.tensor(INPUT, requires_grad=True)
    for _ in range(2):
        out = layer(x)
    (out * out).sum().backward()
    grads = {name: p.grad.flatten().tolist() for name, p in layer.named_parameters()}
    return {"out": out.flatten().tolist(), "weight": layer.weight.flatten().tolist(), **grads}


@pytest.mark.needs_torch
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("make", CASES, ids=lambda f: f.__name__)
def test_equal_torch(make):
    expected, got = run(importlib.import_module("torch"), make), run(ours, make)
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        assert got[name] == pytest.approx(values, rel=1e-4, abs=1e-5), name


@pytest.mark.parametrize("make", CASES, ids=lambda f: f.__name__)
def test_copies_and_states(make):
    layer = make(ours).eval()
    x = ours.tensor(INPUT)
    before = layer(x).tolist()
    if "weight" not in vars(layer) or layer.weight.is_leaf:  # as in torch: no copies of results
        assert copy.deepcopy(layer)(x).tolist() == before
        assert len(list(layer.parameters())) == len(list(copy.deepcopy(layer).parameters()))
    other = make(ours).eval()
    other.load_state_dict(layer.state_dict())
    assert (other(x) - layer(x)).abs().max() < 1e-5


def test_removal_gives_the_weight_back():
    utils = ours.nn.utils
    for make, remove in (
        (weight_norm, utils.parametrize.remove_parametrizations),
        (own_parametrization, utils.parametrize.remove_parametrizations),
        (older_weight_norm, utils.remove_weight_norm),
        (older_spectral_norm, utils.remove_spectral_norm),
        (pruned, utils.prune.remove),
    ):
        layer = make(ours).eval()
        layer(ours.tensor(INPUT))
        before = layer.weight.flatten().tolist()
        remove(layer, "weight")
        assert sorted(dict(layer.named_parameters())) == ["bias", "weight"]
        assert sorted(layer.state_dict()) == ["bias", "weight"]
        assert layer.weight.flatten().tolist() == pytest.approx(before, abs=1e-6)
        assert type(layer) is ours.nn.Linear


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
def test_orthogonal(kind):
    layer = ours.nn.utils.parametrizations.orthogonal(
        linear(ours), orthogonal_map=kind, use_trivialization=False
    )
    product = (layer.weight.T @ layer.weight).flatten().tolist()
    assert product == pytest.approx([1, 0, 0, 0, 1, 0, 0, 0, 1], abs=1e-5)


def test_fused_batch_norm():
    conv, norm = ours.nn.Conv2d(2, 3, 3), ours.nn.BatchNorm2d(3)
    norm.running_mean.copy_(ours.tensor([0.1, -0.2, 0.3]))
    norm.running_var.copy_(ours.tensor([0.5, 1.5, 2.0]))
    conv.eval(), norm.eval()
    x = ours.randn(1, 2, 5, 5)
    fused = ours.nn.utils.fuse_conv_bn_eval(conv, norm)
    got, expected = (f.flatten().tolist() for f in (fused(x), norm(conv(x))))
    assert got == pytest.approx(expected, abs=1e-5)
