"""Which operands and results may be changed in place before backward: all that PyTorch lets."""

import pytest

import tallow as tl
from tallow.errors import GradError

A = [[0.1, 0.6, 0.3], [0.9, 0.25, 0.45]]
B = [[0.5, 0.2, 0.7], [0.35, 0.65, 0.1]]

OPS = {
    "a + b": lambda t, a, b: a + b,
    "a - 2": lambda t, a, b: a - 2,
    "a * 2": lambda t, a, b: a * 2,
    "a * b": lambda t, a, b: a * b,
    "a / 2": lambda t, a, b: a / 2,
    "a / b": lambda t, a, b: a / b,
    "2 / a": lambda t, a, b: 2 / a,
    "sign": lambda t, a, b: a.sign() + a.floor(),
    "erfinv": lambda t, a, b: a.erfinv(),
    "kron": lambda t, a, b: t.kron(a, b),
    "svdvals": lambda t, a, b: t.linalg.svdvals(a),
    "slogdet": lambda t, a, b: t.linalg.slogdet(a[:, :2])[1],
    "cross_entropy": lambda t, a, b: t.nn.functional.cross_entropy(a, t.tensor([2, 0])),
    "a ** 2": lambda t, a, b: a**2,
    "2 ** a": lambda t, a, b: 2**a,
    "a ** b": lambda t, a, b: a**b,
    "fmod": lambda t, a, b: t.fmod(a, 0.3),
    "fmod of two": lambda t, a, b: t.fmod(a, b),
    "remainder": lambda t, a, b: t.remainder(a, 0.3),
    "hypot": lambda t, a, b: t.hypot(a, b),
    "lerp": lambda t, a, b: t.lerp(a, b, 0.3),
    "addcmul": lambda t, a, b: t.addcmul(a * 1, a, b),
    "addcdiv": lambda t, a, b: t.addcdiv(a * 1, a, b),
    "neg": lambda t, a, b: -a,
    "square": lambda t, a, b: a.square(),
    "exp": lambda t, a, b: a.exp(),
    "log": lambda t, a, b: a.log(),
    "sqrt": lambda t, a, b: a.sqrt(),
    "tanh": lambda t, a, b: a.tanh(),
    "sigmoid": lambda t, a, b: a.sigmoid(),
    "relu": lambda t, a, b: a.relu(),
    "clamp": lambda t, a, b: a.clamp(0.2, 0.7),
    "sum": lambda t, a, b: a.sum(1),
    "mean": lambda t, a, b: a.mean(1),
    "softmax": lambda t, a, b: a.softmax(-1),
    "log_softmax": lambda t, a, b: a.log_softmax(-1),
    "matmul": lambda t, a, b: a @ b.transpose(0, 1),
    "where": lambda t, a, b: t.where(t.tensor([True, False, True]), a, b),
    "cat": lambda t, a, b: t.cat([a, b]),
    "cumsum": lambda t, a, b: a.cumsum(1),
    "reshape": lambda t, a, b: (a * 2).reshape(3, 2),
    "flip": lambda t, a, b: a.flip((0,)),
}


def outcome(t, name, wanted, changed, error):
    """The gradients of a and b after a change of a, b or the result in place; None when refused."""
    starts = [t.tensor(x, dtype=t.float64) for x in (A, B)]
    leaves = [x.requires_grad_(n in wanted) for x, n in zip(starts, "ab", strict=True)]
    a, b = (x.clone() for x in leaves)
    out = OPS[name](t, a, b)
    try:
        target = {"a": a, "b": b, "out": out}[changed]
        target[target > 0.4] = 2.0
        out.sum().backward()
    except error:
        return None
    return [None if x.grad is None else x.grad.tolist() for x in leaves]


def flat(found):
    return [v for x in found if x is not None for row in x for v in row]


# Per op: what PyTorch 2.13.0 refuses to have changed, as "wanted gradients:changed tensors".
REFUSED = {
    "a * b": "a:b b:a ab:a ab:b",
    "a / b": "a:b b:a b:b ab:a ab:b",
    "erfinv": "a:a ab:a",
    "svdvals": "a:out ab:out",
    "slogdet": "a:a ab:a",
    "a ** 2": "a:a ab:a",
    "2 ** a": "a:a a:out ab:a ab:out",
    "a ** b": "a:a a:b a:out b:a b:b b:out ab:a ab:b ab:out",
    "fmod of two": "b:a b:b ab:a ab:b",
    "hypot": "a:a a:out b:b b:out ab:a ab:b ab:out",
    "addcmul": "a:b b:a ab:a ab:b",
    "addcdiv": "a:b b:a b:b ab:a ab:b",
    "square": "a:a ab:a",
    "exp": "a:out ab:out",
    "log": "a:a ab:a",
    "sqrt": "a:out ab:out",
    "tanh": "a:out ab:out",
    "sigmoid": "a:out ab:out",
    "relu": "a:out ab:out",
    "clamp": "a:a ab:a",
    "softmax": "a:out ab:out",
    "log_softmax": "a:out ab:out",
    "matmul": "a:b b:a ab:a ab:b",
}
WANTED = ("a", "b", "ab")
CHANGED = ("a", "b", "out")


def expected(name, wanted, changed):
    """The gradients by the law: a changed result passes none where it was overwritten."""
    leaves = [
        tl.tensor(x, dtype="f64").requires_grad_(n in wanted) for x, n in ((A, "a"), (B, "b"))
    ]
    out = OPS[name](tl, *leaves)
    (tl.where(out > 0.4, 2.0, out) if changed == "out" else out).sum().backward()
    return [None if x.grad is None else x.grad.tolist() for x in leaves]


def differentiable(name, wanted):
    """Whether the result depends on a tensor whose gradient is wanted."""
    a, b = (tl.tensor(x).requires_grad_(n in wanted) for x, n in ((A, "a"), (B, "b")))
    return OPS[name](tl, a, b).requires_grad


@pytest.mark.parametrize(
    ("name", "wanted"), [(n, w) for n in OPS for w in WANTED if differentiable(n, w)]
)
def test_what_pytorch_lets_change_may_be_changed_here(name, wanted):
    for changed in CHANGED:
        found = outcome(tl, name, wanted, changed, GradError)
        if found is None:
            assert f"{wanted}:{changed}" in REFUSED.get(name, ""), changed
        else:
            assert flat(found) == pytest.approx(flat(expected(name, wanted, changed))), changed


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", OPS)
def test_the_table_is_pytorchs(name):
    torch = pytest.importorskip("torch")

    refused = [
        f"{wanted}:{changed}"
        for wanted in WANTED
        for changed in CHANGED
        if differentiable(name, wanted)
        and outcome(torch, name, wanted, changed, RuntimeError) is None
    ]
    assert " ".join(refused) == REFUSED.get(name, "")


@pytest.mark.parametrize("name", ["a * b", "exp", "a / b"])
def test_what_backward_needs_may_not_be_changed(name):
    assert outcome(tl, name, "ab", "out" if name == "exp" else "b", GradError) is None
