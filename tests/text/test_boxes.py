"""Boxes and labels of words on their tokens, as transformers' LayoutLMv3 tokenizer spreads them."""

import json

import pytest

from tallow.errors import DTypeError, FormatError, ShapeError
from tallow.text import Tokenizer
from text.tiny_tokenizers import write_folder

WORDS = [["Invoice", "No.", "12345"], ["a"], [], ["Total:", "", "9.99 EUR"]]
BOXES = [[[10 * i, j, 10 * i + 9, j + 5] for i, _ in enumerate(w)] for j, w in enumerate(WORDS)]
LABELS = [[i + 1 for i, _ in enumerate(words)] for words in WORDS]
QUESTIONS = ["what is it?", "", "b", "how much"]
CALLS = (
    {},
    {"truncation": True, "max_length": 9, "stride": 1, "return_overflow": True},
    {"padding": "max_length", "max_length": 24, "truncation": "only_second"},
)


@pytest.fixture
def folder(tmp_path):
    write_folder("layoutlmv3", tmp_path, size=300)
    return tmp_path


@pytest.mark.needs_torch
@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("config", [{}, {"cls_token_box": [1, 2, 3, 4], "sep_token_box": [5] * 4,
                                         "pad_token_box": [6] * 4, "pad_token_label": -1,
                                         "only_label_first_subword": False}])  # fmt: skip
def test_boxes_and_labels_are_those_of_transformers(folder, pair, config):
    transformers = pytest.importorskip("transformers")
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({"tokenizer_class": "LayoutLMv3Tokenizer", **config}))
    oracle = transformers.AutoTokenizer.from_pretrained(str(folder))
    ours = Tokenizer.from_folder(folder)
    texts, pairs = (QUESTIONS, WORDS) if pair else (WORDS, None)
    for call in CALLS:
        if not pair and call.get("truncation") == "only_second":
            continue
        given = {"boxes": BOXES} if pair else {"boxes": BOXES, "word_labels": LABELS}
        found = ours.batch(texts, pairs, **given, **call)
        theirs = {"padding": True, **call}
        if theirs.pop("return_overflow", False):
            theirs["return_overflowing_tokens"] = True
        wanted = oracle(texts, pairs, **given, return_tensors="np", **theirs)
        assert found.input_ids.tolist() == wanted["input_ids"].tolist()
        assert found.bbox.tolist() == wanted["bbox"].tolist()
        if not pair:
            assert found.labels.tolist() == wanted["labels"].tolist()


def test_a_word_s_box_is_on_each_of_its_tokens_and_its_label_on_the_first(folder):
    tokenizer = Tokenizer.from_folder(folder)
    found = tokenizer.batch(WORDS[0], boxes=BOXES[0], word_labels=LABELS[0])
    assert found.bbox.shape == (*found.input_ids.shape, 4)
    words = found.word_ids[0]
    expected = [[0] * 4 if word is None else BOXES[0][word] for word in words]
    assert found.bbox.tolist() == [expected]
    firsts = [word is not None and word not in words[:i] for i, word in enumerate(words)]
    assert found.labels.tolist()[0] == [
        LABELS[0][word] if first else -100 for word, first in zip(words, firsts, strict=True)
    ]
    pair = tokenizer.batch("a b", WORDS[1], boxes=BOXES[1], word_labels=[7])
    assert pair.bbox.tolist()[0][1] == [0] * 4
    assert pair.labels.tolist() == [[7 if i == 1 else -100 for i in pair.sequence_ids[0]]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"boxes": BOXES[:2]}, ShapeError, "boxes: expected those of 4 texts, got 2"),
        ({"boxes": [BOXES[1], *BOXES[1:]]}, ShapeError, "text 0: expected 3, one for each word"),
        ({"boxes": [[[1, 2, 3]] * 3, *BOXES[1:]]}, ShapeError, "text 0, word 0: expected 4"),
        ({"boxes": [[[1, 2, 3, 4.5]] * 3, *BOXES[1:]]}, ShapeError, "text 0, word 0: expected 4"),
        ({"boxes": [3, *BOXES[1:]]}, DTypeError, "text 0: expected a list of boxes, got int"),
        ({"word_labels": LABELS[:1]}, ShapeError, "word_labels: expected those of 4 texts"),
        ({"word_labels": [[1], *LABELS[1:]]}, ShapeError, "3 for the words of text 0, got 1"),
    ],
)
def test_wrong_boxes_give_one_clear_error(folder, call, error, message):
    with pytest.raises(error, match=message):
        Tokenizer.from_folder(folder).batch(WORDS, **call)


@pytest.mark.parametrize(
    "config", [{"sep_token_box": [1, 2]}, {"pad_token_box": "x"}, {"pad_token_label": None}]
)
def test_wrong_configs(folder, config):
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({"tokenizer_class": "LayoutLMv3Tokenizer", **config}))
    (field,) = config
    with pytest.raises(FormatError, match=f"tokenizer_config.json: {field}: expected"):
        Tokenizer.from_folder(folder)
