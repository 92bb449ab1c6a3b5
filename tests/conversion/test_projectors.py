"""Models that read pictures as two GGUF files: what the folder gives, and llama.cpp's own files."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from models.gguf_families import written
from models.golden_families import Case
from tallow.cli import main
from tallow.conversion.gguf_projector import projector_content, text_content
from tallow.errors import ArgumentError, ModelError
from tallow.formats.gguf import LazyTensor, open_gguf, save_gguf
from tallow.models import build, load
from tallow.weights import open_weights
from tasks.pictured import MODELS, asked, picture, write

GOLDENS = (
    "gemma3",
    "llava",
    "llava_pixtral",
    "mistral3",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "idefics3",
)
OPTIONS = {"max_tokens": 12, "ignore_eos": True}
PROCESSORS = {
    "qwen": "Qwen2VL",
    "idef": "Idefics3",
    "smol": "SmolVLM",
    "mist": "Pixtral",
    "gemm": "Gemma3",
}
# What llama.cpp's converter writes of goldens: see tests/golden/make_projectors.py.
THEIRS = json.loads((Path(__file__).parents[1] / "golden" / "projectors.json").read_text())


def folder_of(name, tmp_path):
    """A golden with a processor's file beside it."""
    target = tmp_path / "folder"
    target.mkdir()
    for path in Case(name).folder.iterdir():
        (target / path.name).symlink_to(path)
    kind = PROCESSORS.get(name[:4], "CLIP")
    values = {"image_processor_type": f"{kind}ImageProcessor", "image_mean": [0.5, 0.4, 0.3],
              "image_std": [0.2, 0.3, 0.25]}  # fmt: skip
    (target / "preprocessor_config.json").write_text(json.dumps(values))
    return target


def saved(content, path):
    """The content as a file in f32, so that nothing is rounded."""
    tensors = {
        e.name: LazyTensor("f32", e.shape, lambda e=e: e.take().to(tl.f32))
        for e in content.entries.values()
    }
    save_gguf(tensors, path, content.metadata)
    return path


def files_of(name, tmp_path):
    """Text and projector of a golden."""
    source = open_weights(folder_of(name, tmp_path))
    return (
        saved(text_content(source), tmp_path / "text.gguf"),
        saved(projector_content(source), tmp_path / "mmproj.gguf"),
    )


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    return files_of("qwen2_vl", tmp_path_factory.mktemp("qwen"))


@pytest.mark.parametrize("name", GOLDENS)
def test_two_files_give_what_the_folder_gives(name, tmp_path):
    text, projector = files_of(name, tmp_path)
    model = build(open_weights(text), projector=open_weights(projector), activations="float")
    case = Case(name)
    place = case.config.get("image_token_index", case.config.get("image_token_id"))
    ids = case.inputs["input_ids"]
    ids = tl.where(ids.eq(place), tl.full(ids.shape, model.image_token, dtype=tl.i64), ids)
    case.check(case.run(model, {**case.inputs, "input_ids": ids}))


@pytest.mark.parametrize("name", THEIRS)
def test_files_are_those_of_the_converter(name, tmp_path):
    source = open_weights(folder_of(name, tmp_path))
    ours_of = (text_content(source), projector_content(source))
    for content, theirs in zip(ours_of, THEIRS[name], strict=True):
        assert {
            e.name: [list(e.shape), zlib.crc32(e.take().to(tl.f32).numpy().tobytes())]
            for e in content.entries.values()
        } == theirs["tensors"]
        ours = {key: value.value for key, value in content.metadata.items()}
        for key, value in theirs["metadata"].items():
            inexact = "image_" in key or isinstance(value, float)
            assert ours[key] == (pytest.approx(value) if inexact else value), key


def merging(folder):
    """The folder with a tokenizer that joins two letters, as a GGUF file wants one to."""
    path = folder / "tokenizer.json"
    values = json.loads(path.read_text())
    words = values["model"]["vocab"]
    words["qq"] = words.pop(next(word for word in words if word.startswith("unused")))
    values["model"]["merges"] = ["q q"]
    path.write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_chats_are_those_of_the_folder(name, tmp_path):
    folder = merging(write(tmp_path / "model", name))
    text, projector = str(tmp_path / "gguf" / "text.gguf"), str(tmp_path / "gguf" / "mmproj.gguf")
    (tmp_path / "gguf").mkdir()
    assert main(["convert", str(folder), text, "--dtype", "f32"]) == 0
    assert main(["convert", str(folder), projector, "--projector", "--dtype", "f32"]) == 0
    question = asked("what?", picture(20, 30))
    with tl.LLM(folder, activations="float") as llm:
        want = llm.chat(question, **OPTIONS)
    with tl.LLM(text, projector=projector, activations="float") as llm:
        found = llm.chat(question, **OPTIONS)
        assert found.prompt_tokens == want.prompt_tokens
        assert found.tokens == want.tokens
    with tl.LLM(tmp_path / "gguf", activations="float") as llm:  # both files of a folder
        assert llm.chat(question, **OPTIONS).tokens == want.tokens
    with tl.LLM(text) as llm, pytest.raises(ArgumentError, match="reads text alone"):
        llm.chat(question, **OPTIONS)


def test_a_text_alone_is_a_model(qwen):
    model = load(qwen[0])
    assert type(model).__name__ == "Qwen2"
    ids = tl.tensor([[5, 9, 11]])
    both = load(qwen[0], projector=qwen[1])
    np.testing.assert_allclose(model(ids).logits.numpy(), both(ids).logits.numpy(), rtol=1e-5)


def test_shapes_are_known_on_meta(qwen):
    model = load(qwen[0], projector=qwen[1], device="meta")
    assert model.visual.patch_embed.proj.weight.shape[2] == 2
    assert load(qwen[0], projector=qwen[1], context=20).context == 20


def changed(path, target, **metadata):
    """A file with other values of some keys, None leaving one out."""
    with open_gguf(path) as file:
        tensors = {name: file.tensor(name).clone() for name in file.tensors}
        kept = {**file.metadata, **{k.replace("__", "."): v for k, v in metadata.items()}}
    save_gguf(tensors, target, {k: v for k, v in kept.items() if v is not None})
    return target


REFUSED = {
    "type": ({"clip__projector_type": "resampler"}, "clip.projector_type: expected one of the"),
    "mean": ({"clip__vision__image_mean": None}, "clip.vision.image_mean: expected three numbers"),
    "depth": ({"clip__vision__block_count": 2**31 - 1}, "clip.vision.block_count: expected an"),
    "width": ({"clip__vision__embedding_length": 24}, "clip.vision.feed_forward_length: expected"),
    "layers": ({"clip__vision__block_count": 7}, "found nothing"),
    "colours": ({"clip__vision__image_std": 7}, "clip.vision.image_std: expected three numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_damaged_projector_is_refused(name, qwen, tmp_path):
    metadata, wanted = REFUSED[name]
    bad = changed(qwen[1], tmp_path / "bad.gguf", **metadata)
    with pytest.raises(ModelError, match=wanted):
        load(qwen[0], projector=bad)


def test_without_a_chosen_layer_the_last_one_counts(tmp_path):
    text, projector = files_of("llava", tmp_path)
    older = changed(projector, tmp_path / "older.gguf", clip__vision__feature_layer=None)
    models = [load(text, projector=each, activations="float") for each in (projector, older)]
    assert models[1].config.vision_feature_layer == 2
    pixels = Case("llava").inputs["pixel_values"]
    want, found = (model.features({"pixel_values": pixels}).numpy() for model in models)
    assert np.array_equal(want, found)


def test_axes_that_are_no_list_are_refused(qwen, tmp_path):
    bad = changed(qwen[0], tmp_path / "bad.gguf", qwen2vl__rope__dimension_sections=7)
    with pytest.raises(ModelError, match="dimension_sections: expected three numbers, and perhaps"):
        load(bad, projector=qwen[1])


def test_other_files_are_no_projectors(qwen, tmp_path):
    with pytest.raises(ModelError, match="expected clip, as files of projectors have, found 'qwen"):
        load(qwen[0], projector=qwen[0])
    with pytest.raises(ModelError, match="rope.dimension_sections: expected three numbers"):
        load(written(Case("qwen2").folder, tmp_path / "text.gguf")[0], projector=qwen[1])
    with pytest.raises(ModelError, match="expected a GGUF file beside a projector"):
        load(Case("qwen2").folder, projector=qwen[1])


def test_of_several_projectors_one_has_to_be_named(qwen, tmp_path):
    for path, name in zip((*qwen, qwen[1]), ("a", "mmproj-b", "mmproj-c"), strict=True):
        (tmp_path / f"{name}.gguf").symlink_to(path)
    with pytest.raises(ModelError, match=r"found mmproj-b.gguf, mmproj-c.gguf"):
        load(tmp_path)
    assert load(tmp_path, projector=tmp_path / "mmproj-c.gguf").image_token == 64


def test_what_files_cannot_tell_is_refused(tmp_path):
    source = open_weights(folder_of("llava_siglip", tmp_path))
    with pytest.raises(ModelError, match="expected a tower of CLIP's or Pixtral's"):
        projector_content(source)


def test_pictures_have_places_where_the_vocabulary_has_no_word(tmp_path):
    folder = merging(write(tmp_path / "model", "llava"))
    text, projector = tmp_path / "text.gguf", tmp_path / "mmproj.gguf"
    assert main(["convert", str(folder), str(text), "--dtype", "f32"]) == 0
    assert main(["convert", str(folder), str(projector), "--projector", "--dtype", "f32"]) == 0
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}a:"
    with open_gguf(text) as file:
        words = [
            word.replace("<image>", "unused60") for word in file.metadata["tokenizer.ggml.tokens"]
        ]
    older = changed(text, tmp_path / "older.gguf", tokenizer__ggml__tokens=words,
                    tokenizer__chat_template=template)  # fmt: skip
    shown = picture(20, 30)
    with tl.LLM(older, projector=projector, activations="float") as llm:
        place = llm.model.image_token
        ids = llm.chat_ids(asked("what?", shown, before="a"))
        assert place == 64 and ids.count(place) == 1
        assert llm.tokenizer.decode(ids[: ids.index(place)]) == "user: a"
        assert llm.tokenizer.decode(ids[ids.index(place) + 1 :]) == "\nwhat?\na:"
        answer = llm.chat(asked("what?", shown, before="a"), **OPTIONS)
        prompt = "user: a<image>\nwhat?\na:"
        assert llm.generate(prompt, images=[shown], **OPTIONS).tokens == answer.tokens
        with pytest.raises(ArgumentError, match="a place for each of 2 pictures, got 1 places"):
            llm.generate(prompt, images=[shown, shown], **OPTIONS)
    with tl.LLM(text, projector=projector, activations="float") as llm:
        assert llm.generate(prompt, images=[shown], **OPTIONS).tokens == answer.tokens
