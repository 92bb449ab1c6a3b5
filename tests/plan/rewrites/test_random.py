"""Random programs of views, writes in place, products and reductions, rewritten beside eager."""

import random

import pytest

import tallow as tl

N = 4


def draw(seed):
    return (tl.arange(N * N).float().reshape(N, N) * seed).sin()


def square(x):
    """As (N, N), for every other step to take."""
    return x.expand(N, N) if x.ndim < 2 or x.shape != (N, N) else x


STEPS = {
    "exp": lambda a, b, r: a.tanh().exp(),
    "relu": lambda a, b, r: a.relu(),
    "silu": lambda a, b, r: tl.silu(a),
    "double": lambda a, b, r: a * 2,
    "add": lambda a, b, r: a + b,
    "mul": lambda a, b, r: a * b,
    "sub": lambda a, b, r: a - b[r.randrange(N)],
    "matmul": lambda a, b, r: (a @ b).tanh(),
    "linear": lambda a, b, r: tl.linear(a, b).tanh(),
    "linear_bias": lambda a, b, r: tl.linear(a, b, b[0]),
    "ended": lambda a, b, r: tl.linear(a, b).relu() + a,
    "sum": lambda a, b, r: a.sum(r.randrange(2), keepdim=True).tanh(),
    "softmax": lambda a, b, r: a.softmax(-1),
    "norm": lambda a, b, r: tl.rms_norm(a, b[1]),
    "clone": lambda a, b, r: a.clone(),
    "transpose": lambda a, b, r: a.T,
    "contiguous": lambda a, b, r: a.T.contiguous(),
    "roll": lambda a, b, r: tl.cat([a[1:], a[:1]]),
    "half": lambda a, b, r: a.half().float(),
    "add_": lambda a, b, r: a.add_(b) if a is not b else a,
    "mul_row": lambda a, b, r: (a[r.randrange(N)].mul_(0.5), a)[1],
    "copy_column": lambda a, b, r: (a[:, 1].copy_(b[:, 2].clone()), a)[1],
    "zero_part": lambda a, b, r: (a[1:, :2].zero_(), a)[1],
    "flat": lambda a, b, r: (a.contiguous().view(-1)[3:7].fill_(0.25), a)[1],
    "embedding": lambda a, b, r: tl.embedding(tl.tensor([0, 2, 1, 3]), a),
}


def program(seed, weights):
    """A function of two inputs that makes the same steps at each call."""

    fixed = {w._array.storage_id for w in weights}

    def run(x, y):
        r = random.Random(seed)
        pool = [x, y, *weights]
        for _ in range(14):
            name = r.choice(list(STEPS))
            a, b = r.choice(pool), r.choice(pool)
            if name in ("add_", "mul_row", "copy_column", "zero_part", "flat"):
                a = r.choice([p for p in pool if p._array.storage_id not in fixed])
                a = a if r.random() < 0.3 else a.clone()
                if name in ("add_", "copy_column"):
                    b = b.clone()
            pool.append(square(STEPS[name](a, b, r)))
            if 0 in pool[-1]._array.strides:  # expanded: no target of a write
                pool[-1] = pool[-1].contiguous()
        return tuple(pool[-3:]), pool[r.randrange(2, len(pool))] * 1

    return run


def bits(x):
    return x.shape, x.dtype, x.contiguous()._array.raw_bytes()


@pytest.mark.parametrize("seed", range(300))
def test_a_random_program_gives_the_same_bits(seed):
    weights = [draw(0.37), draw(0.91)]
    fn = program(seed, weights)
    with tl.inference_mode():
        plan = tl.capture(
            fn, draw(1.0), draw(2.0), weights={"a": weights[0], "b": weights[1]}, rewrites=True
        )
        for run in range(3):
            given = [draw(0.2 + run), draw(1.7 + run)]
            again = [x.clone() for x in given]
            (got, last), (wanted, expected) = plan(*given), fn(*again)
            for a, b in zip((*got, last), (*wanted, expected), strict=True):
                assert bits(a) == bits(b)
            for a, b in zip(plan.inputs, again, strict=True):
                assert bits(a) == bits(b)
            weights[run % 2].mul_(1.25)
