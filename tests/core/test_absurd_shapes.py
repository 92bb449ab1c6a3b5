"""Shapes whose elements, or bytes, 63 bits cannot count: one refusal, wherever they come from."""

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ShapeError

# With an axis of length 0 too: strides are products of the other lengths.
SHAPES = [
    (2**40, 2**40),
    (2**40, 2**40, 0),
    (0, 2**40, 2**40),
    (2**61,),
    (2**63 - 1,),
    (2**61, 2),
    (2, 2**61),
    (2**63,),
    (2**64, 0),
    (0, 2**64),
]
NEW = {
    "zeros": lambda shape, device: tl.zeros(shape, device=device),
    "ones": lambda shape, device: tl.ones(shape, device=device),
    "empty": lambda shape, device: tl.empty(shape, device=device),
    "full": lambda shape, device: tl.full(shape, 2.5, device=device),
    "rand": lambda shape, device: tl.rand(shape, device=device),
    "new_zeros": lambda shape, device: tl.ones(1, device=device).new_zeros(shape),
    "expand": lambda shape, device: tl.ones(1, device=device).expand(shape),
    "broadcast_to": lambda shape, device: tl.broadcast_to(tl.ones(1, device=device), shape),
    "as_strided": lambda shape, device: tl.ones(1, device=device).as_strided(
        shape, [0] * len(shape)
    ),
}
RESHAPED = {
    "reshape": lambda x, shape: x.reshape(shape),
    "view": lambda x, shape: x.view(shape),
}
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
each_device = pytest.mark.parametrize("device", ["cpu", "meta"])


@each_device
@each_shape
@pytest.mark.parametrize("make", NEW.values(), ids=NEW)
def test_new_tensors_and_views(make, shape, device):
    with pytest.raises(ShapeError, match=r"2\*\*63"):
        make(shape, device)


@each_device
@each_shape
@pytest.mark.parametrize("change", RESHAPED.values(), ids=RESHAPED)
def test_reshapes(change, shape, device):
    """Of one element, whose number differs, and of none, whose number is right."""
    with pytest.raises(ShapeError):
        change(tl.ones(1, device=device), shape)
    with pytest.raises(ShapeError, match=r"2\*\*63" if 0 in shape else None):
        change(tl.empty(0, device=device), shape)


@each_shape
def test_borrowed_memory(shape):
    with pytest.raises(ShapeError, match=r"2\*\*63"):
        tl.from_buffer(bytes(16), tl.f32, shape)


@each_device
def test_results_of_repeated_operands(device):
    tall = tl.ones(1, 1, device=device).expand(2**40, 1)
    many = tl.ones(1, dtype="u8", device=device).expand(2**61)
    for result in (
        lambda: tall + tall.T,
        lambda: tall @ tall.T,
        lambda: tl.where(tall > 0, tall, tall.T) if device == "meta" else tall * tall.T,
        lambda: many.to("f64"),
        lambda: tl.cat([many] * 4),
        lambda: tl.stack([many] * 4),
        lambda: tall.repeat(1, 2**40),
    ):
        with pytest.raises(ShapeError, match=r"2\*\*63"):
            result()


def test_no_more_bytes_than_can_be_counted():
    """A view of repeated elements once had -4 bytes."""
    for dtype, most in (("u8", 2**63 - 1), ("f32", 2**61 - 1), ("complex64", 2**60 - 1)):
        x = tl.ones(1, dtype=dtype).expand(most)
        assert x.nbytes == most * x.dtype.itemsize and x.numel() == most
        with pytest.raises(ShapeError, match=r"2\*\*63"):
            tl.ones(1, dtype=dtype).expand(most + 1)


def test_memory_of_others():
    def base(*shape):
        return np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), shape, (0,) * len(shape))

    assert tl.from_numpy(base(2**62)).shape == (2**62,)
    assert tl.from_dlpack(base(2**62)).shape == (2**62,)
    # numpy leaves out axes of no length when it looks at the size.
    assert tl.from_numpy(np.empty((0, 2**31, 2**31), np.uint8)).numel() == 0
