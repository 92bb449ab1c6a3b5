"""Cases of the ops in tallow.ops.random; test_random.py looks at the numbers themselves."""

import tallow as tl
from ops.table import NUMBERS, WIDE, Case


def filled(*args):
    return Case(lambda d: [d(d.x((3, 4)), *args)], random=True, gradient=False, hypothesis=False)


CASES = {
    "uniform_": filled(-1.0, 2.0),
    "normal_": filled(1.0, 2.0),
    "bernoulli_": filled(0.3),
    "random_": filled(2, 9),
    "exponential_": filled(2.0),
    "geometric_": filled(0.3),
    "cauchy_": filled(),
    "log_normal_": filled(),
    "rand": Case(
        lambda d: [d(3, 4), d((2, 0)), d(5, dtype=tl.f64)], random=True, dtypes=WIDE, gradient=False
    ),
    "randn": Case(
        lambda d: [d(3, 4), d((2, 0)), d(5, dtype=tl.f64)], random=True, dtypes=WIDE, gradient=False
    ),
    "randint": Case(
        lambda d: [d(10, (3, 4)), d(-2, 5, (3,))], random=True, dtypes=WIDE, gradient=False
    ),
    "randperm": Case(lambda d: [d(7), d(0)], random=True, dtypes=WIDE, gradient=False),
    "rand_like": Case(lambda d: [d(d.x((3, 4)))], random=True, gradient=False),
    "randn_like": Case(lambda d: [d(d.x((3, 4)))], random=True, gradient=False),
    "randint_like": Case(
        lambda d: [d(d.x((3, 4)), 7), d(d.x((3,)), 1, 5)],
        dtypes=NUMBERS,
        random=True,
        gradient=False,
    ),
    "bernoulli": Case(
        lambda d: [d(d.x((3, 4), 0, 1)), d(d.x((3, 4)), 0.3)], random=True, gradient=False
    ),
    "poisson": Case(lambda d: [d(d.x((3, 4), 0, 20))], random=True, gradient=False),
    "multinomial": Case(
        lambda d: [d(d.positive((5,)), 3), d(d.positive((2, 4)), 6, True)],
        random=True,
        gradient=False,
        hypothesis=False,
    ),
    "normal": Case(
        lambda d: [
            d(d.x((3, 4)), 2.0),
            d(1.0, d.positive((3,))),
            d(d.x((3, 1)), d.positive((4,))),
        ],
        random=True,
        gradient=False,
        dtypes=WIDE,
        hypothesis=False,
    ),
    **{
        f"nn.draw_{name}": Case(
            lambda d, numbers=numbers, kind=kind: [
                d(shape, kind, tl.Generator(), *numbers) for shape in [(7,), (0,)]
            ],
            torch=False,
            random=True,
            gradient=False,
            hypothesis=False,
            dtypes=("f32",),
        )
        for name, kind, numbers in (
            ("uniform", tl.f32, (0.0, 1.0)),
            ("normal", tl.f64, (0.0, 1.0)),
            ("integers", tl.i64, (-2, 7)),
            ("permutation", tl.i64, ()),
        )
    },
    "nn.draw_poisson": Case(
        lambda d: [d(d.x((3, 4), 0, 20), tl.Generator())],
        torch=False,
        random=True,
        gradient=False,
        hypothesis=False,
        dtypes=("f64",),
    ),
    "native_dropout": Case(
        lambda d: [d(d.x((3, 4)), 0.5, True)], random=True, gradient=False, dtypes=WIDE
    ),
    "dropout": Case(
        lambda d: [d(d.x((3, 4)), 0.5, True), d(d.x((2,)), 0.5, False)],
        random=True,
        gradient=False,
        torch="dropout",
        dtypes=WIDE,
    ),
}
