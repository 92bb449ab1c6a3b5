"""External data of ONNX files: found beside them, mapped once, kept inside the folder, checked."""

import hashlib
import os
import struct

import pytest

from formats import onnx_bytes as make
from open_files import open_files
from tallow.errors import FormatError, MissingFileError
from tallow.formats.onnx import open_onnx

FLOATS = struct.pack("<4f", 1, 2, 3, 4)


def write(folder, *tensors, name="m.onnx"):
    path = folder / name
    path.write_bytes(make.model(make.graph(tensors=tensors)))
    return path


def value(path, name="w"):
    with open_onnx(path) as file:
        return file.graph.initializers[name].value().tolist()


@pytest.mark.parametrize(
    ("entries", "wanted"),
    [
        ({"location": "w.bin"}, [1, 2]),
        ({"location": "w.bin", "offset": 8}, [3, 4]),
        ({"location": "w.bin", "offset": 4, "length": 8}, [2, 3]),
        ({"location": "./sub/w.bin", "offset": 0, "checksum": "0" * 40}, [1, 2]),
        ({"location": "sub//w.bin", "later": "what no reader knows"}, [1, 2]),
    ],
)
def test_places(tmp_path, entries, wanted):
    (tmp_path / "sub").mkdir()
    for place in ("w.bin", "sub/w.bin"):
        (tmp_path / place).write_bytes(FLOATS)
    assert value(write(tmp_path, make.external("w", 1, (2,), **entries))) == wanted


@pytest.mark.parametrize(("code", "bits"), [(22, 4), (25, 2), (17, 8), (15, 128)])
def test_types_that_no_tensor_has(tmp_path, code, bits):
    (tmp_path / "w.bin").write_bytes(bytes(3 * bits))
    path = write(tmp_path, make.external("w", code, (3,), location="w.bin", offset=1))
    with open_onnx(path) as file:
        assert tuple(file.graph.initializers["w"].value().shape) == (3,)
        assert len(file.graph.initializers["w"].data) == (3 * bits + 7) // 8


def test_a_file_is_mapped_once_and_closed(tmp_path):
    (tmp_path / "w.bin").write_bytes(FLOATS * 500)
    tensors = [make.external(f"w{n}", 1, (4,), location="w.bin", offset=16 * n) for n in range(500)]
    path = write(tmp_path, *tensors)
    with open_onnx(path) as file:
        assert len(open_files(tmp_path)) == 2
        kept = file.graph.initializers["w499"].value()
    assert kept.tolist() == [1, 2, 3, 4]
    del kept, file
    assert open_files(tmp_path) == []


def test_a_file_beyond_2_gb(tmp_path):
    at = (1 << 31) + (1 << 30)
    with (tmp_path / "w.bin").open("wb") as out:
        out.seek(at)
        out.write(FLOATS)
    assert value(write(tmp_path, make.external("w", 1, (4,), location="w.bin", offset=at))) == [
        1, 2, 3, 4,
    ]  # fmt: skip


def test_empty_tensors_need_no_file(tmp_path):
    assert value(write(tmp_path, make.external("w", 1, (0,), location="none.bin"))) == []


OUT = ["/etc/passwd", "../w.bin", "sub/../../w.bin", "..", ".", "", "sub\\w.bin", "C:w.bin", "a\0b"]


@pytest.mark.parametrize("location", OUT)
def test_locations_stay_in_the_folder(tmp_path, location):
    inside = tmp_path / "model"
    (inside / "sub").mkdir(parents=True)
    (tmp_path / "w.bin").write_bytes(FLOATS)
    path = write(inside, make.external("w", 1, (4,), location=location))
    with pytest.raises(FormatError, match=r"initializer 'w' location: expected a path below"):
        open_onnx(path)


def test_links_stay_in_the_folder(tmp_path):
    inside = tmp_path / "model"
    inside.mkdir()
    (tmp_path / "w.bin").write_bytes(FLOATS)
    (inside / "link.bin").symlink_to("../w.bin")
    (inside / "folder").symlink_to("..")
    (inside / "own.bin").write_bytes(FLOATS)
    (inside / "fine.bin").symlink_to("own.bin")
    for location in ("link.bin", "folder/w.bin"):
        path = write(inside, make.external("w", 1, (4,), location=location))
        with pytest.raises(FormatError, match="a link out of it"):
            open_onnx(path)
    path = write(inside, make.external("w", 1, (4,), location="fine.bin"))
    assert value(path) == [1, 2, 3, 4]


def test_a_model_and_its_data_as_links_to_one_folder(tmp_path):
    """As the caches of Hugging Face lay them out."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    for folder in (blobs, snapshot):
        folder.mkdir(parents=True)
    write(blobs, make.external("w", 1, (4,), location="m.onnx_data"), name="0a")
    (blobs / "0b").write_bytes(FLOATS)
    (snapshot / "m.onnx").symlink_to("../../blobs/0a")
    (snapshot / "m.onnx_data").symlink_to("../../blobs/0b")
    assert value(snapshot / "m.onnx") == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ({"location": "none.bin"}, r"external data: expected a readable file, got 'none\.bin'"),
        ({"location": "w.bin", "offset": 12}, r"expected 20 bytes, got 16 in 'w\.bin'"),
        ({"location": "w.bin", "length": 4}, r"length: expected 8 bytes, got 4"),
        ({"location": "w.bin", "offset": -1}, r"offset: expected a number of bytes, got '-1'"),
        ({"location": "w.bin", "offset": "²"}, r"offset: expected a number of bytes"),
        ({"location": "w.bin", "offset": 2**64}, r"offset: expected a number of bytes"),
        ({"location": "w.bin", "offset": 2**62}, r"got 16 in 'w\.bin'"),
        ({"location": "sub"}, r"got 'sub' \(a directory"),
        ({"location": "empty"}, r"got 'empty' \(an empty file"),
        ({}, r"location: expected a path below the model's folder, got ''"),
    ],
)
def test_what_does_not_fit(tmp_path, entries, text):
    (tmp_path / "w.bin").write_bytes(FLOATS)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "sub").mkdir()
    path = write(tmp_path, make.external("w", 1, (2,), **entries))
    with pytest.raises(FormatError, match=text) as caught:
        open_onnx(path)
    assert "initializer 'w'" in str(caught.value) and str(path) in str(caught.value)
    assert isinstance(caught.value, MissingFileError) == (entries.get("location") == "none.bin")
    del caught
    assert open_files(tmp_path) == []


def test_strings_and_models_in_memory_have_none(tmp_path):
    path = write(tmp_path, make.external("w", 8, (2,), location="w.bin"))
    with pytest.raises(FormatError, match="expected strings in the model"):
        open_onnx(path)
    path = write(tmp_path, make.external("w", 1, (2,), location="w.bin"))
    with pytest.raises(FormatError, match=r"bytes have no folder \(give a path\)"):
        open_onnx(path.read_bytes())


def test_tensors_that_use_the_same_bytes_again_and_again(tmp_path):
    """Where they lie at odd addresses each is a copy: the memory must stay bounded."""
    (tmp_path / "w.bin").write_bytes(bytes(1 << 20))
    twice = [make.external(f"w{n}", 2, (1 << 20,), location="w.bin") for n in range(20)]
    with open_onnx(write(tmp_path, *twice[:5])) as file:
        assert len(file.graph.initializers) == 5
    with pytest.raises(FormatError, match="at most 8 times the bytes of 'w.bin'"):
        open_onnx(write(tmp_path, *twice))


def test_checksums(tmp_path):
    (tmp_path / "w.bin").write_bytes(FLOATS)
    right = hashlib.sha1(FLOATS, usedforsecurity=False).hexdigest()
    for stated in (right, right.upper()):
        tensor = make.external("w", 1, (4,), location="w.bin", checksum=stated)
        with open_onnx(write(tmp_path, tensor)) as file:
            file.verify()
    tensor = make.external("w", 1, (4,), location="w.bin", checksum=right[::-1])
    text = rf"checksum of 'w\.bin'.*got '?{right}"
    with open_onnx(write(tmp_path, tensor)) as file, pytest.raises(FormatError, match=text):
        file.verify()


def test_a_path_without_a_folder(tmp_path, monkeypatch):
    (tmp_path / "w.bin").write_bytes(FLOATS)
    write(tmp_path, make.external("w", 1, (4,), location="w.bin"))
    monkeypatch.chdir(tmp_path)
    assert value("m.onnx") == [1, 2, 3, 4]
    assert value(os.path.join(".", "m.onnx")) == [1, 2, 3, 4]
