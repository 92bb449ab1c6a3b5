"""Encoder-decoders of text: labels, names of tensors, and what is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case, close
from tallow.errors import ArgumentError, ContextError, ModelError
from tallow.safetensors import save_file

WHOLE = [
    "bart_generation", "mbart_generation", "encoder-decoder", "encoder-decoder_gpt2",
    "marian_generation", "m2m_100_generation", "t5_generation", "umt5_generation",
]  # fmt: skip
LABELS = [[5, 9, 33, 2, -100, -100], [7, 8, 4, 61, 5, 2]]


def changed(tmp_path, name, change=dict, **config):
    """A copy of a golden's folder with other tensors and other values in its config."""
    folder = tmp_path / name
    shutil.copytree(Case(name).folder, folder)
    save_file(change(dict(tl.load(folder / "model.safetensors"))), folder / "model.safetensors")
    values = {**json.loads((folder / "config.json").read_text()), **config}
    kept = {key: value for key, value in values.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(kept))
    return folder


def encoder_inputs(case):
    return {key: case.inputs[key] for key in ("input_ids", "attention_mask")}


@pytest.mark.needs_torch
@pytest.mark.filterwarnings("ignore:Version v4.12:FutureWarning")
@pytest.mark.parametrize("start", [1, 2])  # padding itself, or a token
@pytest.mark.parametrize("name", WHOLE)
def test_losses_of_labels_equal_transformers(name, start, tmp_path):
    import torch
    import transformers

    case = Case(name)
    folder = changed(tmp_path, name, decoder_start_token_id=start, pad_token_id=1)
    cls = getattr(transformers, case.notes["model"])
    model = cls.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = {k: torch.tensor(v.numpy()) for k, v in encoder_inputs(case).items()}
    want = model(**inputs, labels=torch.tensor(LABELS))
    found = tl.models.load(folder)(**encoder_inputs(case), labels=tl.tensor(LABELS))
    assert found.loss.item() == pytest.approx(want.loss.item(), rel=1e-4)
    logits = want.logits.detach().numpy()
    np.testing.assert_allclose(found.logits.numpy(), logits, rtol=1e-3, atol=1e-3)


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", ["bart_classification", "t5_classification"])
def test_losses_of_classes_equal_transformers(name):
    import torch
    import transformers

    case = Case(name)
    cls = getattr(transformers, case.notes["model"])
    model = cls.from_pretrained(case.folder, dtype=torch.float32).eval()
    inputs = {k: torch.tensor(v.numpy()) for k, v in case.inputs.items()}
    want = model(**inputs, labels=torch.tensor([2, 1])).loss.item()
    found = case.load()(**case.inputs, labels=tl.tensor([2, 1])).loss.item()
    assert found == pytest.approx(want, rel=1e-4)


@pytest.mark.needs_torch
def test_a_language_is_forced_by_its_id():
    import torch
    import transformers

    case = Case("mbart_generation")
    cls = transformers.MBartForConditionalGeneration
    model = cls.from_pretrained(case.folder, dtype=torch.float32).eval()
    options = {"forced_bos_token_id": 40, "forced_eos_token_id": 2, "decoder_start_token_id": 2,
               "num_beams": 4, "max_length": 12, "no_repeat_ngram_size": 2}  # fmt: skip
    inputs = encoder_inputs(case)
    want = model.generate(**{k: torch.tensor(v.numpy()) for k, v in inputs.items()}, **options)
    found = case.load().generate(**inputs, **options).tolist()
    assert found == want.tolist()
    assert all(row[:2] == [2, 40] for row in found)


@pytest.mark.parametrize("name", WHOLE)
def test_outputs_of_the_encoder_stand_in_its_place(name):
    case = Case(name)
    model = case.load()
    whole = model(**case.inputs, output_hidden_states=True)
    encoded = tl.models.outputs.BaseOutput(whole.encoder_last_hidden_state)
    rest = {key: value for key, value in case.inputs.items() if key != "input_ids"}
    found = model(**rest, encoder_outputs=encoded)
    assert np.array_equal(found.logits.numpy(), whole.logits.numpy())


@pytest.mark.parametrize("name", ["bart_generation", "m2m_100_generation", "umt5_generation"])
def test_a_state_continues_what_the_decoder_wrote(name):
    case = Case(name)
    model, ids = case.load(), case.inputs["decoder_input_ids"]
    state, given = model.make_state(2), encoder_inputs(case)
    first = model(**given, decoder_input_ids=ids[:, :3], state=state)
    encoded = tl.models.outputs.BaseOutput(first.encoder_last_hidden_state)
    mask = given["attention_mask"]
    second = model(None, mask, ids[:, 3:], encoder_outputs=encoded, state=state)
    found = tl.cat([first.logits, second.logits], 1).numpy()
    np.testing.assert_allclose(found, case.expected["logits"], rtol=1e-3, atol=1e-3)


def with_copies(tensors):
    """As first files have it: each tied table under its own name, and 0 for a bias."""
    words = tensors["model.shared.weight"]
    for name in ("model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head"):
        tensors[f"{name}.weight"] = words.clone()
    tensors.pop("final_logits_bias", None)
    return {**tensors, "model.encoder.version": tl.ones(1), "model.decoder.version": tl.ones(1)}


def test_first_files_of_mbart(tmp_path):
    case = Case("mbart_generation")
    config = {"normalize_before": True, "extra_pos_embeddings": 2, "num_hidden_layers": 2}
    found = case.run(tl.models.load(changed(tmp_path, case.name, with_copies, **config)))
    bias = tl.load(case.folder / "model.safetensors")["final_logits_bias"].to(tl.f32).numpy()
    close(found["logits"].numpy(), case.expected["logits"] - bias)


def test_without_a_head_or_with_another(tmp_path):
    case = Case("bart_generation")
    base = tl.models.load(case.folder, task="embedding")
    found = base(**case.inputs).encoder_last_hidden_state.numpy()
    want = case.expected["encoder_last_hidden_state"]
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)
    assert type(tl.models.load(case.folder, task="summarization")) is type(case.load())


def test_bart_has_three_labels_unless_it_says_otherwise(tmp_path):
    folder = changed(tmp_path, "bart_classification", id2label=..., label2id=..., num_labels=...)
    with pytest.raises(ModelError, match=r"classification_head\.out_proj\.weight.*\(3, 32\)"):
        tl.models.load(folder)


@pytest.mark.parametrize("name", ["t5_generation", "m2m_100_generation", "marian_generation"])
def test_a_batch_of_texts_is_its_texts_alone(name):
    case = Case(name)
    model, given = case.load(), encoder_inputs(case)
    options = {**json.loads(case.notes["generate"])["beams"], "decoder_input_ids": None}
    options.pop("decoder_input_ids")
    options["num_return_sequences"] = 1
    whole = model.generate(**given, **options).tolist()
    for row, want in enumerate(whole):
        count = int(given["attention_mask"][row].sum().item())
        ids = given["input_ids"][row : row + 1, :count]
        (found,) = model.generate(ids, **options).tolist()
        assert found == want[: len(found)]


def test_tokens_that_a_config_leaves_to_its_class(tmp_path):
    gone = dict.fromkeys(("eos_token_id", "pad_token_id", "decoder_start_token_id"), ...)
    for name, wanted in {"mt5_generation": (1, 0, 0), "m2m_100_generation": (2, 1, 2)}.items():
        found = tl.models.load(changed(tmp_path, name, **gone)).generation_config
        assert (found.eos_token_id, found.pad_token_id, found.decoder_start_token_id) == wanted


def test_a_head_of_t5_is_tied_to_the_words_unless_the_file_has_both(tmp_path):
    def with_a_head(tensors):
        return {**tensors, "lm_head.weight": tensors["shared.weight"] * 2}

    case = Case("t5_gated")
    found = case.run(tl.models.load(changed(tmp_path, case.name, with_a_head)))["logits"].numpy()
    close(found, 2 * case.expected["logits"])


def test_what_a_file_holds_of_computed_positions_counts(tmp_path):
    def without_positions(tensors):
        zeros = {f"model.{side}.embed_positions.weight": tl.zeros(40, 32)
                 for side in ("encoder", "decoder")}  # fmt: skip
        return {**tensors, **zeros}

    case = Case("pegasus_generation")
    model = tl.models.load(changed(tmp_path, case.name, without_positions))
    found = case.run(model)["logits"].numpy()
    assert np.abs(found - case.expected["logits"]).max() > 0.1


REFUSED = [
    ("t5", {"relative_attention_max_distance": 4}, "relative_attention_max_distance: expected"),
    ("t5", {"feed_forward_proj": "gated-nothing"}, "feed_forward_proj: expected"),
    ("t5", {"num_decoder_layers": 4096}, "num_decoder_layers: expected no more than"),
    ("m2m_100", {"pad_token_id": None}, "pad_token_id: expected a token id"),
    ("marian", {"normalize_before": True}, "normalize_before"),
    ("marian", {"architectures": ["MarianForCausalLM"]}, "decoder_vocab_size: expected 72"),
    ("bart", {"encoder_attention_heads": 5}, "encoder_attention_heads: expected a divisor of"),
    ("bart", {"decoder_attention_heads": 5}, "decoder_attention_heads: expected a divisor of"),
    ("bart", {"normalize_before": True}, "normalize_before"),
    ("mbart", {"normalize_before": False}, "normalize_before"),
    ("mbart", {"static_position_embeddings": True}, "static_position_embeddings"),
    ("bart_classification", {"eos_token_id": None}, "eos_token_id: expected a token id"),
    ("bart", {"encoder_layers": 4096}, "encoder_layers: expected no more than"),
    ("mbart_generation", {"decoder_layers": 4096}, "decoder_layers: expected no more than"),
    ("encoder-decoder", {"encoder": {"num_hidden_layers": 4096}}, "num_hidden_layers: expected"),
    ("encoder-decoder", {"decoder": {"model_type": "bert"}}, "is_decoder: expected True"),
    ("encoder-decoder", {"encoder": {"is_decoder": True}}, "is_decoder: expected false"),
    ("encoder-decoder", {"encoder": {"model_type": "resnet50"}}, "encoder: model_type"),
]


@pytest.mark.parametrize(("name", "config", "words"), REFUSED)
def test_configs_are_refused_by_name(name, config, words, tmp_path):
    with pytest.raises(ModelError, match=words):
        tl.models.load(changed(tmp_path, name, **config))


def test_inputs_that_do_not_belong_together():
    case = Case("bart_generation")
    model = case.load()
    with pytest.raises(ArgumentError, match="decoder_input_ids, or input_ids"):
        model(inputs_embeds=tl.zeros(1, 3, 32))
    with pytest.raises(ArgumentError, match="input_ids or inputs_embeds"):
        model(decoder_input_ids=tl.tensor([[2]]))
    with pytest.raises(ContextError, match="at most 40 positions"):
        model(tl.full((1, 41), 5))
    with pytest.raises(ArgumentError, match="pixel_values"):
        model.generate(pixel_values=tl.zeros(1, 3, 8, 8))
