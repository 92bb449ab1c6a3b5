"""Cases of products, einsum and norms: `tallow.ops.linalg`, `einsum`, `linalg_norm`."""

import numpy as np

from ops.table import COMPLEX, FLOATS, NUMBERS, TORCH_INTEGERS, WIDE, Case

ANY = (*NUMBERS, *COMPLEX)


def products(*shapes, **more):
    """One sample of two or more tensors per tuple of shapes."""
    return Case(
        lambda d: [d(*(d.x(s) for s in group)) for group in shapes],
        ANY,
        hypothesis=False,
        **({"factor": 8} | more),
    )


def added(x, *factors):
    def draw(d):
        yield d(d.x(x), *(d.x(s) for s in factors))
        yield d(d.x(()), *(d.x(s) for s in factors), beta=2, alpha=3)
        yield d(d.x(x), *(d.x(s) for s in factors), beta=0)

    return Case(draw, (*NUMBERS,), factor=12, hypothesis=False)


EQUATIONS = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("bij,bjk->bki", (2, 3, 4), (2, 4, 5)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("...ij->...ji", (2, 3, 4)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)),
    ("i,j->ij", (3,), (4,)),
    ("ij,j,ik->k", (3, 4), (4,), (3, 2)),
    ("abc,cd,de->abe", (2, 3, 4), (4, 3), (3, 2)),
    ("bhid,bhjd->bhij", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("ij,ij->", (3, 4), (3, 4)),
    ("ij->", (3, 4)),
    ("ba", (3, 4)),
    ("ij,kj->ik", (3, 1), (2, 4)),
    (",i->i", (), (3,)),
    ("iij,jk->ik", (3, 3, 4), (4, 2)),
]


def vector_norms(d):
    for order in (2, 1, 3, 0.5, 0, -1, float("inf"), float("-inf")):
        yield d(d.x((3, 4), 0.5), order)
        yield d(d.x((3, 4), 0.5), order, 1, True)
    yield d(d.x((2, 3, 4)), 2, (0, -1))
    yield d(d.x((0, 3)), 2, 0)


def matrix_norms(d):
    for order in ("fro", "nuc", 1, -1, 2, -2, float("inf"), float("-inf")):
        yield d(d.x((3, 4)), order)
        yield d(d.x((2, 3, 4)), order, (2, 0), True)


def weights(d):
    yield d(d.x((3, 5)))
    yield d(d.x((6,)), correction=0)
    yield d(d.x((2, 4)), fweights=np.array([1, 2, 0, 3]))
    yield d(d.x((2, 4)), aweights=d.x((4,), 0.5, 2))


def chained(*shapes):
    return lambda d: [d([d.x(s) for s in group]) for group in shapes]


CASES = {
    "mm": products(((3, 4), (4, 5)), ((3, 0), (0, 5)), ((0, 2), (2, 3))),
    "bmm": products(((2, 3, 4), (2, 4, 5)), ((0, 3, 4), (0, 4, 5))),
    "mv": products(((3, 4), (4,))),
    "dot": products(((4,), (4,)), ((0,), (0,))),
    "vdot": products(((4,), (4,))),
    "inner": products(((4,), (4,)), ((2, 3), (4, 3)), ((), (2, 3))),
    "outer": products(((3,), (4,)), ((0,), (2,))),
    "ger": products(((3,), (4,))),
    "linalg.matmul": products(((2, 3, 4), (4, 5))),
    "addmm": added((3, 5), (3, 4), (4, 5)),
    "addmv": added((3,), (3, 4), (4,)),
    "addbmm": added((3, 5), (2, 3, 4), (2, 4, 5)),
    "baddbmm": added((3, 5), (2, 3, 4), (2, 4, 5)),
    "addr": added((3, 4), (3,), (4,)),
    "linalg.multi_dot": Case(
        chained([(3, 4), (4, 2), (2, 5)], [(3,), (3, 2), (2, 4), (4,)], [(2, 3), (3,)]),
        factor=40,
    ),
    "chain_matmul": Case(
        lambda d: [d(d.x((3, 4)), d.x((4, 2)), d.x((2, 5)))],
        torch=lambda *matrices: matrices[0] @ matrices[1] @ matrices[2],
        factor=40,
    ),
    "einsum": Case(
        lambda d: [d(equation, *(d.x(s) for s in shapes)) for equation, *shapes in EQUATIONS],
        (*FLOATS, *TORCH_INTEGERS),
        factor=40,
        hypothesis=False,
    ),
    "tensordot": Case(
        lambda d: [
            d(d.x((2, 3, 4)), d.x((3, 4, 5))),
            d(d.x((3, 4)), d.x((4, 3)), ([0, 1], [1, 0])),
            d(d.x((3,)), d.x((4,)), 0),
            d(d.x((2, 3)), d.x((4, 3)), ([-1], [-1])),
        ],
        NUMBERS,
        factor=20,
        hypothesis=False,
    ),
    "kron": Case(
        lambda d: [
            d(d.x((2, 3)), d.x((3, 2))),
            d(d.x((2,)), d.x((2, 1, 3))),
            d(d.x(()), d.x((3,))),
        ],
        NUMBERS,
        hypothesis=False,
    ),
    "p_norm": Case(
        lambda d: [d(d.x((3, 4), 0.5), p, (1,), k) for p in (1, 2, 3.0) for k in (True, False)],
        torch=lambda x, p, dims, keepdim: x.norm(p, dims, keepdim),
        factor=4,
    ),
    "linalg.vector_norm": Case(vector_norms, factor=8),
    "linalg.matrix_norm": Case(matrix_norms, WIDE, factor=8, hypothesis=False),
    "linalg.norm": Case(
        lambda d: [
            d(d.x((3, 4))),
            d(d.x((3, 4)), "nuc"),
            d(d.x((5,)), 3),
            d(d.x((2, 3, 4)), float("inf"), (0, 1)),
            d(d.x((3, 4)), dim=0, keepdim=True),
            d(d.x((3, 4)), keepdim=True),
        ],
        WIDE,
        factor=8,
        hypothesis=False,
    ),
    "norm": Case(
        lambda d: [d(d.x((3, 4))), d(d.x((3, 4)), 1, 0), d(d.x((3, 4)), 3.0, (0, 1), True)],
        factor=8,
    ),
    "dist": Case(lambda d: [d(d.x((3, 4)), d.x((4,)), p) for p in (2, 1, 3.0)], factor=8),
    "cdist": Case(
        lambda d: [
            *(d(d.x((3, 4)), d.x((5, 4)), p) for p in (2.0, 1.0, 3.0, float("inf"))),
            d(d.x((2, 1, 3, 4)), d.x((3, 5, 4))),
        ],
        WIDE,
        factor=8,
        hypothesis=False,
    ),
    "cross": Case(
        lambda d: [d(d.x((3, 4)), d.x((3, 4))), d(d.x((2, 3)), d.x((2, 3)), 1)],
        NUMBERS,
        torch=lambda a, b, dim=0: a.cross(b, dim),
    ),
    "renorm": Case(
        lambda d: [
            d(d.x((3, 4)), 2, 0, 1.0),
            d(d.x((2, 3, 4)), 1, 1, 2.5),
            d(d.x((3, 4)), 3, -1, 50.0),
        ],
        FLOATS,
        factor=8,
    ),
    "linalg.cross": Case(
        lambda d: [d(d.x((4, 3)), d.x((4, 3))), d(d.x((3, 2)), d.x((3, 1)), dim=0)], NUMBERS
    ),
    "linalg.vecdot": Case(
        lambda d: [d(d.x((3, 4)), d.x((3, 4))), d(d.x((3, 4)), d.x((3, 1)), dim=0)],
        (*FLOATS, *COMPLEX),
        factor=8,
    ),
    "linalg.diagonal": Case(lambda d: [d(d.x((2, 3, 4))), d(d.x((3, 4)), offset=1)], NUMBERS),
    "cov": Case(weights, WIDE, factor=8, hypothesis=False),
    "corrcoef": Case(lambda d: [d(d.x((3, 5))), d(d.x((5,)))], WIDE, factor=8),
    "matrix_exp": Case(
        lambda d: [d(d.x((3, 3))), d(d.x((2, 3, 3), -0.2, 0.2)), d(d.x((0, 0)))], WIDE, factor=40
    ),
    "linalg.matrix_exp": Case(lambda d: [d(d.x((3, 3), -1, 1))], WIDE, factor=8),
    "matrix_power": Case(
        lambda d: [d(d.invertible(3), n) for n in (0, 1, 2, 5, -1, -2)] + [d(d.x((2, 3, 3)), 3)],
        WIDE,
        factor=40,
    ),
    "linalg.matrix_power": Case(lambda d: [d(d.invertible(3), n) for n in (0, 3)], WIDE, factor=8),
}
