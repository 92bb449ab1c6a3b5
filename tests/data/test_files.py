"""Image and text files: what is read, and what hostile files get."""

from __future__ import annotations

import gzip
import random
import struct
from array import array
from pathlib import Path

import pytest

import tallow as tl
from data.idx_bytes import idx
from tallow.data import (
    CIFAR10,
    CIFAR100,
    MNIST,
    DataLoader,
    FashionMNIST,
    LineDataset,
    TokenDataset,
    read_idx,
)
from tallow.errors import FormatError, TallowError


def test_mnist(mnist):
    train, test = MNIST(mnist), MNIST(mnist, train=False)
    assert train.data.shape == (7, 28, 28) and len(test) == 3
    image, label = train[3]
    assert image.shape == (28, 28) and image.dtype is tl.u8 and label == 3
    assert image[0, 0].item() == 3 * 784 % 251
    x, y = next(iter(DataLoader(train, 5)))
    assert x.shape == (5, 28, 28) and y.tolist() == [0, 1, 2, 3, 4] and y.dtype is tl.i64
    scaled = MNIST(mnist, transform=lambda im: im.float() / 255, target_transform=str)
    x, y = next(iter(DataLoader(scaled, 2)))
    assert x.dtype is tl.f32 and y == ["0", "1"]
    with pytest.raises(IndexError):
        train[7]
    with pytest.raises(FormatError, match="train-images"):
        FashionMNIST(mnist / "none")


def test_mnist_is_found_where_torchvision_puts_it(mnist, monkeypatch):
    folder = mnist / "deep" / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for path in mnist.glob("*ubyte*"):
        path.rename(folder / path.name)
    assert len(FashionMNIST(mnist / "deep")) == 7
    monkeypatch.setenv("TALLOW_DATA", str(mnist / "deep"))
    assert len(FashionMNIST(train=False)) == 3


def test_labels_that_do_not_fit(mnist):
    labels = mnist / "train-labels-idx1-ubyte"
    labels.write_bytes(idx(bytes(6), (6,)))
    with pytest.raises(FormatError, match=r"\(7,\)"):
        MNIST(mnist)
    labels.write_bytes(idx(bytes([0, 1, 2, 3, 4, 5, 10]), (7,)))
    with pytest.raises(FormatError, match="class below 10"):
        MNIST(mnist)
    (mnist / "train-images-idx3-ubyte").write_bytes(idx(bytes(7 * 9), (7, 3, 3)))
    with pytest.raises(FormatError, match="28"):
        MNIST(mnist)


@pytest.mark.parametrize(
    ("kind", "code", "dtype"), [(9, "b", "i8"), (11, "h", "i16"), (12, "i", "i32"),
                                (13, "f", "f32"), (14, "d", "f64")]
)  # fmt: skip
def test_idx_dtypes(tmp_path, kind, code, dtype):
    values = [-3, 0, 1, 100, -100, 7]
    (tmp_path / "a").write_bytes(idx(struct.pack(f">6{code}", *values), (2, 3), kind))
    (tmp_path / "a.gz").write_bytes(gzip.compress((tmp_path / "a").read_bytes()))
    for name in ("a", "a.gz"):
        found = read_idx(tmp_path / name)
        assert found.dtype.name == dtype and found.tolist() == [values[:3], values[3:]]


HOSTILE = {
    "empty": b"",
    "short": b"\0\0\x08",
    "magic": idx(bytes(4), (4,)).replace(b"\0\0", b"\1\0", 1),
    "type": idx(bytes(4), (4,), 10),
    "axes": bytes([0, 0, 8, 255]) + bytes(2000),
    "axes cut": bytes([0, 0, 8, 3, 0, 0]),
    "too few bytes": idx(bytes(5), (6,)),
    "too many bytes": idx(bytes(7), (6,)),
    "overflow": idx(bytes(4), (2**32 - 1,) * 8),
    "overflow times 0": idx(b"", (2**32 - 1,) * 3 + (0,)),
    "gigabytes": idx(bytes(4), (2**31,)),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_idx(tmp_path, name, packed):
    path = tmp_path / ("x.gz" if packed else "x")
    path.write_bytes(gzip.compress(HOSTILE[name]) if packed else HOSTILE[name])
    with pytest.raises(FormatError):
        read_idx(path)


def test_hostile_gzip(tmp_path):
    path = tmp_path / "x.gz"
    good = gzip.compress(idx(bytes(10000), (10000,)))
    for data in (b"no gzip at all", good[:-9], good[:20], good[:30] + b"\xff" * 9 + good[39:]):
        path.write_bytes(data)
        with pytest.raises(FormatError):
            read_idx(path)
    path.write_bytes(gzip.compress(idx(bytes(10), (10,)) + bytes(1 << 24)))  # more than it says
    with pytest.raises(FormatError, match="or more"):
        read_idx(path)


def cifar_rows(count, labels, classes):
    return b"".join(
        bytes((i * (j + 1)) % classes for j in range(labels)) + bytes([i % 256]) * 3072
        for i in range(count)
    )


def test_cifar(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for i in range(1, 6):
        (folder / f"data_batch_{i}.bin").write_bytes(cifar_rows(4, 1, 10))
    (folder / "test_batch.bin").write_bytes(cifar_rows(3, 1, 10))
    train = CIFAR10(tmp_path)
    assert train.data.shape == (20, 3, 32, 32) and train.targets.tolist() == [0, 1, 2, 3] * 5
    image, label = CIFAR10(folder, train=False)[2]
    assert label == 2 and image[2, 31, 31].item() == 2
    (folder / "test_batch.bin").write_bytes(cifar_rows(3, 1, 10)[:-1])
    with pytest.raises(FormatError, match="multiple"):
        CIFAR10(tmp_path, train=False)
    (folder / "test_batch.bin").write_bytes(b"\x0a" + bytes(3072))
    with pytest.raises(FormatError, match="class below 10"):
        CIFAR10(tmp_path, train=False)
    (tmp_path / "train.bin").write_bytes(cifar_rows(5, 2, 100))
    assert CIFAR100(tmp_path).targets.tolist() == [0, 2, 4, 6, 8]


def test_pickled_cifar_is_refused(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(FormatError, match="pickle"):
        CIFAR10(tmp_path)


def test_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("one\ntwo\r\n\nvier ä\nlast".encode())
    lines = LineDataset(path)
    assert [lines[i] for i in range(len(lines))] == ["one", "two", "", "vier ä", "last"]
    assert lines[-1] == "last"
    with pytest.raises(IndexError):
        lines[5]
    path.write_bytes(b"x\n")
    assert list(map(LineDataset(path).__getitem__, range(1))) == ["x"]
    path.write_bytes(b"good\n\xff\xfe\n")
    lines = LineDataset(path)
    with pytest.raises(FormatError, match="line 2"):
        lines[1]
    assert LineDataset(path, errors="replace")[1] == "\ufffd\ufffd"
    with pytest.raises(FormatError, match="at most 2"):
        LineDataset(path, max_line=2)[0]
    with pytest.raises(FormatError):
        LineDataset(tmp_path / "none")
    path.write_bytes(b"")
    with pytest.raises(FormatError, match="empty"):
        LineDataset(path)


@pytest.mark.parametrize(("dtype", "code"), [("u16", "H"), ("u32", "I")])
def test_tokens(tmp_path, dtype, code):
    path = tmp_path / "tokens.bin"
    path.write_bytes(array(code, range(40000, 40100)).tobytes())
    data = TokenDataset(path, 8, dtype=dtype)
    assert len(data) == 92
    x, y = data[91]
    assert x.tolist() == list(range(40091, 40099)) and y.tolist() == list(range(40092, 40100))
    assert x.dtype is tl.i64
    x, y = data.batch([0, -1, 5])
    assert x[:, 0].tolist() == [40000, 40091, 40005] and (y - x == 1).all().item()
    x, y = data.sample(64, generator=tl.Generator().manual_seed(1))
    assert x.shape == (64, 8) and (y - x == 1).all().item()
    again, _ = data.sample(64, generator=tl.Generator().manual_seed(1))
    assert again.tolist() == x.tolist()
    assert x.min().item() >= 40000 and y.max().item() < 40100
    steps = TokenDataset(path, 8, dtype=dtype, stride=8)
    assert len(steps) == 12 and steps[11][0][0].item() == 40088
    for index in (12, -13):
        with pytest.raises(IndexError):
            steps[index]
    assert len(list(DataLoader(steps, 5, shuffle=True))) == 3


def test_tokens_that_are_refused(tmp_path):
    path = tmp_path / "tokens.bin"
    path.write_bytes(bytes(7))
    with pytest.raises(FormatError, match="multiple of 2"):
        TokenDataset(path, 2)
    path.write_bytes(bytes(8))
    for options in ({"length": 4}, {"length": 0}, {"length": 2, "stride": 0}, {"length": -1},
                    {"length": 2, "dtype": "f32"}):  # fmt: skip
        with pytest.raises(TallowError):
            TokenDataset(path, **options)
    for bad in (tl.zeros(10), tl.zeros(2, 5, dtype="i64")):
        with pytest.raises(TallowError):
            TokenDataset(bad, 2)
    assert len(TokenDataset(tl.arange(10), 2)) == 8


@pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").exists(), reason="needs dataset-fashion-mnist"
)
def test_debians_fashion_mnist():
    train, test = FashionMNIST(), FashionMNIST(train=False)
    assert (len(train), len(test)) == (60000, 10000)
    assert train.classes[train[0][1]] == "Ankle boot"


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_idx_files_never_crash(tmp_path, packed):
    """Every byte of the header changed in every bit, and random damage behind it."""
    good = idx(bytes(range(60)), (3, 4, 5))
    if packed:
        good = gzip.compress(good)
    draw = random.Random(0)
    path = tmp_path / ("x.gz" if packed else "x")
    places = [(i, 1 << bit) for i in range(min(len(good), 24)) for bit in range(8)]
    places += [(draw.randrange(len(good)), draw.randrange(1, 256)) for _ in range(200)]
    read = 0
    for at, mask in places:
        data = bytearray(good)
        data[at] ^= mask
        path.write_bytes(data)
        try:
            assert read_idx(path).numel() <= 60
            read += 1
        except FormatError:
            pass
    assert read > 50
