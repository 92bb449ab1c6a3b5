"""torch.func, vmap and weight averaging, equal to torch's."""

import importlib

import pytest

import tallow.torch as ours
from tallow.errors import ArgumentError

PROGRAMS = {
    "grad": "f.grad(lambda p, x: (p['w'] @ x + p['b']).tanh().sum())({'w': m, 'b': v}, v)",
    "grad of grad": "f.grad(f.grad(lambda a: (a ** 3).sum()))(v[0])",
    "grad with aux": "f.grad(lambda a: ((a * a).sum(), a + 1), has_aux=True)(v)",
    "argnums": "f.grad(lambda a, b: (a * b).sum(), argnums=(0, 1))(v, v + 1)",
    "vjp": "(lambda o, pull: [o, pull(v)])(*f.vjp(lambda a: a * a * 2, v))",
    "vjp of two": "(lambda o, pull: [o, pull((v, v))])(*f.vjp(lambda a, b: (a * b, a + b), v, v))",
    "jvp": "f.jvp(lambda a: a.sin() * 2, (v,), (v + 1,))",
    "jacrev": "f.jacrev(lambda a: m @ a * a)(v)",
    "jacrev of a dict": "f.jacrev(lambda p: {'y': p['a'] * p['b'].sum()})({'a': v, 'b': v})",
    "jacfwd": "f.jacfwd(lambda a: m @ a * a)(v)",
    "hessian": "f.hessian(lambda a: (a ** 3).sum() * a[0])(v)",
    "vmap": "f.vmap(lambda a, b: a @ b)(m, m)",
    "vmap dims": "f.vmap(lambda a, b: a * b, in_dims=(1, None), out_dims=1)(m, v)",
    "vmap of tuples": "f.vmap(lambda p: (p[0] + p[1]['x'], p[0].sum()))((m, {'x': m}))",
    "vmap of grad": "f.vmap(f.grad(lambda a, x: (a * x).sum() ** 2), in_dims=(None, 0))(v, m)",
    "vmap twice": "f.vmap(f.vmap(lambda a, b: a * b))(m, m)",
}


def evaluate(torch, name):
    m = torch.tensor([[2.0, 0.5, 0.1], [0.5, 1.5, 0.2], [0.1, 0.2, 1.0]])
    names = {"f": torch.func, "m": m, "v": torch.tensor([0.5, -1.0, 2.0]), "torch": torch}
    return flat(eval(PROGRAMS[name], names))


def flat(value):
    if hasattr(value, "detach"):
        return value.detach().flatten().tolist()
    values = value.values() if isinstance(value, dict) else value
    return [leaf for each in values for leaf in flat(each)]


@pytest.mark.needs_torch
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own jvp
@pytest.mark.parametrize("name", PROGRAMS)
def test_equals_torch(name):
    expected = evaluate(importlib.import_module("torch"), name)
    assert evaluate(ours, name) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", PROGRAMS)
def test_runs(name):
    assert evaluate(ours, name)


def test_vmap_refuses():
    x = ours.ones(2, 3)
    with pytest.raises(ArgumentError, match="no random draws"):
        ours.vmap(lambda a: a + ours.rand(3))(x)
    assert len({*flat(ours.vmap(lambda a: ours.rand(1), randomness="different")(x))}) == 2
    assert len({*flat(ours.vmap(lambda a: ours.rand(1), randomness="same")(x))}) == 1
    with pytest.raises(ValueError, match="axes of one length"):
        ours.vmap(lambda a, b: a)(x, ours.ones(3))
    with pytest.raises(ArgumentError, match="at least one tensor"):
        ours.vmap(lambda a: a, in_dims=None)(x)


def test_ensembles():
    models = [ours.nn.Linear(3, 2) for _ in range(3)]
    parameters, buffers = ours.func.stack_module_state(models)
    x = ours.randn(4, 3)

    def call(p, b):
        return ours.func.functional_call(models[0], (p, b), (x,))

    together = ours.vmap(call)(parameters, buffers)
    for out, model in zip(together, models, strict=True):
        assert flat(out) == pytest.approx(flat(model(x)), abs=1e-6)


def averaged(torch, strategy):
    p = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=1.0)
    schedule = torch.optim.swa_utils.SWALR(optimizer, 0.1, 3, strategy)
    rates = []
    for _ in range(5):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


@pytest.mark.needs_torch
@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_rate_of_averaging_equals_torch(strategy):
    expected = averaged(importlib.import_module("torch"), strategy)
    assert averaged(ours, strategy) == pytest.approx(expected)


def test_statistics_are_taken_anew():
    model = ours.nn.Sequential(ours.nn.BatchNorm1d(2)).eval()
    data = [ours.tensor([[0.0, 1.0], [2.0, 3.0]]), (ours.tensor([[4.0, 5.0], [6.0, 7.0]]), 1)]
    ours.optim.swa_utils.update_bn(data, model)
    assert model[0].running_mean.tolist() == [3.0, 4.0] and not model.training
    assert averaged(ours, "linear")[-1] == pytest.approx(0.1)
