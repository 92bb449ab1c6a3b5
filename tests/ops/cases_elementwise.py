"""Cases of arithmetic, rounding, comparison, bits, special functions and complex numbers."""

from ops.table import ALL, COMPLEX, FLOATS, NUMBERS, TORCH_INTEGERS, Case

SHAPES = [(), (3,), (2, 0), (4, 1, 5), (7, 33)]
PAIRS = [((3, 1), (1, 4)), ((), (5,)), ((2, 1, 3), (4, 1)), ((1,), (0,)), ((4, 1, 5), (4, 1, 5))]
WIDE = ("f32", "f64")
POLYNOMIALS = (
    *(f"{shifted}chebyshev_polynomial_{kind}" for shifted in ("", "shifted_") for kind in "tuvw"),
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
)


def unary(dtypes=FLOATS, low=-3.0, high=3.0, *arguments, **more):
    return Case(
        lambda d: [d(d.x(shape, low, high), *arguments) for shape in SHAPES], dtypes, **more
    )


def binary(dtypes=FLOATS, low=-3.0, high=3.0, number=True, **more):
    def samples(d):
        yield from (d(d.x(p, low, high), d.x(q, low, high)) for p, q in PAIRS)
        if number:
            yield d(d.x((2, 3), low, high), 2)

    return Case(samples, dtypes, **more)


def division(**more):
    """Divisors of both signs, none of them 0; f16 and bf16 would round across a multiple."""

    def samples(d):
        yield from (d(d.x(p, -9, 9), d.nonzero(q, 0.7, 4)) for p, q in PAIRS if d.dtype[0] != "u")
        yield from (d(d.x(p, 0, 9), d.x(q, 1, 4)) for p, q in PAIRS)
        yield d(d.x((2, 3), 0, 9), 2)

    return Case(samples, (*WIDE, *TORCH_INTEGERS), **more)


def steps(name_dtypes=(*FLOATS, *TORCH_INTEGERS), **more):
    return unary(name_dtypes, -4.0, 4.0, **more)


def ternary(positive=False):
    def samples(d):
        low = 0.5 if positive else -3
        yield d(d.x((3, 4)), d.x((3, 4)), d.x((3, 4), low))
        yield d(d.x((3, 4)), d.x((4,)), d.x((3, 1), low), value=0.5 if d.floating else 2)
        yield d(d.x((2, 0)), d.x((2, 0)), d.x((2, 0), low))

    return samples


CASES = {
    "floor": steps(),
    "ceil": steps(),
    "trunc": steps(),
    "round": Case(
        lambda d: (
            [d(d.x((3, 4), -30, 30)), d(d.x((5,)))]
            + (
                [d(d.x((6,)), decimals=1), d(d.x((6,), -99, 99), decimals=-1)]
                if d.dtype == "f64"
                else []
            )
        ),
        (*FLOATS, *TORCH_INTEGERS),
        wide=False,
    ),
    "frac": steps(FLOATS),
    "exp2": unary(),
    "log2": unary(low=0.1),
    "log10": unary(low=0.1),
    "tan": unary(low=-1.2, high=1.2),
    "asin": unary(low=-0.9, high=0.9),
    "acos": unary(low=-0.9, high=0.9),
    "atan": unary(),
    "sinh": unary(),
    "cosh": unary(),
    "asinh": unary(),
    "acosh": unary(low=1.2, high=4.0),
    "atanh": unary(low=-0.9, high=0.9),
    "signbit": unary(ALL),
    "tanh_grad": binary(number=False, torch=lambda g, out: g * (1 - out * out), factor=4),
    "positive": unary(NUMBERS),
    "sgn": unary((*ALL, *COMPLEX)),
    "deg2rad": unary(),
    "rad2deg": unary(),
    "isinf": unary(ALL),
    "isposinf": unary(ALL),
    "isneginf": unary(ALL),
    "isfinite": unary(ALL),
    "nan_to_num": unary(NUMBERS),
    "fmax": binary(ALL, number=False),
    "fmin": binary(ALL, number=False),
    "floor_divide": division(gradient=False),
    "remainder": division(gradient=False),
    "fmod": division(gradient=False),
    "atan2": binary(low=0.3, number=False),
    "hypot": binary(low=0.3, number=False),
    "copysign": binary(low=0.3),
    "logaddexp": binary(number=False),
    "logaddexp2": binary(number=False),
    "nextafter": binary(("f32", "f64", "bf16"), number=False, wide=False, gradient=False),
    "logical_and": binary((*ALL, *COMPLEX), number=False),
    "logical_or": binary((*ALL, *COMPLEX), number=False),
    "logical_xor": binary((*ALL, *COMPLEX), number=False),
    "bitwise_left_shift": binary(TORCH_INTEGERS, 0, 9),
    "bitwise_right_shift": binary(TORCH_INTEGERS, 0, 9),
    "gcd": binary(TORCH_INTEGERS, -99, 99, number=False),
    "lcm": binary(TORCH_INTEGERS, -9, 9, number=False),
    "rsub": Case(
        lambda d: [d(d.x((3, 4)), d.x((4,))), d(d.x((5,)), 3), d(d.x((5,)), 3, alpha=2)], NUMBERS
    ),
    "true_divide": Case(lambda d: [d(d.x((3, 4)), d.nonzero((4,))), d(d.x((5,)), 4)], FLOATS),
    "float_power": binary(FLOATS, 0.5, 2.0, wide=False),
    "heaviside": Case(
        lambda d: [d(d.x((3, 4)), d.x((4,))), d(d.x((5,), -1, 2), d.x(()))], NUMBERS, gradient=False
    ),
    "ldexp": Case(
        lambda d: [d(d.x((3, 4)), d.ints((4,), -3, 4, "i32"))], FLOATS, torch_gradient=False
    ),
    "clamp_min": Case(lambda d: [d(d.x((3, 4)), 0), d(d.x((3, 4)), d.x((4,)))], NUMBERS),
    "clamp_max": Case(lambda d: [d(d.x((3, 4)), 0), d(d.x((3, 4)), d.x((4,)))], NUMBERS),
    "lerp": Case(
        lambda d: [
            d(d.x((3, 4)), d.x((3, 4)), 0.3),
            d(d.x((3, 4)), d.x((4,)), 0.8),
            d(d.x((3, 4)), d.x((3, 1)), d.x((3, 4), 0.1, 0.4)),
        ],
        FLOATS,
        factor=2,
    ),
    "addcmul": Case(ternary(), (*FLOATS, "i64", "i32"), factor=2),
    "addcdiv": Case(ternary(True), FLOATS, factor=2),
    "isclose": Case(
        lambda d: [d(d.x((3, 4)), d.x((3, 4))), d(d.x((9,), 0, 3), d.x((9,), 0, 3), 0.5, 0.5)],
        NUMBERS,
    ),
    "allclose": Case(
        lambda d: [d(d.x((3, 4)), d.x((3, 4))), d(d.x((9,)), d.x((9,)), 9.0, 9.0)], FLOATS
    ),
    "equal": Case(lambda d: [d(d.x((3, 4)), d.x((3, 4))), d(d.x((2, 0)), d.x((2, 0)))], ALL),
    # --- special functions
    "erfc": unary(factor=2),
    "erfinv": unary(low=-0.9, high=0.9),
    "lgamma": unary(low=0.3, high=5.0),
    "digamma": unary(low=0.3, high=5.0, factor=2, torch_error=1e-8),
    "polygamma": Case(
        lambda d: [d(n, d.x((4, 5), 0.4, 5)) for n in range(4)], FLOATS, factor=4, torch_error=1e-8
    ),
    "i0": unary(factor=2),
    "xlogy": binary(low=0.3),
    "logit": Case(
        lambda d: [d(d.x((4, 5), 0.1, 0.9)), d(d.x((4, 5), -0.5, 1.5), eps=0.2)], FLOATS, factor=4
    ),
    "sinc": unary(),
    "frexp": unary(FLOATS, 0.3, 9.0),
    "mvlgamma": Case(lambda d: [d(d.x((4, 5), 2.5, 6), p) for p in (1, 3)], FLOATS, factor=4),
    "special.entr": unary(low=0.2),
    "special.ndtr": unary(factor=2),
    "special.ndtri": unary(WIDE, 0.05, 0.95),
    "special.log_ndtr": unary(WIDE, -9.0, 3.0, factor=4),
    "special.erfcx": unary(WIDE, -2.0, 9.0, factor=8),
    "special.i0e": unary(factor=2),
    "special.i1": unary(WIDE, factor=4),
    "special.i1e": unary(WIDE, factor=4),
    "special.xlog1py": binary(low=0.3),
    **{  # torch's own are off by 5e-7
        f"special.bessel_{name}": unary(WIDE, 0.4, 9.0, torch_error=1e-6, torch_gradient=False)
        for name in ("j0", "j1", "y0", "y1")
    },
    **dict.fromkeys(
        ("igamma", "igammac"),
        Case(
            lambda d: (
                [d(d.x(p, 0.01, 3), d.x(q, 0, 5)) for p, q in PAIRS]
                + [d(d.x((40,), 3, 60), d.x((40,), 3, 60))]
            ),
            FLOATS,
            gradient=False,
            factor=4,
            torch_error=1e-8,
        ),
    ),
    "special.zeta": Case(
        lambda d: [d(d.x((4,), 1.5, 4), d.x((4,), 0.5, 4))], WIDE, gradient=False, factor=4
    ),
    "special.airy_ai": unary(WIDE, -9.0, 5.0, gradient=False, torch_error=1e-4),
    "special.spherical_bessel_j0": unary(WIDE, gradient=False),
    **{
        f"special.{scale}modified_bessel_k{order}": unary(WIDE, 0.2, 9.0, gradient=False)
        for scale in ("", "scaled_")
        for order in (0, 1)
    },
    **dict.fromkeys(
        [f"special.{name}" for name in POLYNOMIALS],
        Case(
            lambda d: [
                d(d.x((3, 40), -1.5, 1.5), d.x((40,), -2, 12)),
                d(d.x((5,), -1, 1), 9),
                d(d.x((2, 0)), 2),
                d(2.5, d.x((9,), 0, 9)),
            ],
            WIDE,
            gradient=False,
            factor=20,
        ),
    ),
    # --- complex numbers
    "view_as_real": unary(COMPLEX),
    "view_as_complex": Case(
        lambda d: [d(d.x((3, 2))), d(d.x((2, 0, 2)))], ("f32",), layouts=False, hypothesis=False
    ),
    "real": unary((*FLOATS, *COMPLEX), torch=lambda x: x.real),
    "imag": unary(COMPLEX, torch=lambda x: x.imag),
    "conj": unary((*FLOATS, *COMPLEX), torch=lambda x: x.conj().resolve_conj()),
    "conj_physical": unary((*FLOATS, *COMPLEX)),
    "resolve_conj": unary((*FLOATS, *COMPLEX)),
    "resolve_neg": unary((*FLOATS, *COMPLEX)),
    "angle": unary((*FLOATS, *COMPLEX)),
    "complex": Case(lambda d: [d(d.x((3, 4)), d.x((4,))), d(d.x(()), d.x((5,)))], ("f32",)),
    "polar": Case(lambda d: [d(d.positive((3, 4)), d.x((4,)))], ("f32",)),
    "is_complex": unary((*FLOATS, *COMPLEX)),
    "isreal": unary((*ALL, *COMPLEX)),
}

# The same ops under other names.
_ALIASES = {
    "absolute": unary((*NUMBERS, *COMPLEX)),
    "negative": unary((*NUMBERS, *COMPLEX)),
    "fix": steps(),
    "multiply": binary(NUMBERS),
    "subtract": binary(NUMBERS),
    "divide": Case(
        lambda d: [d(d.x((3, 4)), d.nonzero((4,))), d(d.x((5,)), 4, rounding_mode="floor")], FLOATS
    ),
    "clip": Case(lambda d: [d(d.x((3, 4)), -1, 1), d(d.x((3, 4)), max=1)], NUMBERS),
}
_ALIASES |= {
    alias: CASES[name]
    for alias, name in {
        "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh",
        "arccosh": "acosh", "arctanh": "atanh", "arctan2": "atan2",
    }.items()
}  # fmt: skip
_ALIASES |= {
    name: binary(ALL) for name in ("greater", "greater_equal", "less", "less_equal", "not_equal")
}
CASES |= _ALIASES
