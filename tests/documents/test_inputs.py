"""Files to pages: page ranges, kinds by content, TIFF pages, depths, what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tallow.documents.inputs import open_input, selected
from tallow.errors import ArgumentError, FormatError, MissingFileError
from tallow.vision.frames import PictureFile

PICTURE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def encoded(picture: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        (None, [1, 2, 3, 4, 5]),
        ("2", [2]),
        ("4,1-2", [1, 2, 4]),
        ("3-", [3, 4, 5]),
        ("-2", [1, 2]),
        ("2 - 3, 3", [2, 3]),
        ("5-5", [5]),
    ],
)
def test_page_ranges(pages, expected):
    assert selected(pages, 5, "a.pdf") == expected


@pytest.mark.parametrize(
    "pages", ["", "0", "3-2", "6", "2-9", "x", "1;2", "-", "1--2", "99999999999"]
)
def test_what_is_no_page_range(pages):
    with pytest.raises(ArgumentError, match="pages: expected"):
        selected(pages, 5, "a.pdf")


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("as_file", [False, True])
def test_the_content_decides(form, as_file, tmp_path):
    data = encoded(Image.fromarray(PICTURE), form)
    source: object = data
    if as_file:
        source = tmp_path / "picture.pdf"  # a wrong name
        source.write_bytes(data)
    with open_input(source) as opened:
        assert opened.count == 1
        page = opened.page(1)
    assert page.content is None
    assert (page.pixels() == PICTURE).all()


def test_heic():
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    smooth = Image.new("RGB", (64, 48), (200, 30, 60))
    heif.from_pillow(smooth).save(buffer, quality=95)
    with open_input(buffer.getvalue()) as opened:
        pixels = opened.page(1).pixels()
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels.astype(int) - np.array([200, 30, 60])).max() <= 6


def test_pages_of_a_tiff_each_with_its_own_size():
    pages = [Image.new("RGB", (8 + n, 5), (n * 40, 0, 0)) for n in range(4)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    with open_input(data) as opened:
        assert opened.count == 4
        for number in (3, 1, 4, 2):
            pixels = opened.page(number).pixels()
            assert pixels.shape == (5, 7 + number, 3)
            assert (pixels[..., 0] == (number - 1) * 40).all()


def test_transparency_is_laid_on_white():
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    with open_input(encoded(clear, "PNG")) as opened:
        assert (opened.page(1).pixels() == 255).all()


@pytest.mark.parametrize(("highest", "expected"), [(65535, 255), (255, 255), (1023, 255)])
def test_depths_beyond_eight_bits(highest, expected):
    values = np.linspace(0, highest, 12).astype(np.uint16).reshape(3, 4)
    file = PictureFile(encoded(Image.fromarray(values), "PNG"))
    found = np.asarray(file.frame(0))[..., 0]
    np.testing.assert_allclose(found, values / highest * expected, atol=1)


def test_what_exif_says_is_done_once():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    data = encoded(Image.fromarray(PICTURE), "PNG", exif=exif)
    with open_input(data) as opened:
        assert (opened.page(1).pixels() == np.rot90(PICTURE, -1)).all()


def test_large_pictures_are_made_smaller(monkeypatch):
    from tallow.documents.inputs import opening

    monkeypatch.setattr(opening, "MAX_WORKING_PIXELS", 100)
    with open_input(Image.new("RGB", (40, 20), "white")) as opened:
        page = opened.page(1)
    height, width, _ = page.pixels().shape
    assert height * width <= 100
    assert page.shrunk == width / 40


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"", "no bytes"),
        (b"no picture at all", "format"),
        (encoded(Image.fromarray(PICTURE), "PNG")[:-30], "pixels"),
        (b"%PDF-1.7\nand no more", "PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40, "expected"),
    ],
)
def test_what_is_neither_is_one_error(data, wanted, tmp_path):
    path = tmp_path / "table.png"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=wanted) as told, open_input(path) as opened:
        opened.page(1).pixels()
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(MissingFileError):
        open_input(tmp_path / "none.png")
    with pytest.raises(FormatError, match="a folder"):
        open_input(tmp_path)


def test_a_bomb_is_refused_before_it_is_decoded():
    """One of 40,000 × 40,000 pixels in 2 MB."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 1, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(5001 * 100)))
    data = b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")
    with pytest.raises(FormatError, match="178956970 pixels"), open_input(data) as opened:
        opened.page(1)


def test_large_scans_are_taken_without_a_warning(monkeypatch):
    """What Pillow warns of is below our own limit; warnings are errors here."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    picture = Image.new("L", (40, 40), 200)
    for form in ("PNG", "TIFF"):
        with open_input(encoded(picture, form)) as opened:
            assert opened.page(1).pixels().shape == (40, 40, 3)


def test_pillow_images_are_taken_as_files_are():
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    deep = Image.fromarray(np.full((4, 4), 40_000, np.uint16))
    for picture in (clear, deep):
        with open_input(picture) as given, open_input(encoded(picture, "PNG")) as read:
            assert (given.page(1).pixels() == read.page(1).pixels()).all()


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf])
def test_floats_from_0_to_1(bad):
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    values[0, 0] = bad
    found = np.asarray(PictureFile(encoded(Image.fromarray(values), "TIFF")).frame(0))
    assert found.min() == 0
    assert found.max() == 255


def test_a_file_opened_for_text_is_no_path(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with (tmp_path / "a.txt").open() as file, pytest.raises(FormatError, match="for text"):
        open_input(file)
