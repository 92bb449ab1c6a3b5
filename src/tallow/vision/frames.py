"""PictureFile: the pictures in a file, one for each page of a TIFF, decoded when asked for."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallow.errors import ArgumentError, FormatError, expect
from tallow.vision import images

if TYPE_CHECKING:
    from PIL.Image import Image

_LEAST_WHITE = 4096  # of 65535: what is darker at its brightest has fewer bits than its type


class PictureFile:
    """A file's pictures in RGB, upright by their EXIF data, transparency laid on white.

    Of TIFF files every page is one (`count`), of all others the first frame. Pictures of 16 bits
    are brought to 8, unlike `load_image`, which clips them. Not for several threads at once.

    Raises:
        FormatError, MissingExtraError: as `load_image`.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes, name: object = None) -> None:
        if isinstance(source, bytes):
            self.name = "picture" if name is None else name
            self._file: Any = io.BytesIO(source)
        else:
            self.name = os.fspath(source) if name is None else name
            self._file = images.opened(Path(source))
        self._picture: Any = None
        try:
            if not self._file.read(1):
                raise FormatError(self.name, "file", "a picture", "no bytes")
            with images.told(self.name), _sized_here():
                self._file.seek(0)
                self._picture = images.open_picture(self._file, images.pillow())
                several = self._picture.format == "TIFF"
                self.count = max(1, self._picture.n_frames) if several else 1
        except BaseException:
            self.close()
            raise

    def frame(self, index: int) -> Image:
        """The picture with that number, from 0, as a Pillow image in RGB.

        Raises:
            FormatError: it is broken, or has more pixels than `MAX_PIXELS`.
        """
        expect(0 <= index < self.count, "PictureFile", f"a page below {self.count}", index,
               ArgumentError)  # fmt: skip
        name = self.name if self.count == 1 else f"{self.name}, page {index + 1}"
        with images.told(name), _sized_here():
            if self.count > 1:
                self._picture.seek(index)
            images.check_size(self._picture.size, name)
            picture = self._picture.copy() if self.count > 1 else self._picture
            return images.upright(images.on_white(_eight_bits(picture)), name)

    def close(self) -> None:
        """Close the file."""
        if self._picture is not None:
            self._picture.close()
        self._file.close()

    def __enter__(self) -> PictureFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _sized_here() -> Iterator[None]:
    """Without Pillow's warning of half of `MAX_PIXELS`: sizes are checked, and large scans fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", images.pillow().DecompressionBombWarning)
        yield


def flattened(source: Any, name: object = "picture") -> Image:
    """A Pillow image or an array as a frame of a `PictureFile`: in RGB, upright, on white.

    Raises:
        FormatError, ShapeError, DTypeError, ArgumentError: as `load_image`.
    """
    if isinstance(source, images.pillow().Image):
        with images.told(name):
            source = images.on_white(_eight_bits(source))
    return images.load_image(source)


def _eight_bits(picture: Any) -> Any:
    """A picture of integers or floats beyond 255 as one of bytes; others as they are."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    import numpy as np

    values = np.asarray(picture, dtype=np.float64)
    values = np.nan_to_num(values, copy=False, posinf=0.0, neginf=0.0)
    highest = float(values.max(initial=0.0))
    # Scanners of 10 and 12 bits write them unscaled into 16; floats are mostly from 0 to 1.
    white = 255.0 if highest <= 255 else 65535.0 if highest >= _LEAST_WHITE else highest
    if picture.mode == "F" and highest <= 1:
        white = 1.0
    scaled = np.clip(values * (255 / white), 0, 255).astype(np.uint8)
    made = images.pillow().fromarray(scaled)
    made.info.update({k: v for k, v in picture.info.items() if k == "exif"})
    return made
