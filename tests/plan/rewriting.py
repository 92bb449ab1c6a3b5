"""Rewritten plans beside the functions that they are of."""

import tallow as tl


def draw(*shape, seed=0.7):
    n = 1
    for length in shape:
        n *= length
    return (tl.arange(n).float().reshape(*shape) * seed).sin()


def bits(x):
    return x.shape, x.dtype, x.contiguous()._array.raw_bytes()


def calls(plan):
    return [name for name, _ in plan._native.calls]


def check(fn, *examples, rewrites, **options):
    """The rewritten plan after three runs on other inputs beside the function; its kernels."""
    plan = tl.capture(fn, *[x.clone() for x in examples], rewrites=rewrites, **options)
    for seed in (0.3, 1.1, 2.3):
        given = [x.clone() if x.dtype.kind != "f" else draw(*x.shape, seed=seed) for x in examples]
        again = [x.clone() for x in given]
        got = plan(*given)
        wanted = fn(*again)
        got = got if isinstance(got, tuple) else (got,)
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        assert [bits(x) for x in got] == [bits(x) for x in wanted]
        # What is written in place shows in the plan's own inputs, as in the function's.
        assert [bits(x) for x in plan.inputs] == [bits(x) for x in again]
    return calls(plan)
