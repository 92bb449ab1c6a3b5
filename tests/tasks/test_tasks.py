"""Tasks against sentence-transformers and transformers' pipelines (tests/golden/make_tasks.py)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ArgumentError, FormatError, ModelError
from tallow.tasks import BatchError

ROOT = Path(__file__).parent.parent / "golden" / "tasks"
LONG = "Run models of language. " * 40
TEXTS = [
    "A cat sleeps.",
    "The kitten is asleep on the sofa, and the dog is not!",
    "",
    "naïve café — ünïcode, 1,234.50 €",
    "tensor tensor kernel",
    LONG,
]
POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


def expected(name: str):
    return json.loads((ROOT / name / "expected.json").read_text())


def near(found, want) -> None:
    found = found.numpy() if hasattr(found, "numpy") else np.array(found)
    np.testing.assert_allclose(found, np.array(want), rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def embedder():
    return tl.Embedder(ROOT / "sentences")


@pytest.mark.parametrize("size", [1, 2, 32])
def test_vectors_are_sentence_transformers(embedder, size):
    near(embedder.encode(TEXTS, batch_size=size), expected("sentences")["plain"])


def test_prompts(embedder):
    want = expected("sentences")
    near(embedder.encode(TEXTS, prompt_name="query"), want["query"])
    near(embedder.encode_query(TEXTS), want["query"])
    near(embedder.encode(TEXTS, prompt="query: "), want["query"])
    assert embedder.prompts == {"query": "query: ", "document": "passage: "}
    with pytest.raises(ArgumentError, match=r"prompt_name.*document, query.*'other'"):
        embedder.encode("x", prompt_name="other")


def test_a_stream_of_texts_and_of_prompts_with_texts(embedder):
    want = expected("sentences")
    texts = ["ab", *TEXTS, 7]  # of two characters, which are no prompt and text
    found = list(embedder.stream(texts))
    near([each.result.tolist() for each in found[1:-1]], want["plain"])
    near(found[0].result, embedder.encode("ab").numpy())
    assert "expected a text, got int" in str(found[-1].error)
    mixed = [TEXTS[0], ("query: ", TEXTS[0]), ("query: ",), ("a", "b", "c")]
    found = list(embedder.stream(mixed))
    near([each.result.tolist() for each in found[:2]], [want["plain"][0], want["query"][0]])
    assert all("expected a text, got tuple" in str(each.error) for each in found[2:])


def test_first_numbers_of_vectors(embedder):
    near(embedder.encode(TEXTS, truncate_dim=8), expected("sentences")["truncated"])
    with pytest.raises(ArgumentError, match="truncate_dim"):
        embedder.encode(TEXTS, truncate_dim=25)


@pytest.mark.parametrize("mode", POOLINGS)
def test_pooling(mode, tmp_path):
    shutil.copytree(ROOT / "sentences", tmp_path / "m")
    (tmp_path / "m" / "modules.json").unlink()  # an encoder alone
    alone = tl.Embedder(tmp_path / "m", pooling=mode, max_length=32)
    near(alone.encode(TEXTS), expected("sentences")[f"pooling.{mode}"])


def test_a_single_text_and_none(embedder):
    vector = embedder.encode(TEXTS[0])
    assert vector.shape == (24,)
    near(vector, expected("sentences")["plain"][0])
    assert embedder.encode([]).shape == (0, 0)


def test_similarity(embedder):
    found = embedder.encode(TEXTS)
    rows = found.numpy()
    near(embedder.similarity(found, found[:2]), rows @ rows[:2].T)
    near(embedder.similarity(found[0], found), rows[:1] @ rows.T)


def test_one_bad_text_does_not_cost_the_others(embedder):
    texts = [TEXTS[0], 7, TEXTS[1], None]
    with pytest.raises(BatchError, match=r"2 of 4 items failed") as caught:
        embedder.encode(texts)
    assert "item 1: encode: expected a text, got int" in str(caught.value)
    assert [each.index for each in caught.value.failures] == [1, 3]
    near(caught.value.results[2], expected("sentences")["plain"][1])


CHANGES = {
    "kind": (lambda rows: rows[1].update(type="a.b.CNN"), ModelError, "a.b.CNN"),
    "outside": (lambda rows: rows[1].update(path="../../etc"), FormatError, "below this one"),
    "form": (lambda rows: rows.insert(0, 7), FormatError, "objects with type"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_hostile_modules(change, tmp_path):
    shutil.copytree(ROOT / "sentences", tmp_path / "m")
    rows = json.loads((tmp_path / "m" / "modules.json").read_text())
    edit, error, text = CHANGES[change]
    edit(rows)
    (tmp_path / "m" / "modules.json").write_text(json.dumps(rows))
    with pytest.raises(error, match=text):
        tl.Embedder(tmp_path / "m")


def test_a_model_in_a_folder_of_its_own(tmp_path):
    """With the settings there: so older versions of sentence-transformers write."""
    folder = shutil.copytree(ROOT / "sentences", tmp_path / "m")
    inner = folder / "0_Transformer"
    inner.mkdir()
    kept = ("modules.json", "config_sentence_transformers.json")
    for path in folder.iterdir():
        if path.is_file() and path.name not in kept:
            path.rename(inner / path.name)
    rows = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([{**rows[0], "path": inner.name}, *rows[1:]]))
    embedder = tl.Embedder(folder)
    near(embedder.encode(TEXTS), expected("sentences")["plain"])
    assert embedder.max_length == 32
    (inner / "sentence_bert_config.json").unlink()
    (inner / "sentence_roberta_config.json").write_text('{"max_seq_length": 7}')
    assert tl.Embedder(folder).max_length == 7


@pytest.mark.parametrize("name", ["Identity", "Sigmoid", "Tanh"])
@pytest.mark.parametrize("key", ["new", "old"])
def test_activations_of_rerankers(key, name, tmp_path):
    folder = shutil.copytree(ROOT / "reranker", tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    config.pop("sentence_transformers", None)
    asked = f"torch.nn.modules.activation.{name}"
    old = {"sbert_ce_default_activation_function": asked}
    more = old if key == "old" else {"sentence_transformers": {"activation_fn": asked}}
    (folder / "config.json").write_text(json.dumps({**config, **more}))
    pair = [("which animal sleeps", TEXTS[0])]
    reranker = tl.Reranker(folder)
    logit = reranker.predict(pair, raw=True).numpy()
    want = {"Identity": logit, "Tanh": np.tanh(logit), "Sigmoid": 1 / (1 + np.exp(-logit))}[name]
    near(reranker.predict(pair), want)
    text = json.dumps({**config, **more}).replace(asked, "my.code.Fn")
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"activation_fn: expected one of .*found 'my\.code\.Fn'"):
        tl.Reranker(folder).predict(pair)


@pytest.mark.parametrize("mode", [[[1]], [7], {"cls": True}, "average"])
def test_a_pooling_that_is_none(mode, tmp_path):
    folder = shutil.copytree(ROOT / "sentences", tmp_path / "m")
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": mode}))
    with pytest.raises(ModelError, match=r"config\.json: pooling_mode: expected one of"):
        tl.Embedder(folder)


def test_reranker():
    reranker, want = tl.Reranker(ROOT / "reranker"), expected("reranker")
    query = "which animal sleeps"
    near(reranker.predict([(query, text) for text in TEXTS]), want["scores"])
    ranked = reranker.rank(query, TEXTS, top_k=4)
    assert [each.index for each in ranked] == want["order"][:4]
    assert [each.text for each in ranked] == [TEXTS[i] for i in want["order"][:4]]
    with pytest.raises(ModelError, match="num_labels"):
        tl.Reranker(ROOT / "texts").predict([("a", "b")])


def test_text_classifier():
    classifier, want = tl.TextClassifier(ROOT / "texts"), expected("texts")["all"]
    for found, rows in zip(classifier(TEXTS, top_k=None), want, strict=True):
        assert [each.label for each in found] == [row["label"] for row in rows]
        near([each.score for each in found], [row["score"] for row in rows])
    best = classifier(TEXTS[0])
    assert best.label == want[0][0]["label"]
    assert [each.label for each in classifier(TEXTS)] == [rows[0]["label"] for rows in want]


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
def test_token_classifier(strategy):
    classifier = tl.TokenClassifier(ROOT / "tokens")
    texts = [text for text in TEXTS[:5] if text]
    found = classifier(texts, aggregation_strategy=strategy)
    for text, entities, rows in zip(texts, found, expected("tokens")[strategy], strict=True):
        label = "entity" if strategy == "none" else "entity_group"
        want = [(row[label], row["start"], row["end"]) for row in rows]
        assert [(each.label, each.start, each.end) for each in entities] == want
        near([each.score for each in entities], [row["score"] for row in rows])
        assert all(each.text == text[each.start : each.end] for each in entities)


def test_a_long_text_is_read_to_its_end():
    found = tl.TokenClassifier(ROOT / "tokens")(LONG, ignore_labels=())
    assert found[0].start == 0
    assert found[-1].end == len(LONG.rstrip())


def test_image_classifier():
    classifier, want = tl.ImageClassifier(ROOT / "images"), expected("images")["all"]
    paths = sorted((ROOT / "images").glob("*.png"))
    for size in (1, 8):
        for found, rows in zip(classifier(paths, top_k=4, batch_size=size), want, strict=True):
            assert [each.label for each in found] == [row["label"] for row in rows]
            near([each.score for each in found], [row["score"] for row in rows])
    assert classifier(paths[0]).label == want[0][0]["label"]


def test_one_bad_picture_does_not_cost_the_others(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    paths = [ROOT / "images" / "0.png", tmp_path / "bad.png", ROOT / "images" / "1.png"]
    with pytest.raises(BatchError, match=r"1 of 3 items failed.*\n.*bad\.png") as caught:
        tl.ImageClassifier(ROOT / "images")(paths)
    assert [result is None for result in caught.value.results] == [False, True, False]


def test_image_embedder():
    embedder = tl.ImageEmbedder(ROOT / "images")
    paths = sorted((ROOT / "images").glob("*.png"))
    found = embedder.encode(paths, normalize_embeddings=True)
    assert found.shape == (3, 16)
    near(found.square().sum(1), [1.0] * 3)
    near(embedder.encode(paths[1], normalize_embeddings=True), found.numpy()[1])


def test_a_model_that_cannot_do_the_task():
    with pytest.raises(ModelError, match=r"task.*found none for 'object-detection'"):
        tl.Detector(ROOT / "texts")
    with pytest.raises(ModelError, match="classifier"):
        tl.TextClassifier(ROOT / "sentences")  # without the weights of a head
