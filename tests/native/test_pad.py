"""The kernels that move words: pad in all modes, roll, flip and triangle, beside numpy."""

import numpy as np
import pytest

import tallow as tl

MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
DTYPES = ["u8", "f16", "f32", "i64", "complex64", "bool"]
F = tl.nn.functional


def drawn(shape, dtype):
    rng = np.random.default_rng(len(shape))
    flat = tl.from_numpy(rng.integers(0, 100, shape))
    return flat.to("bool" if dtype == "bool" else dtype)


def layouts(x):
    """The same elements row-major, with axes swapped in memory, and backwards."""
    yield x
    yield x.transpose(0, -1).contiguous().transpose(0, -1)
    yield x[::-1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "pads", [(1, 2), (0, 3), (2, 1, 1, 0), (0, 0, 2, 2), (3, 3, 0, 0)], ids=str
)
def test_modes_are_numpys(mode, pads, dtype):
    x = drawn((3, *(5, 6)[-(len(pads) // 2) :]), dtype)
    widths = [(0, 0)] * (x.ndim - len(pads) // 2)
    widths += [pads[i : i + 2] for i in range(len(pads) - 2, -1, -2)]
    for y in layouts(x):
        found = F.pad(y, pads, mode=mode)
        np.testing.assert_array_equal(found.numpy(), np.pad(y.numpy(), widths, mode=MODES[mode]))
        assert found.is_contiguous()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [0, 1, 7.0])
@pytest.mark.parametrize(
    "pads",
    [(1, 2), (0, 0, 0, 0, 2, 1), (1, 0, 0, 2, 3, 0), (-1, 2, 0, -2), (5, -3), (-9, 9)],
    ids=str,
)
def test_a_frame_of_a_value(pads, value, dtype):
    x = drawn((2, 3, 4), dtype)
    for y in layouts(x):
        found, wanted = F.pad(y, pads, value=value), y.numpy()
        for i in range(0, len(pads), 2):
            axis, (before, after) = 2 - i // 2, pads[i : i + 2]
            n = wanted.shape[axis]
            size = [n + before + after if k == axis else m for k, m in enumerate(wanted.shape)]
            framed = np.full(size, value, wanted.dtype)
            for at in range(size[axis]):
                if 0 <= at - before < n:
                    key = (slice(None),) * axis
                    framed[(*key, at)] = wanted[(*key, at - before)]
            wanted = framed
        np.testing.assert_array_equal(found.numpy(), wanted)


def test_zero_may_be_negative():
    assert np.signbit(F.pad(tl.ones(1), (1, 0), value=-0.0).numpy()[0])
    assert not np.signbit(F.pad(tl.ones(1), (1, 0), value=0.0).numpy()[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shifts", "dims"),
    [(3, None), (-1, 0), (2**40 + 1, 1), ((1, -2), (0, 2)), ((1, 1, 1), (0, 1, 0)), (0, 1)],
    ids=str,
)
def test_roll_is_numpys(shifts, dims, dtype):
    for y in layouts(drawn((3, 4, 5), dtype)):
        np.testing.assert_array_equal(
            y.roll(shifts, dims).numpy(), np.roll(y.numpy(), shifts, dims)
        )


@pytest.mark.parametrize("dims", [(), (0,), (-1,), (0, 2), (1,)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_flip_is_numpys(dims, dtype):
    for y in layouts(drawn((3, 4, 5), dtype)):
        np.testing.assert_array_equal(y.flip(dims).numpy(), np.flip(y.numpy(), dims))


@pytest.mark.parametrize("diagonal", [-9, -1, 0, 2, 9])
def test_triangles_are_numpys(diagonal):
    for y in layouts(drawn((3, 4, 5), "i64")):
        np.testing.assert_array_equal(y.tril(diagonal).numpy(), np.tril(y.numpy(), diagonal))
        np.testing.assert_array_equal(y.triu(diagonal).numpy(), np.triu(y.numpy(), diagonal))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0,)], ids=str)
def test_of_nothing(shape):
    x = tl.ones(shape)
    assert x.roll(2, 0).shape == x.flip(0).shape == x.shape
    assert F.pad(x, (1, 2), value=3).sum() == 3 * np.prod([*shape[:-1], shape[-1] + 3])


def test_many_lines_are_cut_among_threads():
    x = drawn((1, 40, 300, 70), "f32")
    wanted = np.pad(x.numpy(), ((0, 0), (0, 0), (3, 2), (1, 4)), mode="reflect")
    np.testing.assert_array_equal(F.pad(x, (1, 4, 3, 2), mode="reflect").numpy(), wanted)
    np.testing.assert_array_equal(
        x.roll((7, -3), (1, 3)).numpy(), np.roll(x.numpy(), (7, -3), (1, 3))
    )


# --- bf16 -----------------------------------------------------------------------------------------


def bits_of_bf16(x):
    """Round to nearest, ties to even; NaN keeps its upper bits and becomes quiet."""
    bits = x.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    nan = (bits & 0x7FFFFFFF) > 0x7F800000
    return np.where(nan, bits >> 16 | 0x40, rounded).astype(np.uint16)


@pytest.mark.parametrize("n", [1, 7, 8, 15, 16, 17, 33, 1000])
def test_rounding_to_bf16_bit_by_bit(n):
    rng = np.random.default_rng(n)
    words = rng.integers(0, 2**32, (40, n), dtype=np.uint32)
    words[1::3, ::5] = rng.choice(
        [0x7F800000, 0xFF800000, 0x7F800001, 0xFFFFFFFF], words[1::3, ::5].shape
    )
    words[2::3] &= 0xFF7FFFFF  # no NaN: the whole vectors go together
    for row in words.view(np.float32):
        found = tl.from_numpy(row.copy()).to("bf16").view(tl.int16).numpy().view(np.uint16)
        np.testing.assert_array_equal(found, bits_of_bf16(row))


@pytest.mark.parametrize("name", ["sum", "amax", "amin", "prod", "mean"])
@pytest.mark.parametrize(
    "shape", [(3, 5), (4, 16), (7, 33), (300, 47), (1000, 64), (13, 4100)], ids=str
)
def test_columns_of_bf16(name, shape):
    rng = np.random.default_rng(1)
    x = tl.from_numpy(rng.uniform(0.9, 1.1, shape).astype(np.float32)).to("bf16")
    found = getattr(x, name)(0).to("f64").numpy()
    wanted = getattr(x.to("f64"), name)(0).to("bf16").to("f64").numpy()
    np.testing.assert_allclose(found, wanted, rtol=2**-7)
    for column in (0, 1, shape[1] - 1):
        np.testing.assert_allclose(
            found[column], getattr(x[:, column].to("f64"), name)().numpy(), rtol=2**-7
        )
