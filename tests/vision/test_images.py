"""load_image against Pillow's own conversion, and what is refused of files and arrays."""

import contextlib
import io
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

import tallow as tl
from tallow.errors import ArgumentError, DTypeError, FormatError, MissingFileError, ShapeError
from tallow.vision import load_image
from vision.cases import picture


def bytes_of(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def same(image, expected):
    assert image.mode == "RGB" == expected.mode
    np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


BASE = Image.fromarray(picture(12, 17))
ALPHA = BASE.convert("RGBA")
ALPHA.putalpha(Image.fromarray(picture(12, 17)[..., 1]))
PALETTE = BASE.quantize(16)

FILES = {
    "png": bytes_of(BASE),
    "grey": bytes_of(BASE.convert("L")),
    "1-bit": bytes_of(BASE.convert("1")),
    "LA": bytes_of(ALPHA.convert("LA")),
    "RGBA": bytes_of(ALPHA),
    "palette": bytes_of(PALETTE),
    "palette with transparency": bytes_of(PALETTE, transparency=3),
    "palette with many transparencies": bytes_of(PALETTE, transparency=bytes(range(0, 240, 15))),
    "grey with transparency": bytes_of(BASE.convert("L"), transparency=3),
    "16-bit": bytes_of(Image.fromarray(picture(12, 17).astype(np.uint16)[..., 0] * 257)),
    "jpeg": bytes_of(BASE, "JPEG"),
    "cmyk jpeg": bytes_of(BASE.convert("CMYK"), "JPEG"),
    "cmyk tiff": bytes_of(BASE.convert("CMYK"), "TIFF"),
    "lab tiff": bytes_of(BASE.convert("YCbCr"), "TIFF"),
    "float tiff": bytes_of(BASE.convert("F"), "TIFF"),
    "bmp": bytes_of(BASE, "BMP"),
    "ppm": bytes_of(BASE, "PPM"),
    "tga": bytes_of(BASE, "TGA"),
    "ico": bytes_of(BASE, "ICO"),
    "gif": bytes_of(PALETTE, "GIF"),
    "animated gif": bytes_of(
        PALETTE, "GIF", save_all=True, append_images=[Image.new("P", (17, 12))]
    ),
    "animated png": bytes_of(BASE, save_all=True, append_images=[Image.new("RGB", (17, 12))]),
    "pages of tiff": bytes_of(
        BASE, "TIFF", save_all=True, append_images=[Image.new("RGB", (3, 2))]
    ),
    "one pixel": bytes_of(Image.new("RGB", (1, 1), (1, 2, 3))),
    "30,000 pixels": bytes_of(Image.new("RGB", (30_000, 1), (1, 2, 3))),
}


@pytest.mark.parametrize("name", FILES)
def test_files_become_rgb_as_pillow_converts(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of palettes with transparencies
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(FILES[name]))).convert("RGB")
    path = tmp_path / "picture"
    path.write_bytes(FILES[name])
    same(load_image(path), expected)
    same(load_image(str(path)), expected)
    same(load_image(FILES[name]), expected)
    same(load_image(bytearray(FILES[name])), expected)
    same(load_image(io.BytesIO(FILES[name])), expected)
    with Image.open(path) as opened:
        same(load_image(opened), expected)
    with path.open("rb") as file:
        same(load_image(file), expected)
        assert not file.closed


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_turns(turn, form):
    exif = Image.Exif()
    exif[274] = turn
    options = {"quality": 100} if form == "JPEG" else {"lossless": True} if form == "WEBP" else {}
    data = bytes_of(BASE, form, exif=exif, **options)
    image = load_image(data)
    assert image.size == ((17, 12) if turn < 5 else (12, 17))
    same(image, ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def test_a_pipe_is_read():
    data = FILES["png"]

    class Pipe(io.RawIOBase):
        def read(self, size=-1):
            nonlocal data
            part, data = (data, b"") if size < 0 else (data[:size], data[size:])
            return part

    same(load_image(Pipe()), BASE)


def header(width, height):
    """A PNG that claims to be so large and holds nothing."""
    chunk = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    crc = zlib.crc32(chunk).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + chunk + crc + b"\0\0\0\0IEND\xaeB`\x82"


BROKEN = {
    "no bytes": (b"", "file: expected a picture, got no bytes"),
    "text": (b"hello, this is text", "format: expected one of PNG"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "format: expected one of"),
    "half a png": (FILES["png"][:200], "pixels: expected a whole picture"),
    "half a jpeg": (FILES["jpeg"][:400], "pixels: expected a whole picture"),
    "half a tiff": (FILES["cmyk tiff"][:60], "expected"),
    "half a gif": (FILES["gif"][:-40], "pixels: expected a whole picture"),
    "a bomb": (header(30_000, 30_000), "size: expected at most 178956970 pixels"),
    "no pixels": (header(0, 9), "expected"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_by_name(name, tmp_path):
    data, text = BROKEN[name]
    file = tmp_path / "broken.png"
    file.write_bytes(data)
    with pytest.raises(FormatError, match=rf"broken.png: .*{text}"):
        load_image(file)
    with pytest.raises(FormatError, match=text):
        load_image(data)


MUTATED = ["png", "jpeg", "gif", "cmyk tiff", "bmp", "palette", "ico", "tga", "ppm"]


@pytest.mark.parametrize("name", MUTATED)
def test_mutants_are_pictures_or_refused(name):
    rng = np.random.default_rng(len(name))
    for _ in range(150):
        data = bytearray(FILES[name])
        for place in rng.integers(0, len(data), rng.integers(1, 6)):
            data[place] = rng.integers(0, 256)
        data = data[: rng.integers(1, len(data) + 1)] if rng.random() < 0.3 else data
        with contextlib.suppress(FormatError):
            assert load_image(bytes(data)).mode == "RGB"


def test_pillow_images_of_broken_files():
    lazy = Image.open(io.BytesIO(FILES["png"][:200]))
    with pytest.raises(FormatError, match="image: pixels: expected a whole picture"):
        load_image(lazy)
    with pytest.raises(FormatError, match="image: size: expected at least one pixel"):
        load_image(Image.new("RGB", (0, 4)))


def test_a_file_is_read_from_its_start():
    file = io.BytesIO(FILES["png"])
    file.seek(0, 2)
    same(load_image(file), BASE)


def test_no_file(tmp_path):
    for name in ("a\0b", "n" * 400):
        with pytest.raises(FormatError, match="file: expected a readable file"):
            load_image(name)
    unread = tmp_path / "unread.png"
    unread.symlink_to(unread)
    with pytest.raises(FormatError, match="unread.png: file: expected"):
        load_image(unread)
    with pytest.raises(MissingFileError, match="nothing.png: file: expected a picture"):
        load_image(tmp_path / "nothing.png")
    with pytest.raises(FormatError, match="no regular file"):
        load_image(tmp_path)
    with pytest.raises(FormatError, match="one opened for bytes"):
        load_image(io.StringIO("text"))
    with pytest.raises(DTypeError, match="load_image: expected a path, bytes, .* got object"):
        load_image(object())


ARRAY = picture(12, 17)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (ARRAY, ARRAY),
        (np.moveaxis(ARRAY, -1, 0), ARRAY),
        (ARRAY[..., 0], np.repeat(ARRAY[..., :1], 3, -1)),
        (ARRAY[..., :1], np.repeat(ARRAY[..., :1], 3, -1)),
        (ARRAY.astype(np.float32), ARRAY),
        (ARRAY.astype(np.int64), ARRAY),
        (ARRAY[:1, :1], ARRAY[:1, :1]),
        (ARRAY[:4], ARRAY[:4]),
        (ARRAY > 128, (ARRAY > 128).astype(np.uint8)),
        (np.concatenate([ARRAY, 0 * ARRAY[..., :1]], -1), 0 * ARRAY + 255),
        (np.concatenate([ARRAY, 0 * ARRAY[..., :1] + 255], -1), ARRAY),
    ],
    ids=str,
)
def test_arrays(array, expected):
    np.testing.assert_array_equal(np.asarray(load_image(array)), expected)
    if array.dtype != np.bool_:
        np.testing.assert_array_equal(np.asarray(load_image(tl.asarray(array.copy()))), expected)


def test_floats_are_scaled_by_255():
    unit = (ARRAY / 255).astype(np.float32)
    found = np.asarray(load_image(unit)).astype(int)
    assert abs(found - ARRAY).max() <= 1  # cut, not rounded, as transformers does


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.zeros((6, 5, 2), np.uint8), ShapeError),
        (np.zeros((5, 5, 5), np.uint8), ShapeError),
        (np.zeros((0, 4, 3), np.uint8), ShapeError),
        (np.zeros((2, 3, 4, 3), np.uint8), ShapeError),
        (np.zeros(3, np.uint8), ShapeError),
        (np.full((4, 5, 3), 256), ArgumentError),
        (np.full((4, 5, 3), -1), ArgumentError),
        (np.full((4, 5, 3), 1.5, np.float32), ArgumentError),
        (np.full((4, 5, 3), np.nan, np.float32), ArgumentError),
        (np.full((4, 5, 3), np.inf, np.float32), ArgumentError),
        (np.full((4, 5, 3), -0.5, np.float32), ArgumentError),
        (np.zeros((4, 5, 3), np.complex64), DTypeError),
    ],
    ids=str,
)
def test_what_is_no_picture(array, error):
    with pytest.raises(error, match="load_image: expected"):
        load_image(array)


def test_without_pillow():
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "from tallow.vision import load_image\n"
        "from tallow.errors import MissingExtraError\n"
        "try: load_image('x.png')\n"
        "except MissingExtraError as error: assert 'tallow[vision]' in str(error)\n"
        "else: raise SystemExit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
