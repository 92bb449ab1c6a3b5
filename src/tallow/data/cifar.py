"""CIFAR-10 and CIFAR-100 from their binary files.

Source: https://www.cs.toronto.edu/~kriz/cifar.html ("binary version").
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from tallow.borrowing import from_buffer
from tallow.data.images import LabelledImages
from tallow.errors import FormatError
from tallow.formats.mapping import FileMap
from tallow.tensor import Tensor

IMAGE = 3 * 32 * 32


class CIFAR10(LabelledImages):
    """Photographs of ten kinds of things: `data` (n, 3, 32, 32) of u8, `targets` (n,) of i64.

    Reads `data_batch_1.bin` … `data_batch_5.bin` or `test_batch.bin`, from `root` or
    `root/cifar-10-batches-bin`. The Python version of the files is pickled and is refused: a pickle
    can run any program. A sample is (image, class), through `transform` where given.

    Raises:
        FormatError: a file is missing or damaged.
    """

    folder: ClassVar[str] = "cifar-10-batches-bin"
    pickled: ClassVar[str] = "cifar-10-batches-py"
    files: ClassVar[dict[bool, list[str]]] = {
        True: [f"data_batch_{i}.bin" for i in range(1, 6)],
        False: ["test_batch.bin"],
    }
    labels: ClassVar[int] = 1  # bytes before an image; the last of them is the class
    count: ClassVar[int] = 10
    classes: ClassVar[list[str]] = [
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ]  # fmt: skip

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        from tallow.ops import cat

        parts = [self._read(self._find(root, name)) for name in self.files[train]]
        images = cat([part[0] for part in parts], 0)
        classes = cat([part[1] for part in parts], 0).to("i64")
        super().__init__(images, classes, train, transform, target_transform)

    def _find(self, root: str | os.PathLike[str], name: str) -> Path:
        for folder in (Path(root), Path(root, self.folder)):
            if (folder / name).is_file():
                return folder / name
        if Path(root, self.pickled).exists() or Path(root, Path(name).stem).exists():
            wanted = f"{name} of the binary version"
            raise FormatError(
                root, "files", wanted, "the Python version, whose pickles are not read"
            )
        raise FormatError(Path(root, name), "file", "it, or it in " + self.folder, "none")

    def _read(self, path: Path) -> tuple[Tensor, Tensor]:
        file = FileMap(path)
        row = self.labels + IMAGE
        if file.size % row:
            raise FormatError(path, "size", f"a multiple of {row} bytes", file.size)
        rows = from_buffer(file.buffer, "u8", (file.size // row, row))
        labels = rows[:, self.labels - 1].clone()
        worst = max(bytes(labels.tolist()), default=0)
        if worst >= self.count:
            raise FormatError(path, "label", f"a class below {self.count}", worst)
        images = rows[:, self.labels :].contiguous()
        return images.reshape(-1, 3, 32, 32), labels


class CIFAR100(CIFAR10):
    """Photographs of a hundred kinds of things, in `train.bin` or `test.bin`; fine classes."""

    folder = "cifar-100-binary"
    pickled = "cifar-100-python"
    files: ClassVar[dict[bool, list[str]]] = {True: ["train.bin"], False: ["test.bin"]}
    labels = 2
    count = 100
    classes: ClassVar[list[str]] = []
