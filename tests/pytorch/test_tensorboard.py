"""TensorBoard's event files: bytes as torch 2.13 with tensorboard 2.20 wrote them, and laws."""

import struct
import zlib

import pytest

import tallow as tl
from tallow.errors import ArgumentError
from tallow.torch.utils.tensorboard import SummaryWriter, crc32c


def records(folder):
    (path,) = folder.glob("events.out.tfevents.*")
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        found.append(data[: length + 16])
        data = data[length + 16 :]
    return found


def test_checksum():
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720's polynomial, its usual check value


def test_numbers_and_texts_are_torchs_bytes(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss/train", tl.tensor(1.5), 3, walltime=1000.0)
        writer.add_text("note", "hello", 2, walltime=1000.0)
    head, number, text = records(tmp_path)
    assert b"brain.Event:2" in head
    assert number.hex() == (
        "200000000000000029eda950090000000000408f4010032a130a110a0a6c6f73732f747261696e150000c03f03727c96"
    )
    assert text.hex() == (
        "3d000000000000006049f1ec090000000000408f4010022a300a2e0a116e6f74652f746578745f73756d6d617279"
        "420f0807120412020801420568656c6c6f4a080a060a0474657874f65cb180"
    )


def test_histogram_counts_every_value(tmp_path):
    writer = SummaryWriter(tmp_path)
    writer.add_histogram("weights", tl.tensor([0.0, 1.0, 1.0, 4.0]), 1, bins=4)
    writer.close()
    event = records(tmp_path)[1]
    assert struct.pack("<4d", 1, 2, 3, 4) in event and struct.pack("<4d", 1, 2, 0, 1) in event


def test_a_picture_is_a_png(tmp_path):
    writer = SummaryWriter(tmp_path)
    writer.add_image("digit", tl.tensor([[[0.0, 1.0]], [[0.5, 0.0]], [[0.0, 2.0]]]))
    writer.close()
    event = records(tmp_path)[1]
    start = event.index(b"IDAT")
    (length,) = struct.unpack(">I", event[start - 4 : start])
    assert zlib.decompress(event[start + 4 : start + 4 + length]) == bytes(
        [0, 0, 127, 0, 255, 0, 255]
    )


def test_numbers_of_one_diagram_have_folders(tmp_path):
    writer = SummaryWriter(tmp_path)
    writer.add_scalars("loss", {"train": 1.0, "test": 2}, 1)
    writer.close()
    assert len(records(tmp_path / "loss_train")) == len(records(tmp_path / "loss_test")) == 2


def test_refusals(tmp_path):
    writer = SummaryWriter(tmp_path)
    with pytest.raises(ArgumentError, match="one number"):
        writer.add_scalar("a", tl.ones(2))
    with pytest.raises(ArgumentError, match="axes dataformats names"):
        writer.add_image("a", tl.ones(2, 2))
    with pytest.raises(NotImplementedError, match="add_graph"):
        writer.add_graph(None)
    writer.close()
