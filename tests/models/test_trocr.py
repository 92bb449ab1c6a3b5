"""What implementers of TrOCR get wrong, each as a law over the goldens of its three shapes."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case
from models.test_documents_configs import as_in_memory, changed
from tallow.errors import ArgumentError, ContextError, ModelError
from tallow.nn import LayerNorm

SMALL, BASE, LARGE = (f"vision-encoder-decoder_{shape}" for shape in ("small", "base", "large"))
PROJECTED = "vision-encoder-decoder_projected"
POSITIONS = "decoder.model.decoder.embed_positions.weight"
HEAD, WORDS = "decoder.output_projection.weight", "decoder.model.decoder.embed_tokens.weight"


def logits(model, case, **inputs):
    return model(**{**case.inputs, **inputs}).logits.numpy()


def with_tensor(name, key, change):
    """The model of a golden with one tensor changed."""
    return Case(name).model_with(lambda n, x: change(x.to(tl.f32)) if n == key else x)


# --- (a) positions --------------------------------------------------------------------------------


def test_the_first_position_stands_in_row_2():
    case = Case(BASE)
    want = logits(case.load(), case)

    def rows(begin, end):
        def change(table):
            table = table.clone()
            table[begin:end] *= -1  # a norm would take away what is added to all
            return table

        return logits(with_tensor(BASE, POSITIONS, change), case)

    assert case.load().decoder.model.decoder.embed_positions.weight.shape == (42, 32)
    assert np.array_equal(rows(0, 2), want), "no position is there"
    assert np.abs(rows(2, 3) - want)[:, 0].max() > 1e-3
    last = case.inputs["decoder_input_ids"].shape[1] + 1
    assert np.array_equal(rows(last, last + 1)[:, :-1], want[:, :-1]), "causal"
    assert np.abs(rows(last, last + 1) - want)[:, -1].max() > 1e-3
    assert np.array_equal(rows(last + 1, 42), want)


def test_sinusoidal_positions_are_fairseqs_and_not_in_the_file(tmp_path):
    case = Case(LARGE)
    assert not [name for name in case.load().state_dict() if "embed_positions" in name]
    positions = case.load().decoder.model.decoder.embed_positions
    ids = tl.tensor([[2, 9, 1, 9, 9]])
    found = positions(tl.arange(5).unsqueeze(0), ids)[0].numpy()
    half = 16
    rates = np.exp(np.arange(half) * -np.log(10000) / (half - 1))
    for row, place in enumerate((2, 3, None, 4, 5)):  # padding has none and counts for none
        want = np.zeros(32)
        if place is not None:
            want = np.concatenate([np.sin(place * rates), np.cos(place * rates)])
        np.testing.assert_allclose(found[row], want, atol=1e-6)
    add = {"decoder.model.decoder.embed_positions._float_tensor": tl.ones(1)}
    _, folder = changed(tmp_path, LARGE, add=add)
    case.check(case.run(tl.models.load(folder)))


def test_sinusoidal_positions_need_the_ids():
    model = Case(LARGE).load()
    with pytest.raises(ArgumentError, match="input_ids for positions that count tokens"):
        model.decoder(inputs_embeds=tl.zeros(1, 3, 32))


def test_sinusoidal_positions_have_no_end():
    case = Case(LARGE)
    model, pixels = case.load(), case.inputs["pixel_values"]
    ids = tl.tensor(np.random.default_rng(3).integers(3, 72, (2, 60)))
    whole = model(pixels, ids).logits.numpy()
    state = model.make_state(2, 4)
    context = model.encode(pixel_values=pixels)[0]
    parts = [model.decoder(ids[:, :50], encoder_hidden_states=context, state=state)]
    parts += [model.decoder(ids[:, i : i + 1], state=state) for i in range(50, 60)]
    found = np.concatenate([part.logits.numpy() for part in parts], 1)
    np.testing.assert_allclose(found, whole, rtol=1e-3, atol=1e-3)
    assert model.generate(pixels, max_length=55, eos_token_id=99).shape == (2, 55)


@pytest.mark.needs_torch
@pytest.mark.parametrize("beams", [1, 3])
def test_sinusoidal_positions_beyond_the_table_equal_transformers(beams):
    import torch
    import transformers

    case = Case(LARGE)
    cls = transformers.VisionEncoderDecoderModel
    model = cls.from_pretrained(case.folder, dtype=torch.float32).eval()
    # from_pretrained leaves it without memory; it is made and grows when it is used.
    model.decoder.model.decoder.embed_positions.weights = None
    ids = np.random.default_rng(3).integers(3, 72, (2, 60))
    pixels = torch.tensor(case.inputs["pixel_values"].numpy())
    with torch.no_grad():
        want = model(pixels, decoder_input_ids=torch.tensor(ids)).logits.numpy()
    ours = case.load()
    found = ours(case.inputs["pixel_values"], tl.tensor(ids)).logits.numpy()
    np.testing.assert_allclose(found, want, rtol=1e-3, atol=1e-3)
    options = {"num_beams": beams, "max_length": 52, "no_repeat_ngram_size": 2,
               "decoder_start_token_id": 2, "pad_token_id": 1, "eos_token_id": 2}  # fmt: skip
    # With its cache, the reference's table grows only for prompts.
    rows = model.generate(pixels, use_cache=False, **options)
    assert ours.generate(case.inputs["pixel_values"], **options).tolist() == rows.tolist()


# --- (b), (c) the width of what is attended to ----------------------------------------------------


@pytest.mark.parametrize("name", [SMALL, BASE, LARGE])
def test_keys_and_values_are_projected_from_the_encoders_width(name):
    model = Case(name).load()
    assert model.enc_to_dec_proj is None
    attention = model.decoder.model.decoder.layers[0].encoder_attn
    assert attention.k_proj.weight.shape == attention.v_proj.weight.shape == (32, 64)
    assert attention.q_proj.weight.shape == (32, 32)


def test_without_a_cross_width_there_is_a_projection(tmp_path):
    assert Case(PROJECTED).load().enc_to_dec_proj.weight.shape == (32, 64)
    _, folder = changed(tmp_path, PROJECTED, drop=["enc_to_dec_proj"])
    with pytest.raises(ModelError, match=r"enc_to_dec_proj\.weight"):
        tl.models.load(folder)


def test_a_cross_width_that_is_not_the_encoders_is_refused(tmp_path):
    values = json.loads((Case(BASE).folder / "config.json").read_text())
    decoder = {**values["decoder"], "cross_attention_hidden_size": 48}
    _, folder = changed(tmp_path, BASE, decoder=decoder)
    with pytest.raises(ModelError, match=r"cross_attention_hidden_size: expected 64"):
        tl.models.load(folder)


# --- (d) tied and untied --------------------------------------------------------------------------


@pytest.mark.parametrize("outer", [False, True, ...])
@pytest.mark.parametrize(("name", "tied"), [(BASE, True), (SMALL, False)])
def test_scores_are_tied_as_the_decoder_says(name, tied, outer, tmp_path):
    case, folder = changed(tmp_path, name, tie_word_embeddings=outer)
    model = tl.models.load(folder)
    same = model.decoder.output_projection.weight is model.decoder.model.decoder.embed_tokens.weight
    assert same == tied
    case.check(case.run(model))


def test_a_tied_table_may_stand_twice(tmp_path):
    words = tl.load(Case(BASE).folder / "model.safetensors")[WORDS]
    case, folder = changed(tmp_path, BASE, add={HEAD: words})
    case.check(case.run(tl.models.load(folder)))
    # With other values the file is right and the config wrong, as in transformers 5.24.
    doubled = words * 2
    _, other = changed(tmp_path / "other", BASE, add={HEAD: doubled})
    want = case.run(tl.models.load(folder))["logits"].numpy()
    assert np.array_equal(case.run(tl.models.load(other))["logits"].numpy(), 2 * want)


def test_an_untied_table_may_not_be_missing(tmp_path):
    _, folder = changed(tmp_path, SMALL, drop=[HEAD.replace(".", r"\.")])
    with pytest.raises(ModelError, match=HEAD):
        tl.models.load(folder)


# --- (e) to (h) the encoder's parts and the decoder's order ---------------------------------------


@pytest.mark.parametrize("name", [SMALL, BASE])
def test_the_encoders_pooler_does_not_matter(name, tmp_path):
    assert any("encoder.pooler" in key for key in tl.load(Case(name).folder / "model.safetensors"))
    case, folder = changed(tmp_path, name, drop=[r"encoder\.pooler"])
    model = tl.models.load(folder)
    assert not [key for key in model.state_dict() if "pooler" in key]
    case.check(case.run(model))


@pytest.mark.parametrize("name", [SMALL, BASE, PROJECTED])
def test_encoders_by_the_names_in_memory(name, tmp_path):
    def rename(key):
        head, _, rest = key.partition(".")
        return f"encoder.{as_in_memory(rest)}" if head == "encoder" else key

    case, folder = changed(tmp_path, name, rename)
    assert any(
        "encoder.layers.0.attention.q_proj" in k for k in tl.load(folder / "model.safetensors")
    )
    case.check(case.run(tl.models.load(folder)))


def test_both_tokens_of_deit_are_attended_to():
    case = Case(SMALL)
    model = case.load()
    encoded = model.encoder(case.inputs["pixel_values"])
    assert encoded.last_hidden_state.shape == (2, 2 + 16, 64)
    for token in (0, 1):
        less = encoded.last_hidden_state.clone()
        less[:, token] = 0
        found = logits(model, case, pixel_values=None, encoder_outputs=type(encoded)(less))
        assert np.abs(found - case.expected["logits"]).max() > 1e-3


def test_the_decoder_normalises_behind_its_sums():
    model = Case(BASE).load().decoder
    norms = [n for n, m in model.named_modules() if isinstance(m, LayerNorm)]
    assert not any(name.endswith("decoder.layer_norm") for name in norms)
    found = model(tl.tensor([[2, 5, 7]]), output_hidden_states=True)
    last = model.model.decoder.layers[-1].final_layer_norm
    bare = (found.hidden_states[-1] - last.bias) / last.weight
    np.testing.assert_allclose(bare.mean(-1).numpy(), 0, atol=1e-4)
    np.testing.assert_allclose(bare.var(-1, correction=0).numpy(), 1, atol=1e-2)


# --- (i) files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [SMALL, LARGE])
def test_a_folder_with_pytorch_model_bin_alone(name, tmp_path):
    case, folder = changed(tmp_path, name)
    tensors = dict(tl.load(folder / "model.safetensors"))
    tl.save({k: v.clone() for k, v in tensors.items()}, folder / "pytorch_model.bin")
    del tensors
    (folder / "model.safetensors").unlink()
    case.check(case.run(tl.models.load(folder)))


# --- labels, states, generation -------------------------------------------------------------------


def test_labels_make_the_input_and_the_loss(tmp_path):
    case, folder = changed(tmp_path, BASE, decoder_start_token_id=2, pad_token_id=1)
    model = tl.models.load(folder)
    ids = case.inputs["decoder_input_ids"]
    labels = tl.cat([ids[:, 1:], tl.tensor([[-100], [2]])], 1)
    found = model(case.inputs["pixel_values"], labels=labels)
    np.testing.assert_allclose(found.logits.numpy(), case.expected["logits"], rtol=1e-4, atol=1e-4)
    p = found.logits.log_softmax(-1).numpy()
    terms = [-p[b, t, labels[b, t].item()] for b in range(2) for t in range(6)
             if labels[b, t].item() >= 0]  # fmt: skip
    assert found.loss.item() == pytest.approx(np.mean(terms), rel=1e-5)
    assert found[0] is found.loss
    with pytest.raises(ArgumentError, match="decoder_start_token_id and pad_token_id"):
        case.load()(case.inputs["pixel_values"], labels=labels)


@pytest.mark.parametrize(
    "name",
    [SMALL, LARGE, PROJECTED, "vision-encoder-decoder_donut", "vision-encoder-decoder_roberta"],
)
def test_steps_equal_one_pass(name):
    case = Case(name)
    model = case.load()
    ids = case.inputs["decoder_input_ids"]
    context = model.encode(pixel_values=case.inputs["pixel_values"])[0]
    state = model.make_state(2, 2)
    parts = [model.decoder(ids[:, :3], encoder_hidden_states=context, state=state)]
    parts += [model.decoder(ids[:, i : i + 1], state=state) for i in range(3, 6)]
    found = np.concatenate([part.logits.numpy() for part in parts], 1)
    np.testing.assert_allclose(found, case.expected["logits"], rtol=1e-3, atol=1e-3)
    assert state.lengths == [6, 6]


@pytest.mark.parametrize("beams", [1, 3])
def test_rows_that_end_at_different_lengths_equal_singles(beams):
    case = Case(SMALL)
    model = case.load()
    noise = tl.tensor(np.random.default_rng(5).normal(size=(5, 3, 32, 32)).astype("f4"))
    options = {"num_beams": beams, "max_length": 24, "pad_token_id": 1, "decoder_start_token_id": 2,
               "no_repeat_ngram_size": 1}  # fmt: skip
    longest = model.generate(noise, **options, eos_token_id=99).tolist()
    options["eos_token_id"] = sorted({row[4 + 3 * i] for i, row in enumerate(longest)})
    rows = model.generate(noise, **options).tolist()
    alone = [model.generate(noise[i : i + 1], **options).tolist()[0] for i in range(5)]
    assert len({len(row) for row in alone}) > 1
    width = max(map(len, alone))
    assert rows == [row + [1] * (width - len(row)) for row in alone]


def test_what_cannot_be_generated():
    case = Case(BASE)
    model, pixels = case.load(), case.inputs["pixel_values"]
    with pytest.raises(ArgumentError, match="beams"):
        model.generate(pixels, beams=4)
    with pytest.raises(ContextError, match="40"):
        model.generate(pixels, decoder_input_ids=tl.full((2, 40), 2))
    with pytest.raises(ContextError, match="at most 40 positions"):
        model(pixels, tl.full((2, 41), 2))


# --- configs --------------------------------------------------------------------------------------

# Every key that configs of transformers 4 dump for a part of a model.
DUMPED = json.loads("""{
 "_name_or_path": "", "add_cross_attention": false, "architectures": null, "bad_words_ids": null,
 "bos_token_id": null, "chunk_size_feed_forward": 0, "cross_attention_hidden_size": null,
 "decoder_start_token_id": null, "diversity_penalty": 0.0, "do_sample": false,
 "early_stopping": false, "encoder_no_repeat_ngram_size": 0, "eos_token_id": null,
 "exponential_decay_length_penalty": null, "finetuning_task": null, "forced_bos_token_id": null,
 "forced_eos_token_id": null, "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
 "is_decoder": false, "is_encoder_decoder": false, "label2id": {"LABEL_0": 0, "LABEL_1": 1},
 "length_penalty": 1.0, "max_length": 20, "min_length": 0, "no_repeat_ngram_size": 0,
 "num_beam_groups": 1, "num_beams": 1, "num_return_sequences": 1, "output_attentions": false,
 "output_hidden_states": false, "output_scores": false, "pad_token_id": null, "prefix": null,
 "problem_type": null, "pruned_heads": {}, "remove_invalid_values": false,
 "repetition_penalty": 1.0, "return_dict": true, "return_dict_in_generate": false,
 "sep_token_id": null, "task_specific_params": null, "temperature": 1.0,
 "tf_legacy_loss": false, "tie_encoder_decoder": false, "tie_word_embeddings": true,
 "tokenizer_class": null, "top_k": 50, "top_p": 1.0, "torch_dtype": null, "torchscript": false,
 "transformers_version": "4.11.0.dev0", "typical_p": 1.0, "use_bfloat16": false
}""")


@pytest.mark.parametrize("name", [SMALL, BASE, LARGE, PROJECTED])
def test_configs_as_published_load_without_a_warning(name, tmp_path):
    values = json.loads((Case(name).folder / "config.json").read_text())
    encoder = {**DUMPED, **values["encoder"]}
    decoder = {**DUMPED, "add_cross_attention": True, **values["decoder"], "is_decoder": True}
    case, folder = changed(
        tmp_path,
        name,
        encoder=encoder,
        decoder=decoder,
        torch_dtype="float32",
        decoder_start_token_id=2,
    )
    case.check(case.run(tl.models.load(folder)))


@pytest.mark.parametrize(
    ("part", "keys", "words"),
    [
        ("encoder", {"model_type": "vitt"}, r"config.json: encoder: model_type.*near: .*vit"),
        ("decoder", {"model_type": "resnet"}, "none for 'text-generation'"),
        ("decoder", {"activation_function": "sine"}, "decoder: activation_function"),
        ("decoder", {"decoder_attention_heads": 5}, "a divisor of d_model 32"),
        ("decoder", {"pad_token_id": None, "use_learned_position_embeddings": False}, "pad_token"),
        ("decoder", {"decoder_layers": 1}, r"decoder\.layers\.1\.\S+: expected no such tensor"),
    ],
)  # fmt: skip
def test_parts_are_refused_by_name(part, keys, words, tmp_path):
    values = json.loads((Case(BASE).folder / "config.json").read_text())
    _, folder = changed(tmp_path, BASE, **{part: {**values[part], **keys}})
    with pytest.raises(ModelError, match=words):
        tl.models.load(folder)


def test_a_decoder_of_roberta_shifts_its_labels():
    case = Case("roberta_decoder")
    model, ids = case.load(), case.inputs["input_ids"]
    labels = tl.where(case.inputs["attention_mask"].ne(0), ids, tl.full_like(ids, -100))
    found = model(**case.inputs, labels=labels)
    p, rows = found.logits.log_softmax(-1).numpy(), labels.tolist()
    terms = [-p[b, t - 1, row[t]] for b, row in enumerate(rows) for t in range(1, len(row))
             if row[t] >= 0]  # fmt: skip
    assert found.loss.item() == pytest.approx(np.mean(terms), rel=1e-5)
