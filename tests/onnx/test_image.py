"""Operators of images: sampling, columns, blocks of pixels and files, by onnx's evaluator."""

import io
import itertools

import numpy as np
import pytest

from tallow.errors import TallowError

pytestmark = pytest.mark.needs_formats

X = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype("float32")
GRID = np.random.default_rng(1).uniform(-1.6, 1.6, (2, 3, 6, 2)).astype("float32")


def ints(*values, dtype="int64"):
    return np.array(values, dtype)


def grid_for(x, *lengths, seed=2):
    """Points inside and outside of a tensor, seldom halfway between two elements."""
    n = x.ndim - 2
    rng = np.random.default_rng(seed)
    return rng.uniform(-1.5, 1.5, (x.shape[0], *lengths, n)).astype("float32")


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_grid_sample(mode, padding):
    from one_node import check

    rng = np.random.default_rng(3)
    for corners in (0, 1):
        given = {"mode": mode, "padding_mode": padding, "align_corners": corners}
        for opset in (20, 22):
            check("GridSample", [X, GRID], given, opset, tolerance=1e-4)
        for shape, lengths in (((1, 2, 6), (9,)), ((2, 2, 3, 4, 5), (2, 3, 4))):
            x = rng.standard_normal(shape).astype("float32")
            check("GridSample", [x, grid_for(x, *lengths)], given, 20, tolerance=1e-4)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample_has_other_names_before_opset_20(mode):
    from one_node import equal, expected, run

    for padding, corners in itertools.product(("zeros", "border", "reflection"), (0, 1)):
        given = {"padding_mode": padding, "align_corners": corners}
        way = given | {"mode": mode.removeprefix("bi")}
        want = expected("GridSample", [X, GRID], way, 20)[0]
        equal(run("GridSample", [X, GRID], given | {"mode": mode}, 16)[0], want, 1e-4)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_grid_sample_dtypes(dtype):
    import ml_dtypes

    from one_node import check

    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    wide = 1e-5 if dtype == "float64" else 5e-2
    check("GridSample", [X.astype(kind), GRID], {}, 22, tolerance=wide)
    check("GridSample", [X.astype(kind), GRID], {"mode": "nearest"}, 22)


def test_grid_sample_takes_points_that_are_no_numbers():
    from one_node import run

    grid = np.array([[[[np.nan, 0], [np.inf, 0], [0, -np.inf], [1e30, 1e30]]]], "float32")
    for mode, padding in itertools.product(
        ("linear", "nearest", "cubic"), ("zeros", "border", "reflection")
    ):
        found = run("GridSample", [X[:1], grid], {"mode": mode, "padding_mode": padding}, 20)[0]
        assert found.shape == (1, 3, 1, 4)
        assert np.isfinite(found).all()


@pytest.mark.parametrize("corners", [0, 1])
def test_affine_grid(corners):
    from one_node import check

    rng = np.random.default_rng(4)
    for theta, size in (((2, 2, 3), (2, 3, 4, 5)), ((1, 3, 4), (1, 2, 3, 4, 5))):
        x = rng.standard_normal(theta).astype("float32")
        check("AffineGrid", [x, ints(*size)], {"align_corners": corners}, 20)


COLUMNS = {
    "plain": ((5, 6), (2, 3), {}),
    "strides": ((5, 7), (2, 3), {"strides": [1, 2]}),
    "pads": ((5, 6), (3, 3), {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
    "dilations": ((7, 8), (2, 3), {"dilations": [2, 3]}),
    "three axes": ((3, 4, 5), (2, 2, 3), {"pads": [0, 1, 0, 1, 0, 0], "strides": [1, 2, 1]}),
    "one axis": ((9,), (3,), {"strides": [2]}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
@pytest.mark.parametrize("name", COLUMNS)
def test_col2im(name, dtype):
    from one_node import check

    image, block, given = COLUMNS[name]
    n = len(image)
    pads, by = given.get("pads", [0] * 2 * n), given.get("strides", [1] * n)
    apart = given.get("dilations", [1] * n)
    count = 1
    for i in range(n):
        wide = image[i] + pads[i] + pads[n + i]
        count *= (wide - apart[i] * (block[i] - 1) - 1) // by[i] + 1
    x = np.random.default_rng(5).integers(-9, 9, (2, 2 * int(np.prod(block)), count))
    check("Col2Im", [x.astype(dtype), ints(*image), ints(*block)], given, 18)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint64", "bool", "str"])
def test_blocks_of_pixels(dtype):
    from one_node import check

    x = np.arange(2 * 8 * 4 * 6).reshape(2, 8, 4, 6)
    x = x.astype(str).astype(object) if dtype == "str" else (x % 3).astype(dtype)
    for mode in ("DCR", "CRD"):
        check("DepthToSpace", [x], {"blocksize": 2, "mode": mode}, 13)
        check("SpaceToDepth", [x], {"blocksize": 2, "mode": mode}, 28)
    check("SpaceToDepth", [x], {"blocksize": 2}, 13)
    check("DepthToSpace", [x], {"blocksize": 2}, 9)


def stored(picture, form, **more):
    """A picture's file as bytes."""
    found = io.BytesIO()
    picture.save(found, form, **more)
    return np.frombuffer(found.getvalue(), "uint8")


@pytest.mark.parametrize("form", ["png", "bmp", "tiff", "ppm", "jpeg", "webp", "jpeg2000"])
def test_image_decoder(form):
    from PIL import Image

    from one_node import run

    pixels = np.random.default_rng(6).integers(0, 256, (5, 7, 3)).astype("uint8")
    raw = stored(Image.fromarray(pixels), form)
    want = np.array(Image.open(io.BytesIO(raw.tobytes())).convert("RGB"))
    found = {way: run("ImageDecoder", [raw], {"pixel_format": way}, 20)[0] for way in WAYS}
    assert np.array_equal(found["RGB"], want)
    assert np.array_equal(found["BGR"], want[:, :, ::-1])
    assert found["Grayscale"].shape == (5, 7, 1)


def test_an_image_of_too_many_pixels_is_refused(monkeypatch):
    from PIL import Image

    from one_node import run

    monkeypatch.setattr("tallow.vision.images.MAX_PIXELS", 30)
    raw = stored(Image.new("RGB", (7, 5)), "png")
    with pytest.raises(TallowError, match="at most 30 pixels"):
        run("ImageDecoder", [raw], {"pixel_format": "RGB"}, 20)


WAYS = ("RGB", "BGR", "Grayscale")


def test_what_is_no_image_has_no_pixels():
    from PIL import Image

    from one_node import run

    raw = stored(Image.new("RGB", (9, 9)), "png")
    for data in (raw[:40], raw[:0], ints(1, 2, 3, dtype="uint8")):
        assert run("ImageDecoder", [data], {}, 20)[0].shape == (0, 0, 3)
        assert run("ImageDecoder", [data], {"pixel_format": "Grayscale"}, 20)[0].shape == (0, 0, 1)
    palette = Image.new("P", (2, 2), 3)
    palette.putpalette([*range(12)])
    assert run("ImageDecoder", [stored(palette, "png")], {}, 20)[0][0, 0].tolist() == [9, 10, 11]


BAD = {
    "grid mode": ("GridSample", [X, GRID], {"mode": "bilinear"}),
    "grid padding": ("GridSample", [X, GRID], {"padding_mode": "wrap"}),
    "grid batch": ("GridSample", [X, GRID[:1]], {}),
    "grid axes": ("GridSample", [X, GRID[..., :1]], {}),
    "grid empty": ("GridSample", [X[:, :, :0], GRID], {}),
    "affine": ("AffineGrid", [X[0, :2, :3], ints(1, 1, 2, 2)], {}),
    "affine size": ("AffineGrid", [np.zeros((1, 2, 3), "float32"), ints(1, 1, 0, 2)], {}),
    "columns": ("Col2Im", [X[0], ints(4, 4), ints(2, 2)], {}),
    "columns low": ("Col2Im", [X[0], ints(4, 4), ints(2, 0)], {}),
    "columns pads": ("Col2Im", [X[0], ints(4, 4), ints(1, 1)], {"pads": [1, 1]}),
    "depth": ("DepthToSpace", [X], {"blocksize": 2}),
    "depth low": ("DepthToSpace", [X], {"blocksize": 0}),
    "space": ("SpaceToDepth", [X], {"blocksize": 2}),
    "depth mode": ("DepthToSpace", [X], {"blocksize": 1, "mode": "RCD"}),
    "decoder": ("ImageDecoder", [ints(1, dtype="uint8")], {"pixel_format": "YUV"}),
    "decoder axes": ("ImageDecoder", [ints([1], dtype="uint8")], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_refuses(name):
    from one_node import run

    op_type, inputs, attributes = BAD[name]
    with pytest.raises(TallowError, match=op_type):
        run(op_type, inputs, attributes, 20)
