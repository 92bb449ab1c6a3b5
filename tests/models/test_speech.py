"""Speech models: older names of weights, losses, what does not fit."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case
from tallow.errors import ArgumentError, ModelError
from tallow.safetensors import save_file


def test_weights_by_the_older_names_of_weight_norm(tmp_path):
    case = Case("wav2vec2_ctc")
    shutil.copytree(case.folder, tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    names = {"original0": "weight_g", "original1": "weight_v"}
    tensors = {}
    for key, value in dict(tl.load(path)).items():
        head, _, last = key.rpartition(".parametrizations.weight.")
        tensors[f"{head}.{names[last]}" if head else key] = value
    assert sum("weight_g" in key for key in tensors) == 1
    save_file(tensors, path)
    case.check(case.run(tl.models.load(tmp_path / "model")))


def test_a_normed_weight_follows_its_parts():
    model = Case("wav2vec2_ctc").load()
    conv = model.wav2vec2.encoder.pos_conv_embed.conv
    assert conv.weight is conv.weight
    before = conv.weight.numpy().copy()
    with tl.no_grad():
        conv.parametrizations.weight.original0.mul_(2)
    np.testing.assert_allclose(conv.weight.numpy(), 2 * before, rtol=1e-6)


def test_fine_tuned_files_may_lack_the_vector_of_masked_frames(tmp_path):
    case = Case("wav2vec2_ctc")
    shutil.copytree(case.folder, tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    tensors = {k: v for k, v in dict(tl.load(path)).items() if "masked_spec_embed" not in k}
    save_file(tensors, path)
    case.check(case.run(tl.models.load(tmp_path / "model")))


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", ["wav2vec2_ctc", "wav2vec2_classes", "wav2vec2_xvector"])
def test_losses_are_those_of_transformers(name):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    case = Case(name)
    model = case.load()
    kind = {
        "wav2vec2_ctc": transformers.Wav2Vec2ForCTC,
        "wav2vec2_classes": transformers.Wav2Vec2ForSequenceClassification,
        "wav2vec2_xvector": transformers.Wav2Vec2ForXVector,
    }[name]
    labels = [[3, 4, 4, -100], [5, 6, -100, -100]] if name == "wav2vec2_ctc" else [1, 3]
    other = kind.from_pretrained(case.folder, dtype=torch.float32).eval()
    given = {key: torch.tensor(value.numpy()) for key, value in case.inputs.items()}
    want = other(**given, labels=torch.tensor(labels)).loss.item()
    found = model(**case.inputs, labels=tl.tensor(labels)).loss.item()
    assert found == pytest.approx(want, rel=1e-4)


def test_masked_frames_are_learned_vectors():
    case = Case("wav2vec2_ctc")
    model = case.load().wav2vec2
    samples = case.inputs["input_values"]
    n = model(samples).last_hidden_state.shape[1]
    every = model(samples, mask_time_indices=tl.ones(2, n, dtype=tl.i64)).last_hidden_state
    np.testing.assert_allclose(every[0].numpy(), every[1].numpy(), rtol=0, atol=1e-6)


def test_sounds_shorter_than_a_frame_are_refused():
    model = Case("wav2vec2_ctc").load()
    least = model.config.shortest
    assert model.config.frames(least) == 1
    assert model(tl.zeros(1, least)).logits.shape[1] == 1
    with pytest.raises(ArgumentError, match=f"input_values: expected {least} samples or more"):
        model(tl.zeros(1, least - 1))


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("conv_stride", [5, 2], "one number for each of 3 stages"),
        ("num_conv_pos_embedding_groups", 5, "a divisor of hidden_size 32"),
        ("feat_extract_norm", "batch", "'group' or 'layer'"),
        ("conv_dim", [], "one width at least"),
        ("tdnn_kernel", [1], "one number for each of 3 stages"),
    ],
)
def test_configs_that_contradict_themselves(key, value, told, tmp_path):
    shutil.copytree(Case("wav2vec2_ctc").folder, tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ModelError, match=f"{key}: expected {told}"):
        tl.models.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("encoder_num_attention_heads", 4, "2, as decoder_num_attention_heads"),
        ("decoder_num_key_value_heads", 1, "2, as decoder_num_attention_heads"),
        ("rope_parameters", {"rope_type": "yarn"}, "'default'"),
        ("rope_parameters", {"partial_rotary_factor": 0.8}, "an even part of a head"),
        ("hidden_size", 25, "a divisor of hidden_size 25"),
    ],
)
def test_moonshine_says_what_it_cannot(key, value, told, tmp_path):
    shutil.copytree(Case("moonshine").folder, tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ModelError, match=f"expected {told}"):
        tl.models.load(tmp_path / "model")


def test_the_shortest_sound_for_moonshine():
    model = Case("moonshine_generation").load()
    ids = tl.tensor([[1]])
    assert model(tl.zeros(1, 895), decoder_input_ids=ids).logits.shape == (1, 1, 48)
    with pytest.raises(ArgumentError, match="input_values: expected 895 samples or more, got 894"):
        model(tl.zeros(1, 894), decoder_input_ids=ids)
