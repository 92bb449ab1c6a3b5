"""What image sets share: all images and their classes in two tensors, a sample at an index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow.data.dataset import Dataset, take
from tallow.errors import IndexRangeError
from tallow.tensor import Tensor


class LabelledImages(Dataset[tuple[Any, Any]]):
    """Images `data` (n, …) of u8 with classes `targets` (n,) of i64; samples are (image, class)."""

    def __init__(
        self,
        data: Tensor,
        targets: Tensor,
        train: bool,
        transform: Callable[[Tensor], Any] | None,
        target_transform: Callable[[int], Any] | None,
    ) -> None:
        self.data, self.targets, self.train = data, targets, train
        self.transform, self.target_transform = transform, target_transform
        if transform is None and target_transform is None:
            self.batch = lambda indices: take((self.data, self.targets), indices)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not -len(self) <= index < len(self):
            name = type(self).__name__
            raise IndexRangeError(f"{name}: expected an index below {len(self)}, got {index}")
        image: Any = self.data[index]
        label: Any = int(self.targets[index].item())
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    def __repr__(self) -> str:
        part = "train" if self.train else "test"
        return f"{type(self).__name__}({part}, {len(self)} images)"
