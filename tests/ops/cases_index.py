"""Cases of the ops in tallow.ops.index, mask, scatter and index_axis."""

import numpy as np

from ops.table import ALL, COMPLEX, FLOATS, NUMBERS, Case

EVERY = (*ALL, *COMPLEX)


def gathers(d):
    return [
        d(d.x((4, 5)), 1, d.ints((4, 2), 0, 5)),
        d(d.x((4, 5)), -2, d.ints((3, 5), 0, 4)),
        d(d.x((2, 3, 4)), 1, d.ints((2, 7, 4), 0, 3)),
        d(d.x((3, 4)), 0, d.ints((0, 4), 0, 3)),
        d(d.x(()), 0, d.ints((), 0, 1)),
    ]


def scatters(d):
    return [
        d(d.x((4, 5)), 1, np.argsort(d.rng.random((4, 5)), 1)[:, :3].astype("i8"), d.x((4, 3))),
        d(d.x((4, 5)), 0, np.argsort(d.rng.random((4, 5)), 0)[:2].astype("i8"), d.x((2, 5))),
        d(d.x((3,)), 0, d.ints((0,), 0, 3), d.x((0,))),
    ]


def adds(d):
    return [
        d(d.x((4, 5)), 1, d.ints((4, 7), 0, 5), d.x((4, 7))),
        d(d.x((4, 5)), -2, d.ints((6, 3), 0, 4), d.x((6, 3))),
        d(d.x((2, 3, 4)), 1, d.ints((2, 7, 4), 0, 3), d.x((2, 7, 4))),
        d(d.x(()), 0, d.ints((), 0, 1), d.x(())),
    ]


def reduces(d):
    return [
        d(d.x((4, 5)), 1, d.ints((4, 7), 0, 5), d.nonzero((4, 7)), how, include_self=own)
        for how in ("sum", "prod", "mean", "amax", "amin")
        for own in (True, False)
    ]


def along(d):
    return [
        d(d.x((4, 5)), 1, d.ints((3,), 0, 5), d.x((4, 3))),
        d(d.x((4, 5)), 0, d.ints((6,), 0, 4), d.x((6, 5))),
        d(d.x((2, 3, 4)), -2, d.ints((2,), 0, 3), d.x((2, 2, 4))),
    ]


def combined(x, dim, index, src, mode):
    return x.scatter_reduce(dim, index, src, {2: "prod", 3: "amax", 4: "amin"}[mode])


COMBINES = Case(
    lambda d: [
        d(d.distinct((4, 5)), 1, d.ints((4, 7), 0, 5), d.distinct((4, 7), 0.3) + 1, mode)
        for mode in (2, 3, 4)
    ],
    dtypes=("f32", "f64", "i32", "i64"),
    torch=combined,
)


def key_of(indices, axis):
    rows = tuple(indices) if indices.ndim == 2 else (indices,)
    return (*[slice(None)] * axis, *rows)


def taken(x, indices, axis=0):
    return x[key_of(indices, axis)]


def placed(x, indices, values, accumulate=False, axis=0):
    x = x.clone()
    if not accumulate:
        x[key_of(indices, axis)] = values
        return x
    k = indices.shape[0] if indices.ndim == 2 else 1
    front = x.movedim(tuple(range(axis, axis + k)), tuple(range(k)))
    out = front.index_put(key_of(indices, 0), values.movedim(axis, 0), accumulate)
    return out.movedim(tuple(range(k)), tuple(range(axis, axis + k)))


def counts_of(mask):
    return np.array([0, mask.sum()] if mask.size else [0])


def masks(d):
    return [(mask, counts_of(mask)) for mask in (d.bools((4, 5)), d.bools((0, 3)), d.bools(()))]


def embedding_grad(g, ids, num_rows, padding_idx=None):
    out = np.zeros((num_rows, g.shape[-1]), g.dtype)
    for row, at in zip(g.reshape(-1, g.shape[-1]), ids.reshape(-1), strict=True):
        if padding_idx is None or at != padding_idx:
            out[at] += row
    return out


def boxes(d, images, count):
    """Boxes of which many overlap, with corners in their order."""
    first, size = d.x((images, count, 2), 0, 4), d.x((images, count, 2), 0.5, 3)
    return np.concatenate([first, first + size], 2)


def suppressed(boxes, scores, most, overlap, least=-np.inf):
    """Greedy non-maximum suppression, box by box."""
    found = np.full((*scores.shape[:2], most), -1)
    for image, kind in np.ndindex(*scores.shape[:2]):
        kept = []
        for at in np.argsort(-scores[image, kind], kind="stable"):
            low = np.maximum(boxes[image, kept, :2], boxes[image, at, :2])
            high = np.minimum(boxes[image, kept, 2:], boxes[image, at, 2:])
            both = (high - low).clip(0).prod(-1)
            areas = (boxes[image, :, 2:] - boxes[image, :, :2]).prod(-1)
            ratio = both / (areas[kept] + areas[at] - both)
            if scores[image, kind, at] > least and not (ratio > overlap).any() and len(kept) < most:
                kept.append(at)
        found[image, kind, : len(kept)] = kept
    return found


CASES = {
    "gather": Case(gathers, dtypes=EVERY),
    "scatter": Case(
        lambda d: [*scatters(d), d(d.x((4, 5)), 1, d.ints((4, 3), 0, 5), 1)], dtypes=EVERY
    ),
    "scatter_values": Case(scatters, dtypes=EVERY, torch="scatter"),
    "scatter_add": Case(adds, dtypes=EVERY),
    **dict.fromkeys(("scatter_combine", "nn.scatter_combine"), COMBINES),
    "scatter_reduce": Case(reduces, dtypes=("f32", "f64", "bf16", "i32", "i64"), factor=4),
    "index_select": Case(
        lambda d: [
            d(d.x((4, 5)), 1, d.ints((7,), 0, 5)),
            d(d.x((4, 5)), -2, d.ints((2,), 0, 4)),
            d(d.x((2, 3, 4)), 1, d.ints((0,), 0, 3)),
            d(d.x(()), 0, d.ints((1,), 0, 1)),
        ],
        dtypes=EVERY,
    ),
    "index_add": Case(
        lambda d: [*along(d), d(d.x((4, 2)), 0, d.ints((3,), 0, 4), d.x((3, 2)), alpha=2)],
        dtypes=NUMBERS,
    ),
    "index_copy": Case(
        lambda d: [
            d(d.x((4, 5)), 1, d.permutation(5)[:3], d.x((4, 3))),
            d(d.x((2, 3, 4)), -2, d.permutation(3), d.x((2, 3, 4))),
        ],
        dtypes=EVERY,
    ),
    "index_fill": Case(
        lambda d: [
            d(d.x((4, 5)), 1, d.ints((3,), 0, 5), 1),
            d(d.x((4, 5)), 0, d.ints((2,), 0, 4), d.x(())),
        ],
        dtypes=ALL,
    ),
    "index_reduce": Case(
        lambda d: [
            d(d.x((4, 5)), 1, d.ints((7,), 0, 5), d.nonzero((4, 7)), how, include_self=own)
            for how in ("prod", "mean", "amax", "amin")
            for own in (True, False)
        ],
        dtypes=("f32", "f64", "i32", "i64"),
        factor=4,
    ),
    "take_along_dim": Case(
        lambda d: [
            d(d.x((4, 5)), d.ints((4, 2), -5, 5), 1),
            d(d.x((1, 5)), d.ints((3, 2), 0, 5), 1),
            d(d.x((4, 5)), d.ints((6,), 0, 20)),
        ],
        dtypes=ALL,
    ),
    "take": Case(
        lambda d: [d(d.x((4, 5)), d.ints((2, 3), -20, 20)), d(d.x(()), d.ints((), 0, 1))],
        dtypes=EVERY,
    ),
    "put": Case(
        lambda d: [
            d(d.x((4, 5)), d.permutation(20)[:6].reshape(2, 3), d.x((2, 3))),
            d(d.x((4, 5)), d.ints((2, 3), -20, 20), d.x((6,)), True),
        ],
        dtypes=EVERY,
    ),
    "take_positions": Case(
        lambda d: [
            d(d.x((4, 5)), d.ints((2, 3), -4, 4)),
            d(d.x((4, 5, 2)), d.ints((1, 6), -4, 4)),
            d(d.x((2, 4, 3)), d.ints((6,), -4, 4), 1),
            d(d.x((2, 4, 5, 3)), d.ints((2, 6), -4, 4), 1),
        ],
        dtypes=EVERY,
        torch=taken,
    ),
    "put_positions": Case(
        lambda d: [
            d(d.x((4, 5)), d.permutation(4)[None, :3], d.x((3, 5))),
            d(d.x((4, 5)), d.ints((2, 6), -4, 4), d.x((6,)), True),
            d(d.x((4, 3, 2)), d.ints((1, 6), -4, 4), d.x((6, 3, 2)), True),
            d(d.x((2, 4, 3)), d.permutation(4)[:3], d.x((2, 3, 3)), axis=1),
            d(d.x((2, 4, 3)), d.ints((6,), -4, 4), d.x((2, 6, 3)), True, 1),
        ],
        dtypes=EVERY,
        torch=placed,
    ),
    "nn.index_put_": Case(  # its result is None: tests/ops/test_indexing.py looks at the target
        lambda d: [d(d.x((4, 5)), d.ints((2, 3), -4, 4), d.x((3,)), 0)],
        dtypes=EVERY,
        torch=False,
        gradient=False,
        hypothesis=False,
    ),
    "nn.mask_counts": Case(
        lambda d: [d(mask) for mask, _ in masks(d)],
        dtypes=("bool",),
        torch=False,
        numpy=counts_of,
        gradient=False,
        layouts=False,
        hypothesis=False,
    ),
    "nn.best_boxes": Case(
        lambda d: [
            d(boxes(d, 2, 9), d.x((2, 3, 9), 0, 1), 9, 0.3, 0.2),
            d(boxes(d, 1, 40), d.x((1, 2, 40), 0, 1), 5, 0.0),
            d(boxes(d, 1, 0), d.x((1, 2, 0)), 2, 0.5),
        ],
        dtypes=("f32",),
        torch=False,
        numpy=suppressed,
        gradient=False,
        hypothesis=False,
    ),
    "nn.nonzero": Case(
        lambda d: [d(*pair) for pair in masks(d)],
        dtypes=("bool",),
        torch=False,
        numpy=lambda mask, _counts: (
            np.array(np.nonzero(mask)) if mask.ndim else np.zeros((0, mask.sum()), int)
        ),
        gradient=False,
        layouts=False,
        hypothesis=False,
    ),
    "nn.masked_select": Case(
        lambda d: [d(d.x(pair[0].shape), *pair) for pair in masks(d)],
        dtypes=EVERY,
        torch=lambda x, mask, _counts: x.masked_select(mask),
        layouts=False,
        hypothesis=False,
    ),
    "index_put": Case(
        lambda d: [
            d(d.x((4, 5)), (d.permutation(4)[:3], d.ints((3,), 0, 5)), d.x((3,))),
            d(d.x((4, 5)), (d.bools((4, 5)),), d.x(())),
            d(d.x((4, 5, 2)), (d.ints((3, 1), 0, 4), d.ints((6,), 0, 5)), d.x((2,)), True),
        ],
        dtypes=ALL,
        hypothesis=False,
    ),
    "nonzero": Case(
        lambda d: [d(d.x((4, 5)) * d.bools((4, 5))), d(d.x((0, 3))), d(d.x((3,)), as_tuple=True)],
        dtypes=ALL,
        gradient=False,
    ),
    "argwhere": Case(
        lambda d: [d(d.x((4, 5)) * d.bools((4, 5))), d(d.x(()))], dtypes=ALL, gradient=False
    ),
    "masked_fill": Case(
        lambda d: [
            d(d.x((4, 5)), d.bools((4, 5)), 1),
            d(d.x((4, 1)), d.bools((5,)), d.x(())),
            d(d.x(()), d.bools(()), 0),
        ],
        dtypes=ALL,
    ),
    "masked_select": Case(
        lambda d: [
            d(d.x((4, 5)), d.bools((4, 5))),
            d(d.x((4, 1)), d.bools((5,))),
            d(d.x(()), np.array(True)),
        ],
        dtypes=EVERY,
    ),
    "masked_scatter": Case(
        lambda d: [
            d(d.x((4, 5)), d.bools((4, 5)), d.x((30,))),
            d(d.x((4, 5)), d.bools((5,)), d.x((4, 5))),
        ],
        dtypes=EVERY,
        hypothesis=False,
    ),
    "embedding_weight_grad": Case(
        lambda d: [
            d(d.x((7, 4)), d.ints((7,), 0, 5), 5),
            d(d.x((2, 3, 4)), d.ints((2, 3), 0, 5), 6, 2),
        ],
        torch=False,
        numpy=embedding_grad,
        hypothesis=False,
        dtypes=FLOATS,
    ),
}
