"""Heads on decoders: their losses, and the tasks that use them, against transformers."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case
from tallow.errors import ArgumentError, ModelError

PAIRS = [("the cat", "a cat sleeps on the sofa"), ("the cat", "dog"), ("a", "sofa sofa dog the")]
TEXTS = ["the cat sleeps", "a dog", "on the sofa the cat and a dog sleeps on the sofa", "cat"]
WORDS = ["[PAD]", "[UNK]", "the", "a", "cat", "dog", "sofa", "sleeps", "on", "and"]
NAMES = ["llama_classification", "mistral_classification", "qwen2_classification",
         "qwen3_classification", "gpt2_classification"]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Makes a folder of a golden with a tokenizer, and other values in its config."""

    def make(name, side="right", **config):
        pytest.importorskip("tokenizers")
        from tokenizers import Tokenizer
        from tokenizers.models import WordLevel
        from tokenizers.pre_tokenizers import Whitespace

        made = tmp_path / name
        shutil.copytree(Case(name).folder, made)
        values = {**json.loads((made / "config.json").read_text()), **config}
        (made / "config.json").write_text(json.dumps(values))
        inner = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, "[UNK]"))
        inner.pre_tokenizer = Whitespace()
        inner.save(str(made / "tokenizer.json"))
        told = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]",
                "padding_side": side, "model_max_length": 40}  # fmt: skip
        if values["pad_token_id"] is not None:
            told["pad_token"] = "[PAD]"
        (made / "tokenizer_config.json").write_text(json.dumps(told))
        return made

    return make


def logits_of(model, texts):
    """Of each text alone."""
    return np.concatenate(
        [model(tl.tensor([[WORDS.index(word) for word in text.split()]])).logits.numpy()
         for text in texts]
    )  # fmt: skip


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_texts_gives_what_each_gives(name, side, folder):
    path = folder(name, side)
    classifier = tl.TextClassifier(path)
    if (
        name.startswith("gpt2") and side == "left"
    ):  # its positions count the padding, as in transformers
        pytest.skip("rows of GPT-2 depend on the padding before them")
    want = logits_of(classifier.model, TEXTS)
    e = np.exp(want - want.max(1, keepdims=True))
    scores = e / e.sum(1, keepdims=True)
    found = classifier(TEXTS, top_k=None)
    for row, labels in enumerate(found):
        by_name = {each.label: each.score for each in labels}
        every = [by_name[f"LABEL_{i}"] for i in range(3)]
        np.testing.assert_allclose(every, scores[row], rtol=1e-4, atol=1e-6)


def test_a_reranker_on_a_decoder(folder):
    path = folder("llama_classification_left", "left")
    reranker = tl.Reranker(path)
    found = reranker.predict(PAIRS, raw=True).numpy()
    want = logits_of(reranker.model, [" ".join(pair) for pair in PAIRS])[:, 0]
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)
    documents = [document for _, document in PAIRS]
    ranked = reranker.rank("the cat", documents)
    assert [each.score for each in ranked] == sorted((e.score for e in ranked), reverse=True)


def test_without_a_padding_id_rows_go_one_by_one(folder):
    path = folder("qwen3_classification", pad_token_id=None)
    classifier = tl.TextClassifier(path)
    want = logits_of(classifier.model, TEXTS).argmax(1)
    assert [each.label for each in classifier(TEXTS)] == [f"LABEL_{i}" for i in want]
    with pytest.raises(ArgumentError, match="one row, as the config has no pad_token_id"):
        classifier.model(tl.tensor([[3, 4], [5, 6]]))


@pytest.mark.parametrize("padding", [0, None])
def test_tokens_of_a_decoder(padding, folder):
    path = folder("llama_tokens", pad_token_id=padding)
    texts = ["the cat sleeps", "a dog"]
    found = tl.TokenClassifier(path)(texts, aggregation_strategy="none")[0]
    ids = [WORDS.index(word) for word in ("the", "cat", "sleeps")]
    logits = tl.models.load(path)(tl.tensor([ids])).logits.numpy()[0]
    assert [each.label for each in found] == [f"LABEL_{i}" for i in logits.argmax(-1)]


def test_a_row_of_padding_is_scored_by_its_first_position():
    model = Case("llama_classification").load()
    ids = tl.tensor([[0, 0, 0], [5, 6, 0]])
    found = model(ids).logits.numpy()
    np.testing.assert_array_equal(found[0], model(ids[:, :1]).logits.numpy()[0])


@pytest.mark.parametrize(
    ("key", "value"),
    [("pad_token_id", "0"), ("problem_type", "ranking"), ("id2label", {"1": "one"})],
)
def test_keys_of_a_classifier_are_refused_by_name(key, value, tmp_path):
    shutil.copytree(Case("llama_classification").folder, tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ModelError, match=key):
        tl.models.load(tmp_path / "model")


LOSSES = [
    *((name, {}, [0, 2, 1]) for name in NAMES),
    ("llama_classification_left", {}, [0.5, -1.0, 2.0]),
    ("qwen2_classification", {"problem_type": "multi_label_classification"},
     [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
    ("gpt2_classification", {"problem_type": "regression"}, [[0.0, 1.5, 1.0]] * 3),
    ("mistral_tokens", {}, [[1, 2, 3, 4, -100, 0, 1, 2, 3, 4, 0, 1]] * 2),
    ("gpt2_tokens", {}, [[1, 2, 3, 4, -100, 0, 1, 2, 3, 4, 0, 1]] * 2),
]  # fmt: skip


@pytest.mark.needs_torch
@pytest.mark.parametrize(("name", "config", "labels"), LOSSES)
def test_losses_equal_transformers(name, config, labels, tmp_path):
    import torch
    import transformers

    case, path = Case(name), tmp_path / "model"
    shutil.copytree(case.folder, path)
    values = {**json.loads((path / "config.json").read_text()), **config}
    (path / "config.json").write_text(json.dumps(values))
    model = getattr(transformers, case.notes["model"]).from_pretrained(path, dtype=torch.float32)
    inputs = {key: torch.tensor(value.numpy()) for key, value in case.inputs.items()}
    want = model(**inputs, labels=torch.tensor(labels)).loss.item()
    found = tl.models.load(path, dtype="f32")(**case.inputs, labels=tl.tensor(labels))
    assert found.loss.item() == pytest.approx(want, rel=1e-4)


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", ["qwen3_answers", "gpt2_answers"])
def test_losses_of_answers_equal_transformers(name):
    import torch
    import transformers

    case = Case(name)
    cls = getattr(transformers, case.notes["model"])
    model = cls.from_pretrained(case.folder, dtype=torch.float32)
    inputs = {key: torch.tensor(value.numpy()) for key, value in case.inputs.items()}
    places = {"start_positions": [3, 40], "end_positions": [5, 2]}
    want = model(**inputs, **{k: torch.tensor(v) for k, v in places.items()}).loss.item()
    found = case.load()(**case.inputs, **{k: tl.tensor(v) for k, v in places.items()})
    assert found.loss.item() == pytest.approx(want, rel=1e-4)


@pytest.mark.needs_torch
@pytest.mark.parametrize("padding", [0, None])
@pytest.mark.parametrize("name", [n for n in NAMES if n[:5] != "qwen2"])  # own tokenizer there
def test_classifiers_equal_pipelines(name, padding, folder):
    from transformers import pipeline

    path = folder(name, pad_token_id=padding)
    reference = pipeline("text-classification", str(path), dtype="float32", top_k=None)
    want = [{each["label"]: each["score"] for each in row} for row in reference(TEXTS)]
    found = tl.TextClassifier(path, dtype="f32")(TEXTS, top_k=None)
    for row, labels in zip(found, want, strict=True):
        scores = {each.label: each.score for each in row}
        assert scores == pytest.approx(labels, rel=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "bert_lm", "electra_lm"])
def test_a_language_model_of_another_kind(name, folder):
    path = folder(name)
    llm = tl.LLM(path)
    prompt = [2, 4, 7]
    want = llm.model.generate(tl.tensor([prompt]), max_new_tokens=6, do_sample=False)
    found = llm.generate(prompt, max_tokens=6, temperature=0.0)
    assert [*prompt, *found.tokens] == want.tolist()[0]
    logits = llm.logits([*prompt, *want.tolist()[0][3:-1]]).numpy()
    assert logits[2:].argmax(-1).tolist() == want.tolist()[0][3:]
    assert llm.perplexity("the cat sleeps on the sofa") > 1
