"""tl.compile: a plan for each signature; what changes is seen; what no plan holds runs eagerly."""

import warnings

import numpy as np
import pytest

import tallow as tl
from tallow import nn
from tallow.errors import ShapeError


@pytest.fixture(autouse=True)
def _no_grad():
    with tl.no_grad():
        yield


def counts(compiled):
    s = compiled.stats
    return (s.misses, s.hits, s.eager)


def network():
    tl.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)).eval()


def same(a, b):
    assert a.tolist() == b.tolist()


def plus_one(net):
    return {name: value + 1 for name, value in net.state_dict().items()}


# --- signatures -----------------------------------------------------------------------------------


def test_each_signature_has_a_plan():
    f = tl.compile(lambda x, scale=1.0: (x * scale).sum(-1))
    x = tl.arange(6).float().reshape(2, 3)
    for call in (
        lambda g: g(x), lambda g: g(x.T), lambda g: g(x.to("f64")), lambda g: g(x, 2.0),
        lambda g: g(x, scale=2.0), lambda g: g(x, 2), lambda g: g(x, True),
    ):  # fmt: skip
        for _ in range(2):
            same(call(f), call(lambda x, scale=1.0: (x * scale).sum(-1)))
            assert call(f).dtype is call(lambda x, scale=1.0: (x * scale).sum(-1)).dtype
    assert counts(f)[0] == 7


def test_the_least_used_plan_is_dropped():
    f = tl.compile(lambda x: x + 1, cache_size=2)
    for n in (1, 2, 1, 3, 1, 2):
        f(tl.zeros(n))
    assert counts(f) == (4, 2, 0)
    assert f.stats.evicted == 2
    f.clear()
    f(tl.zeros(1))
    assert f.stats.misses == 5


def test_results_are_new_memory():
    f = tl.compile(lambda x: {"sum": x + 1, "pair": (x * 2, 7, None)})
    first = f(tl.ones(2))
    second = f(tl.zeros(2))
    assert first["sum"].tolist() == [2.0, 2.0] and second["sum"].tolist() == [1.0, 1.0]
    third = f(tl.full((2,), 4.0))
    assert second["pair"][0].tolist() == [0.0, 0.0]
    assert third["pair"][1:] == (7, None)
    third["sum"].add_(1)
    assert f(tl.zeros(2))["sum"].tolist() == [1.0, 1.0]


def test_constants_that_are_returned_are_copies():
    f = tl.compile(lambda x: (x + 1, tl.tensor([1.0, 2.0])))
    for _ in range(3):
        constant = f(tl.ones(1))[1]
        assert constant.tolist() == [1.0, 2.0]
        constant.add_(5)


def test_views_of_inputs_are_views():
    f = tl.compile(lambda x: x[1:])
    for value in (1.0, 2.0):
        x = tl.full((3,), value)
        f(x).mul_(3)
        assert x.tolist() == [value, 3 * value, 3 * value]


def test_an_input_that_is_written():
    f = tl.compile(lambda x: x.add_(1).sum())
    for value in (1.0, 2.0, 3.0):
        x = tl.full((2,), value)
        assert f(x).item() == 2 * (value + 1)
        assert x.tolist() == [value + 1] * 2
    mapped = tl.from_numpy(np.frombuffer(np.float32([1, 2]).tobytes(), np.float32))
    f(mapped)
    assert mapped.tolist() == [2.0, 3.0]


def test_one_tensor_given_twice():
    f = tl.compile(lambda a, b: a * 2 + b)
    x, y = tl.ones(2), tl.full((2,), 5.0)
    for a, b in ((x, x), (x, y), (y, y), (y, x)):
        same(f(a, b), a * 2 + b)
    assert counts(f) == (2, 2, 0)
    with pytest.warns(UserWarning, match="arguments share memory"):
        f(x[:1], x)


def test_nothing_to_compute():
    f = tl.compile(lambda x: None)
    assert f(tl.ones(2)) is None and f(tl.ones(2)) is None
    g = tl.compile(lambda x: x)
    x = tl.ones(2)
    assert g(x).data_ptr() == g(x).data_ptr() == x.data_ptr()


# --- what changes ---------------------------------------------------------------------------------


def test_weights_changed_in_place_are_read():
    net = network()
    f, x = tl.compile(net), tl.rand(3, 4)
    f(x)
    net[0].weight.mul_(2)
    same(f(x), net(x))
    net.load_state_dict(plus_one(net))
    same(f(x), net(x))
    assert counts(f) == (1, 2, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.load_state_dict(plus_one(net), assign=True),
        lambda net: setattr(net[0], "bias", None),
        lambda net: setattr(net[3].weight, "data", tl.ones(2, 8)),
        lambda net: net.__setitem__(2, nn.Tanh()),
        lambda net: net.append(nn.Sigmoid()),
        lambda net: setattr(net[1], "eps", 0.5),
    ],
    ids=["assigned state", "no bias", "data", "another layer", "one layer more", "a number"],
)  # fmt: skip
def test_other_tensors_and_attributes_make_another_plan(change):
    net = network()
    f, x = tl.compile(net), tl.rand(3, 4)
    f(x)
    f(x)
    change(net)
    for _ in range(2):
        same(f(x), net(x))
    assert (f.stats.misses, f.stats.recompiled) == (2, 1)


class LowRank(nn.Module):
    """An adapter: a layer, and a product beside it."""

    def __init__(self, base):
        super().__init__()
        self.base = base
        self.a, self.b = nn.Linear(4, 1, bias=False), nn.Linear(1, 8, bias=False)

    def forward(self, x):
        return self.base(x) + self.b(self.a(x))


def test_training_mode_makes_another_plan():
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, momentum=0.5), nn.Dropout(0.5))
    f, x = tl.compile(net.eval()), tl.rand(3, 4)
    f(x)
    net.train()
    means = []
    for run in (f, f, net, net):
        means.append(net[1].running_mean.tolist())
        tl.manual_seed(1)
        means[-1].append(run(x).tolist())
        net.load_state_dict(net.eval().train().state_dict())
    assert means[0][-1] == means[1][-1] == means[2][-1]
    assert means[0][0] != means[1][0] != means[2][0]
    net.eval()
    same(f(x), net(x))


def test_adapters_are_seen():
    net = network()
    f, x = tl.compile(net), tl.rand(3, 4)
    f(x)
    net[0] = LowRank(net[0]).eval()
    same(f(x), net(x))
    net[0] = net[0].base
    same(f(x), net(x))
    assert f.stats.recompiled == 2


def test_a_value_of_a_weight_that_is_read():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(tl.tensor(2.0))

        def forward(self, x):
            return x * 3 if self.scale.item() > 1 else x

    net = Scaled().eval()
    f = tl.compile(net)
    assert [f(tl.ones(1)).item() for _ in range(2)] == [3.0, 3.0]
    net.scale.fill_(0)
    assert f(tl.ones(1)).item() == 1.0


def test_closures_and_globals():
    scale, shift, net = tl.tensor([2.0]), 1.0, network()
    shared = np.float32([1.0])
    outside = tl.from_numpy(shared)

    def f(x):
        return net(x)[:1, :1] * scale + shift + outside

    compiled, x = tl.compile(f), tl.rand(3, 4)
    for change in (
        lambda: None, lambda: scale.fill_(5), lambda: net[0].weight.mul_(2), lambda: net.half(),
        lambda: shared.__setitem__(0, 7),
    ):  # fmt: skip
        change()
        x = x.to(net[0].weight.dtype)
        same(compiled(x), f(x))
        same(compiled(x), f(x))
    shift = 3.0
    same(compiled(x), f(x))
    scale = tl.tensor([0.5])
    same(compiled(x), f(x))


def test_a_table_that_a_module_keeps_at_its_first_call():
    class Lazy(nn.Module):
        table = None

        def forward(self, x):
            if self.table is None:
                self.table = tl.arange(x.shape[0]).float()
            return x + self.table

    f = tl.compile(Lazy().eval())
    for _ in range(3):
        assert f(tl.zeros(3)).tolist() == [0.0, 1.0, 2.0]
    assert counts(f) == (1, 2, 0)


def test_a_module_that_counts_its_calls_runs_without_a_plan():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls, self.total = 0, nn.Buffer(tl.zeros(1))

        def forward(self, x):
            self.calls += 1
            self.total.add_(x)
            return x + self.calls

    net = Counting().eval()
    f = tl.compile(net)
    with pytest.warns(UserWarning, match="change an attribute of Counting"):
        f(tl.ones(1))
    total = net.total.item()
    f(tl.ones(1))
    assert net.total.item() == total + 1


def test_random_numbers_go_on():
    f = tl.compile(lambda x: x + tl.rand(2))
    tl.manual_seed(5)
    got = [f(tl.zeros(2)).tolist() for _ in range(3)]
    tl.manual_seed(5)
    assert got == [tl.rand(2).tolist() for _ in range(3)]


# --- what runs without a plan ---------------------------------------------------------------------


def eagerly(f, *args, match):
    with pytest.warns(UserWarning, match=match):
        first = f(*args)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f(*args)  # one warning for a reason
    assert f.stats.eager == 2
    return first


def test_values_read_into_python():
    f = tl.compile(lambda x: x[x > 1])
    assert eagerly(f, tl.tensor([0.0, 2.0]), match="masked_select: a value.*input").tolist() == [
        2.0
    ]
    assert f(tl.tensor([5.0, 2.0])).tolist() == [5.0, 2.0]


def test_what_was_written_before_a_value_is_read_is_written_once():
    total = tl.zeros(1)

    def f(x):
        total.add_(x.sum())
        x.add_(1)
        return tl.rand(1) if x.sum().item() else x

    tl.manual_seed(1)
    x = tl.ones(2)
    drawn = eagerly(tl.compile(f), x, match="item: a value")
    assert total.item() == 2.0 + 4.0 and x.tolist() == [3.0, 3.0]
    tl.manual_seed(1)
    assert drawn.tolist() == tl.rand(1).tolist()


def test_gradients_hooks_and_other_arguments():
    x = tl.rand(3, 4)
    hooked = network()
    hooked[0].register_forward_hook(lambda *_: None)
    eagerly(tl.compile(hooked), x, match="Linear has hooks")
    eagerly(tl.compile(lambda x, y: x + y.sum()), x, np.ones(3), match="numpy.ndarray")
    with tl.enable_grad():
        net = network()
        f = tl.compile(net)
        with pytest.warns(UserWarning, match="gradients are recorded"):
            f(x).sum().backward()
        assert net[0].weight.grad is not None
    f(x)
    assert f.stats.misses == 1


def test_errors_are_those_of_the_function():
    f = tl.compile(lambda a, b: a @ b)
    for _ in range(2):
        with pytest.raises(ShapeError, match="matmul"):
            f(tl.ones(2, 3), tl.ones(2, 3))
    ids = tl.compile(lambda t, i: t.index_select(0, i))
    assert ids(tl.arange(3), tl.tensor([2])).tolist() == [2]
    with pytest.raises(IndexError, match="expected an index in"):
        ids(tl.arange(3), tl.tensor([3]))
    assert ids(tl.arange(3), tl.tensor([1])).tolist() == [1]


def test_inside_a_capture():
    f = tl.compile(lambda x: x * 2)
    plan = tl.capture(lambda x: f(x) + 1, tl.ones(2))
    assert plan(tl.full((2,), 3.0)).tolist() == [7.0, 7.0]
    assert counts(f) == (0, 0, 0)


# --- memory ---------------------------------------------------------------------------------------


def test_plans_share_the_memory_of_temporaries():
    f = tl.compile(lambda x: ((x + 1).cumsum(0) * (x - 1).cumsum(0)).cumsum(0) + 1)
    for n in (1000, 2000, 4000):
        f(tl.zeros(n))
    assert f.memory()["arena"] <= 3 * 16384


def test_as_a_decorator():
    @tl.compile(cache_size=1)
    def double(x):
        """Twice."""
        return x * 2

    assert (double.__name__, double.__doc__) == ("double", "Twice.")
    assert double(tl.ones(1)).item() == 2.0
    net = tl.compile(network())
    assert len(list(net.parameters())) == 6 and not net.training
    assert "compile(" in repr(net)
