"""IDX files, plain or gzipped, and the image sets that come in them: MNIST and Fashion-MNIST.

Source: http://yann.lecun.com/exdb/mnist/ (the format at the end of the page).
"""

from __future__ import annotations

import gzip
import os
import struct
import sys
import zlib
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from tallow.borrowing import from_buffer
from tallow.data.images import LabelledImages
from tallow.errors import FormatError
from tallow.formats.mapping import FileMap, element_count
from tallow.tensor import Tensor

# The type byte → our dtype, the letter of `array`, bytes per element; numbers are big-endian.
IDX_TYPES = {
    0x08: ("u8", "B", 1),
    0x09: ("i8", "b", 1),
    0x0B: ("i16", "h", 2),
    0x0C: ("i32", "i", 4),
    0x0D: ("f32", "f", 4),
    0x0E: ("f64", "d", 8),
}
MAX_AXES = 8
# Deflate makes at most 1032 bytes of one (RFC 1951: 258 bytes for two bits), so a small file that
# announces gigabytes lies.
MAX_RATIO = 1032

DEBIAN = ("/usr/share/datasets", "/usr/share/dataset-fashion-mnist", "/usr/share/datasets/mnist")


def read_idx(path: str | os.PathLike[str]) -> Tensor:
    """The array in an IDX file; a name that ends in `.gz` is unpacked.

    A plain file of bytes is mapped, not read.

    Raises:
        FormatError: not an IDX file, or its size is not what the header says.
    """
    file = FileMap(path)
    packed = file.path.endswith(".gz")
    head = _unpack(file, 4 + 4 * MAX_AXES) if packed else bytes(file.buffer[: 4 + 4 * MAX_AXES])
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in IDX_TYPES:
        raise FormatError(file.path, "header", "0, 0, an IDX type, a number of axes", head[:4])
    dtype, letter, itemsize = IDX_TYPES[head[2]]
    ndim = head[3]
    start = 4 + 4 * ndim
    if ndim > MAX_AXES or len(head) < start:
        wanted = f"at most {MAX_AXES} axes with a length each"
        raise FormatError(file.path, "header", wanted, f"{ndim} axes")
    shape = struct.unpack_from(f">{ndim}I", head, 4)
    total = element_count(shape)
    size = -1 if total is None else start + total * itemsize
    most = file.size * MAX_RATIO if packed else file.size
    if size < 0 or size > most or (not packed and size != most):
        wanted = f"{'at most ' if packed else ''}{most} bytes, as the file can hold"
        raise FormatError(file.path, f"shape {shape}", wanted, "more" if size < 0 else size)
    if packed:
        data: Any = _unpack(file, size + 1)
        file.close()
        if len(data) != size:
            got = f"{len(data)}{' or more' if len(data) > size else ''}"
            raise FormatError(file.path, "data", f"{size} bytes, as the header says", got)
    else:
        data = file.buffer
    if itemsize == 1 or sys.byteorder == "big":
        return from_buffer(data, dtype, shape, start)
    numbers = array(letter, bytes(data[start:]))
    numbers.byteswap()
    return from_buffer(numbers, dtype, shape)


def _unpack(file: FileMap, size: int) -> bytes:
    """The first `size` bytes of a gzipped file."""
    try:
        with gzip.open(file.path) as stream:
            return stream.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(file.path, "file", "gzip data", error) from error


class MNIST(LabelledImages):
    """Handwritten digits: `data` (60000 or 10000, 28, 28) of u8 and `targets` of i64.

    The IDX files, plain or `.gz`, are searched in `root`, in `root/MNIST/raw` as torchvision keeps
    them, and without `root` in the folder that `TALLOW_DATA` names and in Debian's. A sample is
    (image, class), the image (28, 28) of u8 unless `transform` makes something else of it. Nothing
    is downloaded.

    Raises:
        FormatError: a file is missing, damaged or of another shape.
    """

    name: ClassVar[str] = "MNIST"
    folder: ClassVar[str] = "mnist"
    classes: ClassVar[list[str]] = [str(digit) for digit in range(10)]
    size: ClassVar[tuple[int, ...]] = (28, 28)

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        stem = "train" if train else "t10k"
        images = self._find(root, f"{stem}-images-idx3-ubyte")
        labels = self._find(root, f"{stem}-labels-idx1-ubyte")
        data, found = read_idx(images), read_idx(labels)
        if data.shape[1:] != self.size or data.dtype.name != "u8":
            got = f"{data.dtype.name} {data.shape}"
            raise FormatError(images, "shape", f"u8 (images, {self.size})", got)
        if found.shape != data.shape[:1] or found.dtype.name != "u8":
            wanted = f"u8 ({len(data)},)"
            raise FormatError(labels, "shape", wanted, f"{found.dtype.name} {found.shape}")
        worst = max(bytes(found.tolist()), default=0)
        if worst >= len(self.classes):
            raise FormatError(labels, "label", f"a class below {len(self.classes)}", worst)
        super().__init__(data, found.to("i64"), train, transform, target_transform)

    def _find(self, root: str | os.PathLike[str] | None, name: str) -> Path:
        if root is not None:
            folders = [Path(root), Path(root, self.name, "raw")]
        else:
            own = os.environ.get("TALLOW_DATA")
            roots = [Path(folder) for folder in ([own] if own else []) + list(DEBIAN)]
            folders = [
                path
                for base in roots
                for path in (base / self.folder, base / self.name / "raw", base)
            ]
        for folder in folders:
            for ending in ("", ".gz"):
                path = folder / (name + ending)
                if path.is_file():
                    return path
        places = ", ".join(map(str, folders))
        raise FormatError(name, "file", f"it (or {name}.gz) in one of {places}", "none")


class FashionMNIST(MNIST):
    """Zalando's articles of clothing in the shape of MNIST (Xiao et al., arXiv 1708.07747).

    Debian's package dataset-fashion-mnist has the files.
    """

    name = "FashionMNIST"
    folder = "fashion-mnist"
    classes: ClassVar[list[str]] = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    ]  # fmt: skip
