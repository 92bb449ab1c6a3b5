"""Cases of `tallow.ops.creation`: tensors out of numbers."""

import tallow as tl
from ops.table import ALL, Case

PLAIN = {"dtypes": ("f32",), "gradient": False, "hypothesis": False}


def numbers(*calls, **more):
    """Samples without a tensor: (arguments, keywords) each."""
    return Case(lambda d: [d(*a, **k) for a, k in calls], **(PLAIN | more))


def likes(*arguments, **more):
    return Case(lambda d: [d(d.x((2, 3)), *a) for a in arguments], ALL, gradient=False, **more)


WINDOW = [((n,), {}) for n in (0, 1, 2, 7, 8)] + [((8, False), {}), ((5,), {"dtype": tl.f64})]

CASES = {
    "arange": numbers(
        ((5,), {}),
        ((1, 4), {}),
        ((0, 1, 0.25), {}),
        ((5, 0, -2), {}),
        ((0.5, 5.6, 1.5), {"dtype": tl.i64}),
        ((0, 5.5, 1.5), {"dtype": tl.i32}),
        ((), {"end": 3, "dtype": tl.f64}),
    ),
    "linspace": numbers(
        ((0, 1, 5), {}), ((-3, 10, 4), {"dtype": tl.f64}), ((2, 5, 1), {}), ((2, 5, 0), {}),
        ((4.3, -3, 50), {"dtype": tl.i64}),
    ),
    "logspace": numbers(
        ((0, 1, 5), {}), ((-2, 3, 7, 2.0), {"dtype": tl.f64}), ((0, 1.2, 4), {"dtype": tl.i64}),
    ),
    "eye": numbers(
        ((3,), {}), ((2, 4), {"dtype": tl.i64}), ((4, 2), {"dtype": tl.bool_}), ((0,), {}),
    ),
    "scalar_tensor": numbers(((3,), {}), ((2.5,), {"dtype": tl.f16})),
    "empty_strided": numbers((((2, 3), (1, 2)), {}), (((0, 3), (1, 2)), {}), random=True),
    "new_empty": likes((4, 5), ((2, 0),), random=True),
    "new_zeros": likes((4, 5), ((2, 0),), ((),)),
    "new_ones": likes((4, 5), ((2, 0),)),
    "new_full": likes(((4, 5), 1), ((), 0)),
    "new_tensor": likes(([1, 0],), (1,)),
    "new_empty_strided": likes(((2, 3), (3, 1)), random=True),
    "hann_window": numbers(*WINDOW),
    "hamming_window": numbers(*WINDOW, ((6, True, 0.5, 0.4), {})),
    "blackman_window": numbers(*WINDOW),
    "bartlett_window": numbers(*WINDOW),
    "kaiser_window": numbers(*WINDOW, ((6, False, 5.0), {})),
}  # fmt: skip
