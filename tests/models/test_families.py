"""Every family, from every kind of file, gives the logits that transformers gives."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import tallow as tl
from models.conftest import ROOT
from models.golden_families import CASES as GOLDENS
from models.golden_families import ROOT as ROOT_OF_GOLDENS
from tallow.errors import ContextError
from tallow.models import FAMILIES, CausalLM, build, rows
from tallow.weights import open_weights

CASES = {
    "llama": ("hf", "f16", "q4_0", "q8_0"),
    "llama3": ("hf", "f16", "q4_0", "q8_0"),
    "llama_bias": ("hf",),
    "mistral": ("hf", "f16", "q4_0", "q8_0"),
    "qwen2": ("hf", "f16", "q4_0", "q8_0"),
    "qwen3": ("hf", "f16", "q4_0", "q8_0"),
}
VARIANTS = {"llama": "linear", "mistral": "no_window", "qwen2": "window", "qwen3": "yarn"}
PAIRS = [(case, form) for case, forms in CASES.items() for form in forms]


def close(a, b, tolerance=1e-4):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_every_family_of_decoders_has_a_case():
    decoders = {name for name, row in FAMILIES.items() if issubclass(row.model, CausalLM)}
    goldens = (json.loads((ROOT_OF_GOLDENS / n / "config.json").read_text()) for n in GOLDENS)
    assert decoders <= CASES.keys() | {each.get("model_type") for each in goldens}


@pytest.mark.parametrize(("case", "form"), PAIRS)
def test_logits_match_transformers(case, form, golden, run):
    expected = golden(case)
    close(run(expected.load(form), expected.ids), expected.logits(form))


@pytest.mark.parametrize(("case", "variant"), VARIANTS.items())
def test_other_configs_of_the_same_weights(case, variant, golden, run, tmp_path):
    expected = golden(case)
    shutil.copytree(expected.folder, tmp_path / "model")
    shutil.copy(expected.folder / f"config.{variant}.json", tmp_path / "model" / "config.json")
    model = build(open_weights(tmp_path / "model"))
    logits = run(model, expected.ids)
    close(logits, expected.logits(f"variant.{variant}"))
    assert np.abs(logits - expected.logits("hf")).max() > 0.1


@pytest.mark.parametrize(("case", "form"), PAIRS)
def test_cache_equals_full_pass(case, form, golden, run):
    expected = golden(case)
    model = expected.load(form)
    state = model.make_state(2, 4)
    ids = np.array(expected.ids)
    parts = []
    for begin, end in [(0, 5), (5, 6), (6, 7), (7, 12), *((i, i + 1) for i in range(12, 16))]:
        parts.append(run(model, ids[:, begin:end].tolist(), state=state))
    assert state.lengths == [16, 16]
    close(np.concatenate(parts, 1), expected.logits(form))


@pytest.mark.parametrize("dtype", ["f16"])
def test_half_precision_cache_is_near(dtype, golden, run):
    expected = golden("qwen3")
    model = expected.load("hf")
    state = model.make_state(2, dtype=tl.f16)
    ids = np.array(expected.ids)
    run(model, ids[:, :10].tolist(), state=state)
    close(run(model, ids[:, 10:].tolist(), state=state), expected.logits("hf")[:, 10:], 0.05)


@pytest.mark.parametrize(("case", "form"), PAIRS)
def test_batch_equals_singles(case, form, golden, run):
    expected = golden(case)
    model = expected.load(form)
    for row, ids in enumerate(expected.ids):
        close(run(model, [ids]), expected.logits(form)[row : row + 1])


@pytest.mark.parametrize("form", ["q4_0", "q8_0"])
def test_fast_activations_are_near(form, golden, run):
    expected = golden("llama")
    fast = run(expected.load(form, activations="int8"), expected.ids)
    error = np.abs(fast - expected.logits(form))
    assert 0 < error.mean() < 0.35  # logits have a standard deviation of 4.3


@pytest.mark.parametrize("form", ["hf", "f16"])
def test_float_weights_may_be_converted(form, golden, run):
    expected = golden("qwen2")
    model = expected.load(form, dtype=tl.f32)
    assert {tensor.dtype for tensor in model.parameters()} == {tl.f32}
    close(run(model, expected.ids), expected.logits(form))


def test_logits_to_keep_is_the_last_position(golden, run):
    expected = golden("llama")
    model = expected.load("hf")
    last = run(model, expected.ids, logits_to_keep=1)
    assert last.shape == (2, 1, 288)
    close(last, expected.logits("hf")[:, -1:])


def test_parameters_borrow_the_file(golden):
    source = open_weights(golden("llama").path("q4_0"))
    model = build(source)
    weight = model.model.layers[0].mlp.gate_proj.weight
    assert weight.dtype is tl.q4_0
    assert weight.data_ptr() == source.take("blk.0.ffn_gate.weight").data_ptr()


def test_tied_head_is_the_embedding(golden):
    model = golden("llama").load("q8_0")
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert "lm_head.weight" not in dict(model.named_parameters())


def test_beyond_the_context(golden, run):
    model = golden("llama").load("hf")
    with pytest.raises(ContextError, match=r"at most 64 positions.*0 in the cache \+ 65 new"):
        run(model, [[1] * 65])
    state = model.make_state()
    run(model, [[1] * 60], state=state)
    with pytest.raises(ContextError, match=r"60 in the cache \+ 5 new"):
        run(model, [[1] * 5], state=state)
    assert state.length == 60


def test_ids_beyond_the_vocabulary(golden, run):
    model = golden("llama").load("hf")
    with pytest.raises(tl.TallowError):
        run(model, [[288]])
    with pytest.raises(tl.TallowError):
        run(model, [[-1]])


def test_the_loss_is_that_of_the_next_token(golden, run):
    expected = golden("llama")
    model = expected.load("hf")
    ids = tl.tensor(expected.ids)
    labels = np.array(expected.ids)
    labels[0, :5], labels[1, 3] = -100, -100
    found = model(ids, labels=tl.tensor(labels))
    logits = found.logits.numpy().astype(np.float64)[:, :-1]
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    after = labels[:, 1:]
    picked = np.take_along_axis(logs, np.maximum(after, 0)[..., None], -1)[..., 0]
    assert found.loss.item() == pytest.approx(-picked[after >= 0].mean(), rel=1e-4)
    assert found.keys() == ["loss", "logits"]


def test_inputs_that_do_not_belong_together(golden):
    model = golden("llama").load("hf")
    ids = tl.tensor([[1, 2, 3]])
    embeds = model.model.embed_tokens(ids)
    for bad in (
        {},
        {"input_ids": ids, "inputs_embeds": embeds},
        {"input_ids": ids[0]},
        {"input_ids": ids[:, :0]},
        {"inputs_embeds": embeds[0]},
        {"input_ids": ids, "attention_mask": tl.tensor([[1, 1]])},
        {"input_ids": ids, "attention_mask": tl.tensor([1, 1, 1])},
        {"input_ids": ids, "labels": tl.tensor([[1, 2]])},
        {"input_ids": ids, "logits_to_keep": -1},
        {"input_ids": ids, "state": model.make_state(), "position_ids": ids},
        {"input_ids": ids, "state": model.make_state(2)},
    ):
        with pytest.raises(tl.TallowError, match="expected"):
            model(**bad)


def test_embeddings_continue_a_state(golden, run):
    expected = golden("llama")
    model = expected.load("hf")
    state = model.make_state(2)
    ids = tl.tensor(expected.ids)
    embeds = model.model.embed_tokens(ids)
    found = [
        model(ids[:, :4], state=state).logits.numpy(),
        model(inputs_embeds=embeds[:, 4:9], state=state).logits.numpy(),
        model(ids[:, 9:], state=state, output_hidden_states=True),
    ]
    assert [h.shape for h in found[2].hidden_states] == [(2, 7, 64)] * 3
    close(np.concatenate([*found[:2], found[2].logits.numpy()], 1), expected.logits("hf"))


@pytest.mark.parametrize("case", ["llama", "qwen3"])
def test_a_file_for_the_model_without_a_head_and_back(case, golden, tmp_path):
    """As Qwen3-Embedding's: the class of a language model, names without `model.`, no head."""
    expected = golden(case)
    ids = tl.tensor(expected.ids)
    whole = expected.load("hf")
    wanted = whole(ids, output_hidden_states=True)
    alone = tl.models.load(expected.folder, task="embedding")
    close(alone(ids).last_hidden_state.numpy(), wanted.hidden_states[-1].numpy())
    shutil.copy(expected.folder / "config.json", tmp_path)
    tensors = {name.removeprefix("model."): t for name, t in whole.state_dict().items()}
    tensors.pop("lm_head.weight")  # tied
    tl.safetensors.save_file(tensors, tmp_path / "model.safetensors")
    for task in ("embedding", "text-generation"):
        again = tl.models.load(tmp_path, task=task)
        found = again(ids)
        assert type(again) is (type(alone) if task == "embedding" else type(whole))
        for name, value in found.items():
            want = wanted if task != "embedding" else alone(ids)
            close(value.numpy(), want[name].numpy())


@pytest.mark.parametrize("name", ["trocr_alone", "mbart_decoder"])
def test_a_decoder_of_an_encoder_generates_alone(name):
    model = build(open_weights(ROOT.parent / "families" / name))
    ids = [[9, 20, 7], [31, 8, 5]]
    options = {"eos_token_id": None, "forced_eos_token_id": None}
    found = model.generate(tl.tensor(ids), max_new_tokens=9, **options).tolist()
    for _ in range(9):
        best = model(tl.tensor(ids)).logits[:, -1].argmax(-1).tolist()
        ids = [[*row, token] for row, token in zip(ids, best, strict=True)]
    assert found == ids


def test_each_family_stands_once():
    lines = rows.FAMILIES.replace("\n    ", " ").strip().splitlines()
    names = [row.partition(":")[0].partition("=")[0].strip() for row in lines]
    assert names == sorted(set(names))
