"""T5 in GGUF files: what the folder gives, and what llama.cpp's encoder and decoder give."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from models.gguf_families import written
from models.golden_families import Case, close
from models.test_seq2seq import changed
from tallow.errors import ModelError
from tallow.formats.gguf import open_gguf, save_gguf
from tallow.models import build
from tallow.weights import open_weights

WITHOUT_TOKENIZER = "no tokenizer.json: a model of ids alone"
# Files have no key for it: it is 128.
FAR = {"relative_attention_max_distance": 128}
UNTIED = {"tie_word_embeddings": False, "scale_decoder_outputs": False}


def with_a_head(tensors):
    """As T5 v1.1: the head has words of its own."""
    return {**tensors, "lm_head.weight": tensors["shared.weight"] * 2}


CASES = {
    "t5": ("t5_generation", dict, {}),
    "t5_gated": ("t5_gated", with_a_head, {}),
    "mt5": ("mt5_generation", with_a_head, {}),
    "umt5": ("umt5_generation", with_a_head, UNTIED),
    "umt5_tied": ("umt5_generation", dict, {}),
    "t5_encoder": ("t5_encoder", dict, {}),
}
ENCODERS = ("t5_encoder",)


def made(name, tmp_path):
    """A folder of a case, and its file."""
    case, change, config = CASES[name]
    folder = changed(tmp_path, case, change, **FAR, **config)
    path, losses = written(folder, tmp_path / "model.gguf")
    assert set(losses) <= {WITHOUT_TOKENIZER}
    return Case(case), folder, path


@pytest.mark.parametrize("name", CASES)
def test_a_file_gives_what_the_folder_gives(name, tmp_path):
    case, folder, path = made(name, tmp_path)
    want = case.run(build(open_weights(folder), activations="float"))
    found = case.run(build(open_weights(path), activations="float"))
    for key, value in want.items():
        close(found[key].numpy(), value.numpy(), name=key)


def logits_of_llama_cpp(path, ids, written_ids):
    """Of each position of the decoder, from ids of both sides."""
    import llama_cpp

    with contextlib.redirect_stderr(io.StringIO()):
        made = llama_cpp.Llama(
            str(path), n_ctx=256, n_threads=1, verbose=False, type_k=0, type_v=0, flash_attn=False
        )
    context = made.ctx

    def batch(tokens):
        found = llama_cpp.llama_batch_init(len(tokens), 0, 1)
        found.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            found.token[i], found.pos[i], found.n_seq_id[i] = token, i, 1
            found.seq_id[i][0], found.logits[i] = 0, True
        return found

    assert llama_cpp.llama_encode(context, batch(ids)) == 0
    assert llama_cpp.llama_decode(context, batch(written_ids)) == 0
    size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(made.model))
    rows = [llama_cpp.llama_get_logits_ith(context, i)[:size] for i in range(len(written_ids))]
    return np.array(rows)


@pytest.mark.needs_llama_cpp
@pytest.mark.parametrize(
    "name", ["t5", "mt5", "umt5"]
)  # it loads no decoder deeper than the encoder
def test_llama_cpp_gives_the_same(name, tmp_path):
    case, _, path = made(name, tmp_path)
    ids, rest = (case.inputs[key].tolist()[0] for key in ("input_ids", "decoder_input_ids"))
    model = build(open_weights(path), activations="float")
    ours = model(tl.tensor([ids]), decoder_input_ids=tl.tensor([rest])).logits[0].numpy()
    theirs = logits_of_llama_cpp(path, ids, rest)
    if model.config.scale_decoder_outputs:  # llama.cpp leaves it out, as the order stays
        theirs = theirs * model.config.d_model**-0.5
    # ggml looks GELU up in a table of f16.
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=0.03 if model.config.gated else 2e-3)


WITH_TOKENIZER = Path(__file__).parents[1] / "golden" / "translators" / "t5"
TEXTS = ["The dog ate.", "12 o'clock, don't", "a  b  ", "A naïve ÉCOLE", ""]


def test_the_tokenizer_goes_along(tmp_path):
    path, losses = written(WITH_TOKENIZER, tmp_path / "model.gguf")
    assert not losses
    ours = tl.Translator(path, prefix="translate to German: ", max_new_tokens=6)
    folder = tl.Translator(WITH_TOKENIZER, source="en", target="de", num_beams=1, max_new_tokens=6)
    for text in TEXTS:
        assert ours.tokenizer.encode(text) == folder.tokenizer.encode(text)
    assert ours(TEXTS) == folder(TEXTS)


@pytest.mark.needs_llama_cpp
def test_the_tokenizer_as_llama_cpp_reads_it(tmp_path):
    import llama_cpp

    path, _ = written(WITH_TOKENIZER, tmp_path / "model.gguf")
    with contextlib.redirect_stderr(io.StringIO()):
        theirs = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    ours = tl.models.load(path).tokenizer
    for text in TEXTS[:3]:
        assert theirs.tokenize(text.encode(), add_bos=True, special=False) == ours.encode(text)


def test_an_encoder_alone_is_one(tmp_path):
    _, _, path = made("t5_encoder", tmp_path)
    model = tl.models.load(path)
    assert type(model).__name__ == "T5EncoderModel"
    assert type(tl.models.load(path, task="embedding")) is type(model)
    with pytest.raises(ModelError, match="LLM: expected a model that continues texts"):
        tl.LLM(path)


def test_biases_of_each_layer_tell_umt5(tmp_path):
    _, _, path = made("umt5", tmp_path)
    assert type(tl.models.load(path)).__name__ == "UMT5ForConditionalGeneration"
    with open_gguf(path) as file:
        tensors = {name: file.tensor(name).clone() for name in file.tensors}
        metadata = dict(file.metadata)
    kept = ("enc.", "token_embd.")
    encoder = {name: each for name, each in tensors.items() if name.startswith(kept)}
    renamed = {key.replace("t5.", "t5encoder."): value for key, value in metadata.items()}
    renamed["general.architecture"] = "t5encoder"
    save_gguf(encoder, tmp_path / "encoder.gguf", renamed)
    alone, whole = tl.models.load(tmp_path / "encoder.gguf"), tl.models.load(path)
    assert type(alone).__name__ == "UMT5EncoderModel"
    ids = tl.tensor([[5, 9, 11, 1]])
    found = alone(ids).last_hidden_state.numpy()
    assert np.array_equal(found, whole.encoder(ids).last_hidden_state.numpy())


@pytest.mark.needs_llama_cpp
@pytest.mark.parametrize("name", ENCODERS)
def test_llama_cpp_encodes_the_same(name, tmp_path):
    import llama_cpp

    case, _, path = made(name, tmp_path)
    ids = case.inputs["input_ids"].tolist()[0]
    with contextlib.redirect_stderr(io.StringIO()):
        theirs = llama_cpp.Llama(
            str(path), embedding=True, pooling_type=0, n_ctx=256, verbose=False
        )
    context = theirs.ctx
    batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, i, 1
        batch.seq_id[i][0], batch.logits[i] = 0, True
    assert llama_cpp.llama_encode(context, batch) == 0
    model = build(open_weights(path), activations="float")
    ours = model(tl.tensor([ids])).last_hidden_state[0].numpy()
    size = model.config.d_model
    rows = [llama_cpp.llama_get_embeddings_ith(context, i)[:size] for i in range(len(ids))]
    np.testing.assert_allclose(ours, np.array(rows), rtol=1e-3, atol=2e-3)
