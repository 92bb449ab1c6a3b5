"""Cases of `tallow.ops.shape`, `tallow.ops.strided`: views (of the first models: cases_basics)."""

import numpy as np

from ops.table import ALL, COMPLEX, Case

ANY = (*ALL, *COMPLEX)


def each(*argument_lists, dtypes=ALL, shape=(4, 6), **more):
    """One sample per list of arguments behind a tensor of the shape."""
    return Case(
        lambda d: [d(d.x(shape), *arguments) for arguments in argument_lists], dtypes, **more
    )


def windows(x, dimension, size, step):
    view = np.lib.stride_tricks.sliding_window_view(x, size, dimension)
    keep = [slice(None)] * view.ndim
    keep[dimension % x.ndim] = slice(None, None, step)
    return view[tuple(keep)]


def strided(x, size, stride, shift, _strides=None):
    flat = np.ascontiguousarray(x).reshape(-1)[shift:]
    step = flat.itemsize
    return np.lib.stride_tricks.as_strided(flat, size, [s * step for s in stride])


CASES = {
    "reshape_as": Case(lambda d: [d(d.x((4, 6)), d.x((3, 8)))], ALL),
    "view_as": Case(lambda d: [d(d.x((4, 6)), d.x((3, 8)))], ALL, layouts=False),
    "ravel": Case(lambda d: [d(d.x(s)) for s in [(), (3,), (4, 6), (2, 0)]], ALL),
    "unflatten": each((1, (2, -1)), (-1, (3, 2)), (0, (4,)), layouts=False),
    "swapaxes": each((0, 1), (-1, -1)),
    "swapdims": each((0, 1), (-1, 0)),
    "t": Case(lambda d: [d(d.x(s)) for s in [(), (3,), (4, 6)]], ALL, hypothesis=False),
    "adjoint": Case(lambda d: [d(d.x(s)) for s in [(4, 6), (2, 3, 4)]], ANY, hypothesis=False),
    "movedim": each((0, 2), ((0, 1), (1, 0)), ((-1,), (0,)), shape=(2, 3, 4)),
    "moveaxis": each((0, 2), ((0, 1), (-1, 0)), shape=(2, 3, 4)),
    "expand_as": Case(lambda d: [d(d.x((4, 1)), d.x((3, 4, 6)))], ALL, hypothesis=False),
    "broadcast_to": Case(lambda d: [d(d.x((4, 1)), (3, 4, 6)), d(d.x(()), (2, 0))], ALL),
    "broadcast_tensors": Case(
        lambda d: [d(d.x((4, 1)), d.x((3, 1, 6))), d(d.x(()), d.x((2,)))], ALL, hypothesis=False
    ),
    "diagonal": Case(
        lambda d: [
            *(d(d.x((4, 6)), k) for k in (0, 1, -2, 6)),
            d(d.x((2, 3, 4)), 1, -1, 0),
            d(d.x((2, 3, 4)), dim1=-2, dim2=-1),
        ],
        ALL,
    ),
    "unfold": Case(
        lambda d: [d(d.x((4, 9)), 1, 3, 2), d(d.x((4, 9)), 1, 4, 1), d(d.x((7,)), -1, 7, 3)],
        ALL,
        torch="Tensor.unfold",
        numpy=windows,
    ),
    "as_strided": Case(
        lambda d: [
            d(d.x((4, 6)), (2, 3), (12, 2), 1),
            d(d.x((24,)), (5, 4), (4, 2)),
            d(d.x((3,)), (2, 2), (0, 1)),
        ],
        ALL,
        layouts=False,
        hypothesis=False,
    ),
    "strided_view": Case(
        lambda d: [
            d(d.x((4, 6)), (2, 3), (12, 2), 1, (6, 1)),
            d(d.x((8,)), (3, 4), (2, 1), 0, (1,)),
        ],
        ALL,
        torch=False,
        numpy=strided,
        layouts=False,
        hypothesis=False,
    ),
    "nn.view_dtype": each(
        ("i16",),
        ("u8",),
        dtypes=("i32",),
        torch=False,
        numpy=lambda x, dtype: x.view({"i16": np.int16, "u8": np.uint8}[dtype]),
        layouts=False,
        hypothesis=False,
    ),
    "split_with_sizes": each(([1, 3], 0), ([2, 0, 4], -1)),
    "chunk": each((3,), (4, 1), (2, -1), (7, 0)),
    "tensor_split": each((3,), (4, 1), ([1, 3], 1), ([3, 1, 9], 0), ((2,), -1)),
    "hsplit": Case(lambda d: [d(d.x((4, 6)), 3), d(d.x((6,)), [2, 5])], ALL),
    "vsplit": each((2,), ([1, 3],)),
    "dsplit": each((2,), ([1, 3],), shape=(2, 3, 4)),
    "squeeze_": each((), (1,), (-1,), ((1, 3),), shape=(3, 1, 4, 1), gradient=False),
    "unsqueeze_": each((0,), (-1,), (2,), gradient=False),
    "transpose_": each((0, 1), (-1, 0), shape=(2, 3, 4), gradient=False),
    "swapaxes_": each((0, 1), (-1, 0), shape=(2, 3, 4), gradient=False),
    "swapdims_": each((0, 1), (-1, 0), shape=(2, 3, 4), gradient=False),
    "t_": each((), gradient=False),
    "as_strided_": each(
        ((2, 3), (12, 2), 1), ((5, 4), (4, 1)), layouts=False, hypothesis=False, gradient=False
    ),
}
