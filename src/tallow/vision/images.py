"""load_image: a picture from a path, bytes, a file, Pillow or an array, upright and in RGB."""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallow.errors import (
    ArgumentError,
    DTypeError,
    FormatError,
    MissingExtraError,
    MissingFileError,
    expect,
)

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

MAX_PIXELS = 178_956_970
"""How many pixels a picture may have: what Pillow takes for a decompression bomb is refused."""

# Others that Pillow knows start programs (EPS), have no limits or are no pictures. The first five
# it knows without importing every plugin.
FORMATS = (
    "PNG",
    "JPEG",
    "GIF",
    "BMP",
    "PPM",
    "WEBP",
    "TIFF",
    "AVIF",
    "JPEG2000",
    "ICO",
    "QOI",
    "TGA",
    "HEIF",
)
# What stands in the first bytes of HEIC files, after the size of the box and `ftyp` (ISO 23008-12).
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"mif1", b"msf1"))

# What Pillow's decoders raise on broken files, beside their own OSError and SyntaxError; and its
# warnings, where the caller made errors of them.
FAULTS = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError),
    *(AttributeError, AssertionError, RuntimeError, MemoryError, struct.error, zlib.error),
    Warning,
)


def pillow() -> Any:
    """The module PIL.Image; MissingExtraError where Pillow is not installed."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("pictures need Pillow: pip install 'tallow[vision]'") from error
    return Image


def load_image(source: Any) -> Image:
    """The picture as a Pillow image in RGB: the first frame, turned as its EXIF data says.

    `source` is a path, the bytes of a file, an open binary file, a Pillow image, or an array
    (numpy, Tensor, or what has `__array__`) of shape (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4
    channels, of u8 or of floats in [0, 1]. Files become RGB by Pillow's `convert`, as in
    transformers' `load_image`: CMYK is computed, 16 bits are clipped at 255, transparency is
    dropped. Arrays with four channels are laid on white.

    Raises:
        FormatError: the file is no picture, of no format in `FORMATS`, broken, or beyond
            `MAX_PIXELS`.
        ShapeError, DTypeError, ArgumentError: the array is no picture.
    """
    image = pillow()
    if isinstance(source, image.Image):
        with told("image"):
            return upright(source, "image")
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        with opened(path) as file:
            return _decode(file, path)
    if isinstance(source, bytes | bytearray | memoryview):
        return _decode(io.BytesIO(source), "bytes")
    if hasattr(source, "read"):
        name = getattr(source, "name", "file")
        return _decode(_seekable(source, name), name)
    return to_pillow(as_pixels(source))


def as_picture(source: Any, convert_rgb: bool) -> Any:
    """What `load_image` takes as a Pillow image, or as an array (H, W, 3) if it is an array.

    With `convert_rgb` a Pillow image is laid on white, as transformers does in processors whose
    config says `do_convert_rgb`; it does so for no file.
    """
    image = pillow()
    if isinstance(source, image.Image):
        return load_image(on_white(source) if convert_rgb else source)
    if hasattr(source, "read") or isinstance(
        source, str | os.PathLike | bytes | bytearray | memoryview
    ):
        return load_image(source)
    return as_pixels(source)


def opened(path: Path) -> Any:
    """The file at a path, opened for bytes."""
    try:
        if not path.is_file() and os.path.lexists(path):
            raise FormatError(path, "file", "a picture", "no regular file")
        return path.open("rb")
    except FileNotFoundError:
        raise MissingFileError(path, "file", "a picture", "nothing") from None
    except (OSError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(path, "file", "a readable file", error) from None


def _seekable(file: Any, name: object) -> Any:
    if getattr(file, "seekable", bool)():
        file.seek(0)
        return file
    content = file.read()
    if not isinstance(content, bytes):
        raise FormatError(name, "file", "one opened for bytes", "one opened for text")
    return io.BytesIO(content)


def _decode(file: Any, name: object) -> Image:
    start = file.read(1)
    if not isinstance(start, bytes):
        raise FormatError(name, "file", "one opened for bytes", "one opened for text")
    if not start:
        raise FormatError(name, "file", "a picture", "no bytes")
    with told(name), open_picture(file, pillow()) as picture:
        return upright(picture, name)


def open_picture(file: Any, image: Any) -> Any:
    """A file as Pillow opens it, by one of `FORMATS`; `image` is the module PIL.Image."""
    try:
        return image.open(file, formats=FORMATS[:5])  # reads from the file's start
    except image.UnidentifiedImageError:
        image.init()
        others = [name for name in FORMATS[5:] if name in image.OPEN]
        try:
            return image.open(file, formats=others)
        except image.UnidentifiedImageError:
            return _open_heif(file, image)


def _open_heif(file: Any, image: Any) -> Any:
    """A HEIC file's picture, by pillow-heif; what is none is no picture that Pillow knows."""
    file.seek(0)
    start = file.read(12)
    if start[4:8] != b"ftyp" or start[8:12] not in _HEIF_BRANDS:
        raise image.UnidentifiedImageError
    try:
        import pillow_heif
    except ImportError as error:
        wanted = "HEIC pictures need pillow-heif: pip install 'tallow[vision]'"
        raise MissingExtraError(wanted) from error
    file.seek(0)
    opened = pillow_heif.open_heif(file)
    width, height = opened.size
    if width * height > MAX_PIXELS:  # before it is decoded
        raise image.DecompressionBombError(f"{width} × {height}")
    return opened.to_pillow()


@contextmanager
def told(name: object) -> Iterator[None]:
    """What Pillow raises here, as a FormatError with the file's name."""
    image = pillow()
    try:
        yield
    except (FormatError, MissingExtraError):
        raise
    except image.UnidentifiedImageError:
        raise FormatError(name, "format", f"one of {', '.join(FORMATS)}", "another") from None
    except image.DecompressionBombError as error:
        found = re.search(r"\d+ pixels", str(error))  # of what Pillow says at length
        got = found[0] if found else error
        raise FormatError(name, "size", f"at most {MAX_PIXELS} pixels", got) from None
    except FAULTS as error:
        raise FormatError(name, "pixels", "a whole picture", error) from None


def check_size(size: tuple[int, int], name: object) -> None:
    """Refuse a picture without pixels, or with more than `MAX_PIXELS`."""
    width, height = size
    if not width * height:
        raise FormatError(name, "size", "at least one pixel", f"{width} × {height}")
    if width * height > MAX_PIXELS:
        raise FormatError(name, "size", f"at most {MAX_PIXELS} pixels", f"{width} × {height}")


def upright(opened: Any, name: object) -> Image:
    """A picture turned as its EXIF data says, in RGB."""
    from PIL import ImageOps

    check_size(opened.size, name)
    picture: Image = ImageOps.exif_transpose(opened)
    if isinstance(picture.info.get("transparency"), bytes):
        del picture.info["transparency"]  # of a copy: dropped all the same, and Pillow would warn
    return picture.convert("RGB")


def on_white(picture: Image) -> Image:
    """The same picture; where it has transparency, laid on white."""
    from PIL import ImageOps

    if "A" not in picture.getbands() and picture.info.get("transparency") is None:
        return picture
    with told("image"):
        picture = ImageOps.exif_transpose(picture).convert("RGBA")
    white = pillow().new("RGBA", picture.size, (255, 255, 255, 255))
    laid: Image = pillow().alpha_composite(white, picture)
    return laid


def as_pixels(source: Any) -> np.ndarray[Any, Any]:
    """An array as (H, W, 3), of u8 or of the floats it came in."""
    import numpy as np

    where = "load_image"
    known = hasattr(source, "__array__") or hasattr(source, "__dlpack__")
    wanted = "a path, bytes, a file, a Pillow image or an array"
    expect(known, where, wanted, type(source).__name__, DTypeError)
    array = np.asarray(source)
    if array.ndim == 2:
        array = array[..., None]
    elif array.ndim == 3 and _channels_first(array.shape):
        array = np.moveaxis(array, 0, -1)
    good = array.ndim == 3 and array.shape[-1] in (1, 3, 4) and array.size > 0
    shapes = "an array (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels"
    expect(good, where, shapes, np.shape(source))
    pixels = array.shape[0] * array.shape[1]
    expect(pixels <= MAX_PIXELS, where, f"at most {MAX_PIXELS} pixels", pixels, ArgumentError)
    if array.dtype != np.uint8 and array.dtype.kind in "iub":
        inside = array.min() >= 0 and array.max() <= 255
        expect(bool(inside), where, "integers from 0 to 255", "others", ArgumentError)
        array = array.astype(np.uint8)
    expect(array.dtype.kind in "uf", where, "an array of u8 or floats", array.dtype, DTypeError)
    return _three_channels(array)


def _channels_first(shape: tuple[int, ...]) -> bool:
    # As transformers decides where both ends could be channels, but that (1, 1, 3) is one pixel.
    return shape[0] == 3 or (shape[0] in (1, 4) and shape[-1] != 3)


def _three_channels(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    if array.shape[-1] == 1:
        return np.repeat(array, 3, axis=-1)
    if array.shape[-1] == 3:
        return array
    white = 255 if array.dtype == np.uint8 else 1.0
    alpha = array[..., 3:] / white
    laid = alpha * array[..., :3] + (1 - alpha) * white
    result: np.ndarray[Any, Any] = np.round(laid) if white == 255 else laid
    return result.astype(array.dtype)


def to_pillow(array: np.ndarray[Any, Any]) -> Image:
    """An array (H, W, 3) as a Pillow image; floats in [0, 1] become 0 to 255."""
    import numpy as np

    if array.dtype != np.uint8:
        array = (array.astype(np.float64) * float_range(array)).astype(np.float32).astype(np.uint8)
    picture: Image = pillow().fromarray(np.ascontiguousarray(array))
    return picture


def float_range(array: np.ndarray[Any, Any]) -> int:
    """What floats are to be multiplied by for 0 to 255: 1 where they are whole numbers, or 255.

    Raises:
        ArgumentError: they are neither whole numbers from 0 to 255 nor numbers from 0 to 1.
    """
    import numpy as np

    low, high = float(array.min()), float(array.max())
    expect(
        low >= 0 and high <= 255, "load_image", "finite floats from 0", (low, high), ArgumentError
    )
    if np.allclose(array, array.astype(np.int64)):
        return 1
    wanted = "floats from 0 to 1, or whole numbers to 255"
    expect(high <= 1, "load_image", wanted, f"{low:g} to {high:g}", ArgumentError)
    return 255
