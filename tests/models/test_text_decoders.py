"""Decoders of text: of BERT's kind and GPT-2, alone and behind encoders."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case, close
from tallow.errors import ArgumentError, ModelError, ShapeError
from tallow.safetensors import save_file

GENERATING = ["bert_lm_generate", "roberta_lm_generate", "electra_lm_generate", "gpt2_generate"]
CROSSING = ["bert_lm_context", "roberta_lm_context", "electra_lm_context", "gpt2_context"]
SEARCHES = [
    {"max_new_tokens": 9, "no_repeat_ngram_size": 2},
    {"max_new_tokens": 9, "num_beams": 3, "no_repeat_ngram_size": 2},
]
ENDS = {"eos_token_id": list(range(2, 72, 9)), "pad_token_id": 1, "do_sample": False}


def changed(tmp_path, name, change=dict, **config):
    """A copy of a golden's folder with other tensors and other values in its config."""
    folder = tmp_path / name
    shutil.copytree(Case(name).folder, folder)
    save_file(change(dict(tl.load(folder / "model.safetensors"))), folder / "model.safetensors")
    values = {**json.loads((folder / "config.json").read_text()), **config}
    kept = {key: value for key, value in values.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(kept))
    return folder


def padded(case):
    """The prompts of a golden, the second three tokens shorter and padded at the left."""
    ids = case.inputs["input_ids"].clone()
    mask = tl.ones_like(ids)
    ids[1, :3], mask[1, :3] = 1, 0
    return ids, mask


@pytest.mark.parametrize("options", SEARCHES, ids=["greedy", "beams"])
@pytest.mark.parametrize("name", GENERATING)
def test_prompts_padded_at_the_left_equal_singles(name, options):
    case = Case(name)
    model, (ids, mask) = case.load(), padded(case)
    rows = model.generate(ids, attention_mask=mask, **ENDS, **options)
    for row, kept in enumerate((slice(0, None), slice(3, None))):
        alone = model.generate(ids[row : row + 1, kept], **ENDS, **options).tolist()[0]
        found = rows[row, kept].tolist()
        assert found[: len(alone)] == alone
        assert set(found[len(alone) :]) <= {1}


@pytest.mark.needs_torch
@pytest.mark.parametrize("options", SEARCHES, ids=["greedy", "beams"])
@pytest.mark.parametrize("name", GENERATING)
def test_prompts_padded_at_the_left_equal_transformers(name, options):
    import torch
    from transformers import AutoModelForCausalLM

    case = Case(name)
    ids, mask = padded(case)
    found = case.load().generate(ids, attention_mask=mask, **ENDS, **options)
    model = AutoModelForCausalLM.from_pretrained(case.folder, dtype=torch.float32)
    given = torch.tensor(ids.tolist()), torch.tensor(mask.tolist())
    want = model.generate(given[0], attention_mask=given[1], **ENDS, **options)
    assert found.tolist() == want.tolist()


@pytest.mark.needs_torch
@pytest.mark.parametrize("options", SEARCHES, ids=["greedy", "beams"])
@pytest.mark.parametrize("name", [*CROSSING, "trocr"])
def test_what_is_generated_from_a_context_equals_transformers(name, options):
    import torch
    from transformers import AutoModelForCausalLM

    case = Case(name)
    given = {k: v for k, v in case.inputs.items() if k.startswith("encoder")}
    ids = case.inputs["input_ids"][:, :4].contiguous()
    found = case.load().generate(ids, **given, **ENDS, **options)
    model = AutoModelForCausalLM.from_pretrained(case.folder, dtype=torch.float32)
    context = {k: torch.tensor(v.numpy()) for k, v in given.items()}
    # Its cache takes no context but of GPT-2.
    want = model.generate(torch.tensor(ids.numpy()), **context, **ENDS, **options, use_cache=False)
    assert found.tolist() == want.tolist()


@pytest.mark.parametrize("name", [*GENERATING, *CROSSING])
def test_steps_equal_one_pass(name):
    case = Case(name)
    model, ids = case.load(), case.inputs["input_ids"]
    context = {k: v for k, v in case.inputs.items() if k.startswith("encoder")}
    whole = model(ids, **context).logits
    state = model.make_state(2, 2)
    parts = [model(input_ids=ids[:, :3], state=state, **context).logits]
    parts += [model(input_ids=ids[:, i : i + 1], state=state).logits for i in range(3, 7)]
    close(tl.cat(parts, 1).numpy(), whole[:, :7].numpy())
    assert state.lengths == [7, 7]


@pytest.mark.parametrize("name", CROSSING)
def test_inputs_of_other_batches_are_refused_by_name(name):
    case = Case(name)
    model, ids = case.load(), case.inputs["input_ids"]
    context = case.inputs["encoder_hidden_states"]
    with pytest.raises(ShapeError, match="input_ids: expected shape"):
        model(input_ids=ids[0], state=model.make_state(1))
    state = model.make_state(3)
    with pytest.raises(ShapeError, match="forward: expected a batch of 3 as the state's, got 2"):
        model(input_ids=ids, state=state)
    assert state.lengths == [0, 0, 0]
    for bad in (context[:1], context[0]):
        for state in (None, model.make_state(2)):
            with pytest.raises(ShapeError, match=r"encoder_hidden_states: expected shape \(2, m"):
                model(input_ids=ids, encoder_hidden_states=bad, state=state)


@pytest.mark.parametrize("name", [*GENERATING, "mbart_decoder"])
def test_logits_of_the_last_positions_alone(name):
    case = Case(name)
    model = case.load()
    whole = model(**case.inputs).logits
    found = model(**case.inputs, logits_to_keep=2).logits
    assert np.array_equal(found.numpy(), whole[:, -2:].numpy())


@pytest.mark.parametrize("name", ["bert_lm", "electra_lm", "gpt2"])
def test_labels_are_those_of_the_next_positions(name):
    case = Case(name)
    model, ids = case.load(), case.inputs["input_ids"]
    labels = tl.where(case.inputs["attention_mask"].ne(0), ids, tl.full_like(ids, -100))
    found = model(**case.inputs, labels=labels)
    p, rows = found.logits.log_softmax(-1).numpy(), labels.tolist()
    terms = [-p[b, t - 1, row[t]] for b, row in enumerate(rows) for t in range(1, len(row))
             if row[t] >= 0]  # fmt: skip
    assert found.loss.item() == pytest.approx(np.mean(terms), rel=1e-5)


REFUSED = [
    ("bert_lm", {"is_decoder": False}, "is_decoder: expected True"),
    ("bert_lm", {"is_decoder": ...}, "is_decoder: expected True"),
    ("roberta_decoder", {"is_decoder": False}, "is_decoder: expected True"),
    ("electra_lm", {"is_decoder": 1}, "is_decoder: expected True"),
    ("bert_lm", {"add_cross_attention": "yes"}, "add_cross_attention: expected true or false"),
    ("bert_lm", {"add_cross_attention": True}, r"crossattention\.self\.query\.weight"),
    ("bert_lm_context", {"add_cross_attention": False}, "expected no such tensor"),
    ("bert_lm_context", {"cross_attention_hidden_size": 48}, "hidden_size 32, or null"),
    ("gpt2_context", {"cross_attention_hidden_size": 48}, "n_embd 32, or null"),
    ("gemma", {"hidden_act": "relu"}, "hidden_act: expected gelu_pytorch_tanh"),
    ("gemma", {"hidden_activation": "silu"}, "hidden_activation: expected gelu_pytorch_tanh"),
    ("gemma", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
    ("gpt2", {"n_head": 5}, "n_head: expected a divisor of n_embd 32"),
    ("gpt2", {"n_positions": 0}, "n_positions"),
    ("gpt2", {"activation_function": "snake"}, "activation_function"),
]


@pytest.mark.parametrize(("name", "config", "words"), REFUSED)
def test_what_is_no_decoder_is_refused_by_name(name, config, words, tmp_path):
    with pytest.raises(ModelError, match=words):
        tl.models.load(changed(tmp_path, name, **config))


def test_first_files_of_gemma_say_gelu(tmp_path):
    case = Case("gemma")
    config = {"hidden_act": "gelu", "hidden_activation": None, "tie_word_embeddings": ...}
    case.check(case.run(tl.models.load(changed(tmp_path, "gemma", **config))))


@pytest.mark.parametrize("decoder", ["bert", "gpt2"])
def test_a_decoder_behind_an_encoder_attends_to_it(decoder, tmp_path):
    name = f"vision-encoder-decoder_{decoder}"
    values = json.loads((Case(name).folder / "config.json").read_text())["decoder"]
    folder = changed(tmp_path, name, decoder={**values, "add_cross_attention": False})
    with pytest.raises(ModelError, match=r"decoder\.add_cross_attention: expected true"):
        tl.models.load(folder)


def test_an_encoder_of_several_widths_is_none(tmp_path):
    encoder = {"model_type": "resnet"}
    with pytest.raises(ModelError, match="encoder: expected an encoder that gives positions"):
        tl.models.load(changed(tmp_path, "vision-encoder-decoder_gpt2", encoder=encoder))


@pytest.mark.parametrize("name", ["bert_lm", "gpt2"])
def test_a_decoder_alone_takes_no_context(name):
    model = Case(name).load()
    with pytest.raises(ArgumentError, match="encoder_hidden_states: expected none"):
        model(tl.tensor([[5, 6]]), encoder_hidden_states=tl.zeros(1, 3, 32))
    with pytest.raises(ArgumentError, match="encoder_hidden_states: expected none"):
        model.generate(tl.tensor([[5, 6]]), encoder_hidden_states=tl.zeros(1, 3, 32))


def test_an_encoder_is_no_decoder():
    with pytest.raises(ModelError, match="is_decoder: expected True"):
        Case("bert").load(task="text-generation")


def with_masks(head=""):
    """GPT-2's tensors as its first files have them: with the masks of each layer."""

    def change(tensors):
        found = {key.removeprefix(head): value for key, value in tensors.items()}
        layers = {key.split(".attn.")[0] for key in found if ".attn." in key}
        for layer in layers:
            for part in ("attn", "crossattention"):
                found[f"{layer}.{part}.bias"] = tl.ones(1, 1, 40, 40)
                found[f"{layer}.{part}.masked_bias"] = tl.tensor(-1e4)
        return found

    return change


@pytest.mark.parametrize("head", ["", "transformer."], ids=["prefix", "no prefix"])
def test_first_files_of_gpt2(head, tmp_path):
    case = Case("gpt2")
    extra = {"n_ctx": 40, "summary_type": "cls_index", "task_specific_params": {}}
    case.check(case.run(tl.models.load(changed(tmp_path, "gpt2", with_masks(head), **extra))))


def test_first_files_of_gpt2_behind_an_encoder(tmp_path):
    case = Case("vision-encoder-decoder_gpt2")
    case.check(case.run(tl.models.load(changed(tmp_path, case.name, with_masks()))))


def test_gpt2_is_saved_as_its_files_are(tmp_path):
    case = Case("gpt2")
    case.load().save_pretrained(tmp_path)
    first, again = (tl.load(f / "model.safetensors") for f in (case.folder, tmp_path))
    assert first.keys() == again.keys()
    for name, value in first.items():
        assert np.array_equal(value.numpy(), again[name].numpy()), name


def test_weights_of_gpt2_take_no_blocks():
    case = Case("vision-encoder-decoder_gpt2")
    name = "decoder.transformer.h.0.mlp.c_fc.weight"
    with pytest.raises(ModelError, match=f"{name}: expected a float tensor"):
        case.model_with(lambda key, x: x.to(tl.f32).to(tl.q8_0) if key == name else x)
