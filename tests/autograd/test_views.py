"""What slices and strided views are differentiated by, against loops over their positions."""

import numpy as np
import pytest

import tallow as tl
from tallow.autograd.views import clear_strided, put_strided, take_strided, unslice

PLACES = [  # shape, sizes and strides of a view of it, its offset
    ((4, 5), (2, 3), (10, 1), 1),
    ((5,), (2, 3), (1, 1), 0),  # elements twice
    ((3, 4), (2, 2), (4, 1), 5),
    ((3, 4), (2, 3), (0, 1), 2),
    ((3, 4), (0, 2), (4, 1), 0),
]


def positions(sizes, strides, offset):
    return [
        (at, offset + sum(i * n for i, n in zip(at, strides, strict=True)))
        for at in np.ndindex(*sizes)
    ]


@pytest.mark.parametrize("dtype", ["f32", "f64", "f16"])
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_strided_places(place, dtype):
    shape, sizes, strides, offset = place
    x = np.arange(1, np.prod(shape) + 1).reshape(shape)
    g = np.arange(1, np.prod(sizes) + 1).reshape(sizes)
    put, taken, rest = np.zeros(x.size), np.zeros(sizes), x.astype(float).ravel()
    for at, i in positions(sizes, strides, offset):
        put[i] += g[at]
        taken[at] = x.ravel()[i]
        rest[i] = 0
    made = put_strided(tl.tensor(g, dtype), shape, sizes, strides, offset)
    assert made.dtype.name == dtype
    assert made.tolist() == put.reshape(shape).tolist()
    given = tl.tensor(x, dtype)
    assert take_strided(given, sizes, strides, offset).tolist() == taken.tolist()
    assert clear_strided(given, sizes, strides, offset).tolist() == rest.reshape(shape).tolist()
    assert given.tolist() == x.tolist()


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("function", [put_strided, take_strided, clear_strided])
def test_they_are_differentiated_twice(function, place):
    shape, sizes = place[:2]
    put = function is put_strided
    x = tl.randn(*(sizes if put else shape), dtype=tl.f64, requires_grad=True)
    place = (shape, *place[1:]) if put else place[1:]
    assert tl.autograd.gradcheck(lambda x: function(x, *place), (x,))
    assert tl.autograd.gradgradcheck(lambda x: function(x, *place) ** 3, (x,))


@pytest.mark.parametrize("key", [1, (slice(1, 3), slice(None, None, 2)), (..., 0), None])
def test_slices(key):
    x = np.arange(20.0).reshape(4, 5)
    wanted = np.zeros_like(x)
    wanted[key] = x[key]
    assert unslice(tl.tensor(x[key]), (4, 5), key).tolist() == wanted.tolist()
    given = tl.tensor(x[key], dtype=tl.f64, requires_grad=True)
    assert tl.autograd.gradgradcheck(lambda g: unslice(g, (4, 5), key) ** 3, (given,))
