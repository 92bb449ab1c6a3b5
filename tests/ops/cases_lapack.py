"""Cases of factorisations and solvers: `tallow.ops.linalg_factor`, `_eigen` and `_solve`."""

import numpy as np

from ops.table import COMPLEX, WIDE, Case

TALL, WIDE_, SQUARE = (5, 3), (3, 5), (4, 4)
ANY = (*WIDE, *COMPLEX)


def torch_linalg(name, *keywords):
    """`torch.linalg.name` with what stands behind the first argument given by keywords."""

    def call(a, *more):
        import torch

        function = getattr(torch.linalg, name)
        return (
            function(a, **dict(zip(keywords, more, strict=False)))
            if keywords
            else function(a, *more)
        )

    return call


HOW = [(upper, transpose) for upper in (False, True) for transpose in (False, True)]


def old_triangular_solve(b, a, upper, transpose):
    """`torch.triangular_solve` by the function that replaced it."""
    import torch

    given = a.mT if transpose else a
    return torch.linalg.solve_triangular(given, b, upper=upper != transpose), a.clone()


def square(dtypes=ANY, **more):
    """Well-conditioned square matrices, a batch of them, and an empty one."""
    return Case(
        lambda d: [d(d.invertible(4)), d(d.invertible(3, (2, 1))), d(d.x((0, 0)))],
        dtypes,
        **({"factor": 20, "hypothesis": False} | more),
    )


def positive(*arguments, dtypes=ANY, **more):
    return Case(
        lambda d: [d(d.spd(4), *a) for a in arguments or ((),)] + [d(d.spd(3, (2,)))],
        dtypes,
        **({"factor": 20, "hypothesis": False} | more),
    )


def shapes(*arguments, dtypes=WIDE, **more):
    return Case(
        lambda d: [d(d.x(s), *a) for s in (TALL, WIDE_, SQUARE, (2, 4, 3)) for a in arguments],
        dtypes,
        **({"factor": 40, "hypothesis": False} | more),
    )


def product(out):
    """What is settled of a factorisation: its product and the sizes in the middle."""
    u, s, vh = out[0], out[1], out[2]
    k = s.shape[-1]
    return (u[..., :k] * s.unsqueeze(-2)) @ vh[..., :k, :], s


def product_transposed(out):
    return product((out[0], out[1], out[2].mT))


def eigen(out):
    values, vectors = out[0], out[1]
    return values, (vectors * values.unsqueeze(-2)) @ vectors.mT


def known_spectrum(d):
    """Matrices with eigenvalues that lie apart, so that derivatives are tame."""
    for batch in ((), (2,)):
        a = d.x((*batch, 4, 4)).astype(float)
        q, _ = np.linalg.qr(a)
        made = (q * np.array([-2.0, 0.7, 1.5, 4.0])) @ q.swapaxes(-1, -2)
        yield made.astype(d.x(()).dtype)


def systems(d, *, a=None):
    yield d(d.invertible(4), d.x((4, 2)))
    yield d(d.invertible(4), d.x((4,)))
    yield d(d.invertible(3, (2,)), d.x((2, 3)))
    yield d(d.invertible(3, (2, 1)), d.x((4, 3, 2)))


def triangular(d):
    for upper in (True, False):
        for unit in (True, False):
            yield d(d.invertible(4), d.x((4, 2)), upper=upper, unitriangular=unit)
        yield d(d.invertible(3, (2, 1)), d.x((4, 2, 3)), upper=upper, left=False)


def lu_arguments(d, *, first):
    a = d.invertible(4).astype(complex if d.dtype in COMPLEX else float)
    lu = np.tril(a, -1) / 8 + np.triu(a)
    lu = lu.astype(d.x(()).dtype)
    pivots = np.array([2, 2, 4, 4], np.int32)
    b = d.x((4, 3))
    if first:
        yield d(b, lu, pivots)
        return
    yield d(lu, pivots, b)
    yield d(lu, pivots, b, adjoint=True)
    yield d(lu, pivots, d.x((2, 4)), left=False)


def ldl_arguments(d, plain=(), other=None):
    """Zeros on the diagonal make blocks of two rows; what is above the diagonal does not count."""
    for a in (d.x((5, 5)), d.x((2, 4, 4)) * (1 - np.eye(4, dtype="f4")), d.x((0, 0))):
        yield d(a.astype(d.x(()).dtype), *plain)
        yield (
            d(a.astype(d.x(()).dtype), *other)
            if other
            else d(a.astype(d.x(()).dtype), hermitian=True)
        )


def ldl_solve_arguments(d, positional=False):
    for pivots, shape in (
        ([3, 2, 4, 4], (4, 3)),
        ([-3, -3, 4, 4], (2, 4, 3)),
        ([1, -4, -4, 4], (4, 1)),
    ):
        for hermitian in (False, True):
            a = d.invertible(4).astype(d.x(()).dtype)
            arguments = (a, np.array(pivots, np.int32), d.x(shape))
            yield d(*arguments, hermitian) if positional else d(*arguments, hermitian=hermitian)


SOLVE = {"factor": 40, "hypothesis": False}

CASES = {
    "linalg.inv": square(),
    "inverse": square(),
    "linalg.inv_ex": square(gradient=False),
    "lower_cholesky": positive(torch="linalg.cholesky", gradient=False),
    "linalg.cholesky": Case(
        lambda d: [d(d.spd(4)), d(d.spd(3, (2,)), upper=True)], ANY, gradient=False, **SOLVE
    ),
    "cholesky": positive((True,), gradient=False, torch=torch_linalg("cholesky", "upper")),
    "linalg.cholesky_ex": positive(gradient=False),
    "qr_factors": shapes((False,), torch=False, numpy=lambda a, _: tuple(np.linalg.qr(a))),
    "linalg.qr": shapes((), ("reduced",)),
    "qr": shapes((), torch="linalg.qr"),
    "svd_factors": shapes(
        (False,), torch="linalg.svd", output=product
    ),
    "linalg.svd": shapes((), (False,), output=product),
    "svd": shapes((), output=product_transposed),
    "linalg.svdvals": shapes(()),
    "eigh_factors": Case(
        lambda d: [d(x, "L") for x in known_spectrum(d)],
        WIDE,
        torch="linalg.eigh",
        output=eigen,
        gradient=False,
        **SOLVE,
    ),
    "linalg.eigh": Case(
        lambda d: [d(x) for x in known_spectrum(d)], WIDE, output=eigen, gradient=False, **SOLVE
    ),
    "linalg.eigvalsh": Case(
        lambda d: [d(x, u) for u in "LU" for x in known_spectrum(d)], WIDE, gradient=False, **SOLVE
    ),
    "eig_factors": Case(
        lambda d: [d(x) for x in known_spectrum(d)],
        ("f32",),
        torch="linalg.eig",
        output=lambda out: out[0].abs().sum(),
        gradient=False, wide=False,
        **SOLVE,
    ),
    "linalg.eig": Case(
        lambda d: [d(x) for x in known_spectrum(d)],
        ("f32",),
        output=lambda out: (out[1] * out[0].unsqueeze(-2)) @ out[1].mT.conj(),
        gradient=False, wide=False,
        layouts=False,
        **SOLVE,
    ),
    "linalg.eigvals": Case(
        lambda d: [d(x) for x in known_spectrum(d)],
        ("f32",),
        output=lambda out: out.abs().sum(),
        gradient=False, wide=False,
        **SOLVE,
    ),
    "linalg.det": square(WIDE),
    "det": square(WIDE),
    "slogdet_parts": square(WIDE, torch="linalg.slogdet"),
    "linalg.slogdet": square(WIDE),
    "slogdet": square(WIDE),
    "logdet": positive(dtypes=WIDE),
    "pseudo_inverse": shapes(
        (None, 1e-6, False), torch=torch_linalg("pinv", "atol", "rtol", "hermitian")
    ),
    "linalg.pinv": shapes(()),
    "pinverse": shapes(()),
    "linalg.matrix_rank": shapes((), gradient=False),
    "linalg.cond": square(WIDE),
    "solve_matrices": Case(
        lambda d: [d(d.invertible(4), d.x((4, 2)))], ANY, torch="linalg.solve", **SOLVE
    ),
    "linalg.solve": Case(systems, ANY, **SOLVE),
    "linalg.solve_ex": Case(systems, WIDE, **SOLVE),
    "linalg.tensorsolve": Case(
        lambda d: [d(d.invertible(6).reshape(2, 3, 6), d.x((2, 3)))], WIDE, **SOLVE
    ),
    "linalg.tensorinv": Case(
        lambda d: [d(d.invertible(6).reshape(2, 3, 6)), d(d.invertible(6).reshape(6, 3, 2), 1)],
        WIDE,
        **SOLVE,
    ),
    "solve_triangles": Case(
        lambda d: [d(d.invertible(4), d.x((4, 2)), u, False) for u in (True, False)],
        ANY,
        torch=torch_linalg("solve_triangular", "B", "upper", "unitriangular"),
        **SOLVE,
    ),
    "linalg.solve_triangular": Case(triangular, ANY, **SOLVE),
    "triangular_solve": Case(
        lambda d: [d(d.x((4, 2)), d.invertible(4), *how) for how in HOW],
        WIDE,
        torch=old_triangular_solve,
        **SOLVE,
    ),
    "cholesky_solve": Case(
        lambda d: [d(d.x((4, 2)), d.invertible(4), u) for u in (True, False)],
        WIDE,
        torch="cholesky_solve",
        **SOLVE | {"gradient": False},  # of the other triangle, too: test_numbers
    ),
    "cholesky_inverse": Case(
        lambda d: [d(d.invertible(4), u) for u in (True, False)],
        WIDE,
        torch="cholesky_inverse",
        **SOLVE | {"gradient": False},  # of the other triangle, too: test_numbers
    ),
    "lu_rows": shapes(
        (True,), torch=torch_linalg("lu_factor", "pivot"),
        output=lambda out: out[:1],
    ),
    "linalg.lu_factor": shapes(()),
    "linalg.lu_factor_ex": shapes(()),
    "linalg.lu": shapes(()),
    **dict.fromkeys(
        ("linalg.ldl_factor", "linalg.ldl_factor_ex"),
        Case(ldl_arguments, ANY, gradient=False, **SOLVE),
    ),
    "ldl_parts": Case(
        lambda d: ldl_arguments(d, (False,), (True,)), ANY, gradient=False,
        torch=torch_linalg("ldl_factor_ex", "hermitian"),
        **SOLVE,
    ),
    "linalg.ldl_solve": Case(ldl_solve_arguments, ANY, gradient=False, **SOLVE),
    "ldl_solutions": Case(
        lambda d: ldl_solve_arguments(d, positional=True), ANY, gradient=False,
        torch=torch_linalg("ldl_solve", "pivots", "B", "hermitian"), **SOLVE,
    ),
    "lu_unpack": Case(
        lambda d: [d(d.invertible(4), np.array([2, 2, 4, 4], np.int32))], WIDE, **SOLVE
    ),
    "linalg.lu_solve": Case(lambda d: lu_arguments(d, first=False), WIDE, **SOLVE),
    "lu_solve": Case(
        lambda d: lu_arguments(d, first=True),
        WIDE,
        torch=lambda b, lu, p: torch_linalg("lu_solve")(lu, p, b),
        **SOLVE,
    ),
    "least_squares": Case(
        lambda d: [d(d.x((5, 3)), d.x((5, 2)), 1e-6)],
        WIDE,
        torch="linalg.lstsq",
        output=lambda out: out[0],
        **SOLVE,
    ),
    "linalg.lstsq": Case(
        lambda d: [d(d.x((5, 3)), d.x((5, 2))), d(d.x((2, 4, 3)), d.x((2, 4)))],
        WIDE,
        output=lambda out: out[0],
        **SOLVE,
    ),
    "linalg.householder_product": Case(
        lambda d: [d(d.x((4, 3)), d.x((2,))), d(d.x((2, 3, 3)), d.x((2, 3)))], WIDE, **SOLVE
    ),
    "geqrf": Case(lambda d: [d(d.x((4, 3))), d(d.x((2, 2, 3)))], WIDE, gradient=False, **SOLVE),
    "qr_reflectors": Case(
        lambda d: [d(d.x((4, 3)))], WIDE, gradient=False, torch="geqrf", **SOLVE
    ),
    "ormqr": Case(
        lambda d: [
            d(d.x((4, 3)), d.x((3,)), d.x((4, 2))),
            d(d.x((2, 3, 3)), d.x((2, 3)), d.x((2, 2, 3)), False),
            d(d.x((4, 3)), d.x((3,)), d.x((4, 2)), True, True),
        ],
        WIDE,
        **SOLVE,
    ),
    "orgqr": Case(lambda d: [d(d.x((4, 3)), d.x((2,)))], WIDE, **SOLVE),
}  # fmt: skip
