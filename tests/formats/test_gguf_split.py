"""Sets of GGUF files: written as llama.cpp's `gguf-split` does, opened as one, never half."""

import os
import subprocess
import sys

import gguf
import numpy as np
import pytest

import tallow as tl
from tallow.errors import ArgumentError, FormatError
from tallow.formats.gguf import Typed, open_gguf, save_gguf
from tallow.formats.gguf_split import GGUFSplit, is_shard_name, open_gguf_split


def weights(count=5):
    return {f"w{i}": tl.full((2, 4), i, "f32") for i in range(count)}


def test_shards_as_the_package_splits_them(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "theirs.gguf", "llama", split_max_tensors=2)
    for name, tensor in weights().items():
        writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    metadata = {"general.architecture": "llama"}
    paths = save_gguf(weights(), tmp_path / "ours.gguf", metadata, max_shard_bytes=64)
    for i, path in enumerate(paths):
        theirs = gguf.GGUFReader(tmp_path / f"theirs-{i + 1:05d}-of-00003.gguf")
        ours = gguf.GGUFReader(path)
        assert [t.name for t in ours.tensors] == [t.name for t in theirs.tensors]
        for mine, other in zip(ours.tensors, theirs.tensors, strict=True):
            np.testing.assert_array_equal(mine.data, other.data)
        names = [name for name in theirs.fields if name.startswith("split.")]
        assert len(names) == 3
        for name in names:
            assert ours.fields[name].types == theirs.fields[name].types
            assert ours.fields[name].contents() == theirs.fields[name].contents()
    with open_gguf_split(tmp_path / "theirs-00002-of-00003.gguf") as split:
        assert {name: split.tensor(name).tolist() for name in split.tensors} == {
            name: tensor.tolist() for name, tensor in weights().items()
        }


def test_shards_keep_alignment_and_drop_split_keys(tmp_path):
    source = {"split.no": 3, "split.count": 9, "split.tensors.count": 1, "k": 1}
    paths = save_gguf(weights(), tmp_path / "m.gguf", source, max_shard_bytes=64, alignment=128)
    assert [os.path.basename(path) for path in paths] == [
        f"m-{i:05d}-of-00005.gguf" for i in range(1, 6)
    ]
    with open_gguf_split(paths[0]) as split:
        assert isinstance(split, GGUFSplit)
        assert {shard.alignment for shard in split.shards} == {128}
        assert split.metadata["k"] == 1
        assert "k" not in split.shards[1].metadata
        assert repr(split).endswith("5 tensors, 5 shards)")
        with pytest.raises(FormatError, match=r"one of the 5 tensors .*close ones are 'w3'"):
            split.tensor("ww3")
    (one,) = save_gguf(weights(), tmp_path / "m.gguf", source, max_shard_bytes=10**6)
    with open_gguf(one) as file:
        assert list(file.metadata) == ["k"]


def test_a_tensor_beyond_the_limit_has_a_shard_of_its_own(tmp_path):
    tensors = {"a": tl.ones(4), "big": tl.ones(400), "b": tl.ones(4), "c": tl.ones(4)}
    paths = save_gguf(tensors, tmp_path / "m.gguf", max_shard_bytes=64)
    with open_gguf_split(paths[0]) as split:
        assert [[*s.tensors] for s in split.shards] == [["a"], ["big"], ["b", "c"]]
    with pytest.raises(ArgumentError, match="max_shard_bytes"):
        save_gguf(tensors, tmp_path / "m.gguf", max_shard_bytes=0)


def rewrite(path, changes, tensors=None):
    with open_gguf(path) as file:
        keys = {**file.metadata.typed_items(), **changes}
        tensors = tensors or {name: file.tensor(name) for name in file.tensors}
        # save_gguf drops split keys, so the file is made under other names of the same length.
        renamed = {key.replace("split.", "sqlit."): value for key, value in keys.items()}
        save_gguf(tensors, path, {k: v for k, v in renamed.items() if v is not None})
    with open(path, "rb") as file:
        raw = file.read()
    with open(path, "wb") as file:
        file.write(raw.replace(b"sqlit.", b"split."))


@pytest.mark.parametrize(
    ("number", "changes", "field"),
    [
        (1, {"split.no": Typed("u16", 0)}, "split.no"),
        (0, {"split.no": Typed("u16", 1)}, "split.no"),
        (0, {"split.no": None}, "split.no"),
        (2, {"split.count": Typed("u16", 4)}, "split.count"),
        (2, {"split.count": "3"}, "split.count"),
        (1, {"split.tensors.count": Typed("i32", 4)}, "split.tensors.count"),
        (0, {"split.tensors.count": None}, "split.tensors.count"),
        (0, {"split.tensors.count": True}, "split.tensors.count"),
    ],
)
def test_shards_that_contradict_each_other(tmp_path, number, changes, field):
    paths = save_gguf(weights(), tmp_path / "m.gguf", max_shard_bytes=64)
    rewrite(paths[number], changes)
    with pytest.raises(FormatError) as caught:
        open_gguf_split(paths[0])
    assert caught.value.field == f"metadata {field}"


def test_shards_that_hold_other_tensors_than_stated(tmp_path):
    paths = save_gguf(weights(), tmp_path / "m.gguf", max_shard_bytes=64)
    for path in paths:
        rewrite(path, {"split.tensors.count": Typed("i32", 6)})
    with pytest.raises(FormatError, match=r"split.tensors.count: expected 5, .* got 6"):
        open_gguf_split(paths[0])
    for path in paths:
        rewrite(path, {"split.tensors.count": Typed("i32", 5)})
    rewrite(paths[2], {}, {"w1": tl.ones(2)})
    with pytest.raises(FormatError, match=r"tensor 'w1': .*not used in another shard"):
        open_gguf_split(paths[0])


def test_a_shard_that_is_a_link_to_another(tmp_path):
    paths = save_gguf(weights(), tmp_path / "m.gguf", max_shard_bytes=64)
    os.unlink(paths[1])
    os.symlink(paths[0], paths[1])
    with pytest.raises(FormatError, match="split.no: expected 1, got 0"):
        open_gguf_split(paths[0])
    os.unlink(paths[1])
    os.symlink(paths[1], paths[1])  # itself
    with pytest.raises(FormatError, match="file: expected a readable file"):
        open_gguf_split(paths[0])


@pytest.mark.parametrize(
    "name", ["m.gguf", "m-1-of-2.gguf", "m-00003-of-00002.gguf", "m-00000-of-00002.gguf"]
)
def test_names_that_are_no_shards(tmp_path, name):
    save_gguf(weights(), tmp_path / name)
    with pytest.raises(FormatError, match="name: expected"):
        open_gguf_split(tmp_path / name)
    assert is_shard_name("a/b-00001-of-00002.gguf")
    assert not is_shard_name("b-00001-of-00002.gguf/c.gguf")


def test_missing_shard(tmp_path):
    paths = save_gguf(weights(), tmp_path / "m.gguf", max_shard_bytes=64)
    os.unlink(paths[2])
    with pytest.raises(FormatError, match=r"m-00003-of-00003.gguf: file: .*No such file"):
        open_gguf_split(paths[0])


KILLED = """
import os, sys
import tallow as tl
from tallow.formats.gguf import save_gguf
left = int(sys.argv[2])
def counted(real):
    def call(*args):
        global left
        left -= 1
        if left < 0:
            os._exit(42)
        return real(*args)
    return call
for name in ("fsync", "replace", "unlink", "open"):
    setattr(os, name, counted(getattr(os, name)))
save_gguf({f"w{i}": tl.full((2, 4), 7, "f32") for i in range(5)}, sys.argv[1], max_shard_bytes=64)
"""


def test_killed_at_any_step_leaves_no_half_set(tmp_path):
    """Every system call that changes the folder is the last one once."""
    states = set()
    for step in range(60):
        folder = tmp_path / str(step)
        folder.mkdir()
        paths = save_gguf(weights(), folder / "m.gguf", max_shard_bytes=64)
        done = subprocess.run([sys.executable, "-c", KILLED, folder / "m.gguf", str(step)])
        if os.path.exists(paths[0]):
            with open_gguf_split(paths[0]) as split:
                found = tuple(split.tensor(f"w{i}").tolist()[0][0] for i in range(5))
        else:
            found = "refused"
            with pytest.raises(FormatError, match="00001-of-00003.gguf: file: .*No such file"):
                open_gguf_split(paths[1])
        states.add(found)
        if done.returncode == 0:
            break
        assert done.returncode == 42
    assert states == {(0, 1, 2, 3, 4), (7,) * 5, "refused"}
    assert found == (7,) * 5
    assert sorted(os.listdir(folder)) == sorted(os.path.basename(path) for path in paths)


@pytest.mark.needs_llama_cpp
@pytest.mark.needs_model
def test_llama_cpp_reads_shards_and_alignment_as_the_original(smollm2_path, tmp_path):
    llama_cpp = pytest.importorskip("llama_cpp")
    with open_gguf(smollm2_path) as file:
        tensors = {name: file.tensor(name) for name in file.tensors}
        size = {"max_shard_bytes": 40_000_000, "alignment": 128}
        shards = save_gguf(tensors, tmp_path / "m.gguf", file.metadata, **size)
    assert len(shards) > 1

    def read(path):
        model = llama_cpp.Llama(str(path), n_ctx=32, n_threads=2, logits_all=True, verbose=False)
        try:
            model.eval(list(range(100, 110)))
            return model.metadata, np.array(model.scores[:10])
        finally:
            model.close()

    (ours, scores), (theirs, expected) = read(shards[0]), read(smollm2_path)
    added = {"general.alignment": "128", "split.no": "0", "split.count": str(len(shards))}
    assert ours == {**theirs, **added, "split.tensors.count": "272"}
    np.testing.assert_array_equal(scores, expected)


def test_real_model_in_shards(smollm2_path, tmp_path):
    with open_gguf(smollm2_path) as file:
        tensors = {name: file.tensor(name) for name in file.tensors}
        out = tmp_path / "m.gguf"
        paths = save_gguf(tensors, out, file.metadata, max_shard_bytes=30_000_000)
        assert len(paths) > 2
        with open_gguf_split(paths[1]) as split:
            assert [*split.tensors] == [*file.tensors]
            for name in file.tensors:
                assert split.data(name) == file.data(name)
            kept = split.metadata.typed_items()
        for key in ("split.no", "split.count", "split.tensors.count"):
            del kept[key]
        assert kept == file.metadata.typed_items()


def test_folder_that_is_not_there(tmp_path):
    tensors = {"a": tl.ones(9), "b": tl.ones(9)}
    with pytest.raises(FormatError, match="file that can be written"):
        save_gguf(tensors, tmp_path / "no" / "m.gguf", max_shard_bytes=40)
