"""Which files of a folder are read: sets of parts, with and without an index."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tallow as tl
from tallow.errors import FormatError, HubError, ModelError
from tallow.formats.gguf import save_gguf
from tallow.formats.part_names import part_name
from tallow.formats.safetensors import save_safetensors
from tallow.formats.torch_pickle import save_torch
from tallow.weights import open_weights

THREE = {f"t{i}": tl.tensor([float(i)]) for i in range(3)}
PATTERNS = [
    "model-{:05d}-of-00003.safetensors",
    "model-{:05d}-of-000003.safetensors",  # as DeepSeek's
    "model.fp16-{:05d}-of-00003.safetensors",
    "model-{:05d}-of-00003.fp16.safetensors",
    "diffusion_pytorch_model-{:05d}-of-00003.safetensors",
    "consolidated-{:05d}-of-00003.safetensors",
    "model_{:05d}-of-00003.safetensors",
    "model-{}-of-3.safetensors",
    "{:05d}-of-00003.safetensors",
    "pytorch_model-{:05d}-of-00003.bin",
    "pytorch_model_{:05d}-of-00003.bin",
    "checkpoint-{:02d}-of-03.pt",
]


def write(folder, pattern, first=1):
    save = save_safetensors if pattern.endswith(".safetensors") else save_torch
    paths = [folder / pattern.format(first + i) for i in range(3)]
    for path, (name, tensor) in zip(paths, THREE.items(), strict=True):
        save({name: tensor}, path)
    return paths


def values(source):
    return {name: source.take(name).tolist() for name in source.names()}


WANTED = {name: tensor.tolist() for name, tensor in THREE.items()}


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_parts_without_an_index_are_one_set(tmp_path, pattern, first):
    paths = write(tmp_path, pattern, first)
    for place in (tmp_path, *paths):
        with open_weights(place) as source:
            assert values(source) == WANTED


@pytest.mark.parametrize("gone", range(3))
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_missing_part_is_named(tmp_path, pattern, gone):
    paths = write(tmp_path, pattern)
    paths[gone].unlink()
    left = [path for path in paths if path.exists()]
    for place in (tmp_path, *left):
        with pytest.raises(FormatError, match=f"2: {paths[gone].name} is missing"):
            open_weights(place)


@pytest.mark.parametrize("gone", range(1, 4))
def test_a_missing_part_of_gguf_is_named(tmp_path, gone):
    paths = save_gguf(THREE, tmp_path / "m.gguf", max_shard_bytes=1)
    assert values(open_weights(tmp_path)) == values(open_weights(paths[1])) == WANTED
    (tmp_path / f"m-0000{gone}-of-00003.gguf").unlink()
    with pytest.raises(FormatError, match=f"m-0000{gone}-of-00003.gguf"):
        open_weights(tmp_path)


def test_parts_that_stand_twice_or_beyond(tmp_path):
    paths = write(tmp_path, "model-{}-of-3.safetensors")
    (tmp_path / "model-02-of-3.safetensors").write_bytes(paths[1].read_bytes())
    with pytest.raises(FormatError, match="part 2 of 3: expected one file"):
        open_weights(tmp_path)
    (tmp_path / "model-02-of-3.safetensors").rename(tmp_path / "model-4-of-3.safetensors")
    with pytest.raises(FormatError, match="expected a part from 1 to 3, got 4"):
        open_weights(tmp_path)


def test_one_name_in_two_parts(tmp_path):
    for number in (1, 2):
        save_safetensors({"w": tl.ones(1)}, tmp_path / f"m-{number}-of-2.safetensors")
    with pytest.raises(ModelError, match="'w': expected once, found in two files"):
        open_weights(tmp_path)


@pytest.mark.parametrize(
    "name", ["made-of-wool.safetensors", "1-of-0.bin", "a-1-of-2", "best-of-8.gguf", "x1-of-2.pt"]
)
def test_names_that_mean_no_part(name):
    assert part_name(name) is None


# --- what counts where several are there ----------------------------------------------------------


def index(folder, name, places):
    (folder / name).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def test_the_order_of_transformers(tmp_path):
    """`_get_resolved_checkpoint_files` of transformers 5: a single file before an index."""
    index(tmp_path, "pytorch_model.bin.index.json", {"w": "old-1-of-1.bin"})
    save_torch({"w": tl.tensor([0.0])}, tmp_path / "old-1-of-1.bin")
    assert values(open_weights(tmp_path)) == {"w": [0.0]}
    save_torch({"w": tl.tensor([1.0])}, tmp_path / "pytorch_model.bin")
    assert values(open_weights(tmp_path)) == {"w": [1.0]}
    index(tmp_path, "model.safetensors.index.json", {"w": "model-00001-of-00001.safetensors"})
    save_safetensors({"w": tl.tensor([2.0])}, tmp_path / "model-00001-of-00001.safetensors")
    assert values(open_weights(tmp_path)) == {"w": [2.0]}
    save_safetensors({"w": tl.tensor([3.0])}, tmp_path / "model.safetensors")
    assert values(open_weights(tmp_path)) == {"w": [3.0]}
    save_safetensors({"w": tl.tensor([4.0])}, tmp_path / "consolidated.safetensors")
    assert values(open_weights(tmp_path)) == {"w": [3.0]}
    (tmp_path / "config.json").write_text('{"transformers_weights": "consolidated.safetensors"}')
    assert values(open_weights(tmp_path)) == {"w": [4.0]}
    (tmp_path / "config.json").write_text('{"transformers_weights": "../x.safetensors"}')
    with pytest.raises(ModelError, match="transformers_weights: expected the name of a file"):
        open_weights(tmp_path)


def test_the_usual_set_counts_beside_others(tmp_path):
    write(tmp_path, "model-{:05d}-of-00003.safetensors")
    save_safetensors({"other": tl.ones(1)}, tmp_path / "consolidated.safetensors")
    assert values(open_weights(tmp_path)) == WANTED


def test_unrelated_files_are_a_question(tmp_path):
    for name in ("a", "b"):
        save_safetensors({"w": tl.ones(1)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(ModelError, match=r"2 \.safetensors models: name one.*a\.safetensors, b"):
        open_weights(tmp_path)


def test_an_adapter_beside_its_model_is_not_passed_over(tmp_path):
    save_safetensors({"w": tl.ones(1)}, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text("{}")
    assert open_weights(tmp_path).names() == ["w"]  # the adapter's own tensors
    save_safetensors({"w": tl.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="an adapter .* merge the adapter"):
        open_weights(tmp_path)
    assert open_weights(tmp_path / "model.safetensors").names() == ["w"]


def test_parts_behind_a_url(tmp_path, server):
    paths = write(tmp_path, "model-{:05d}-of-00003.safetensors")
    server.files = {f"/{path.name}": path.read_bytes() for path in paths}
    source = open_weights(f"{server.url}/{paths[1].name}?x=1")
    assert sorted(source.names()) == list(THREE)
    np.testing.assert_array_equal(source.take("t2").numpy(), [2.0])
    del server.files[f"/{paths[2].name}"]
    with pytest.raises(HubError, match=paths[2].name):
        open_weights(f"{server.url}/{paths[0].name}")
