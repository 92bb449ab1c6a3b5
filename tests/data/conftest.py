"""Files in the formats that datasets read."""

from __future__ import annotations

import gzip

import pytest

from data.idx_bytes import idx


@pytest.fixture
def mnist(tmp_path):
    """A folder with 7 training and 3 test images, the latter gzipped."""
    for stem, count, pack in (("train", 7, False), ("t10k", 3, True)):
        images = idx(bytes(i % 251 for i in range(count * 784)), (count, 28, 28))
        labels = idx(bytes(i % 10 for i in range(count)), (count,))
        for name, data in (("images-idx3", images), ("labels-idx1", labels)):
            path = tmp_path / f"{stem}-{name}-ubyte{'.gz' if pack else ''}"
            path.write_bytes(gzip.compress(data) if pack else data)
    return tmp_path
