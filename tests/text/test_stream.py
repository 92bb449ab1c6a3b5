"""Streamed text is the text of all ids at once, however the ids or the pushes are cut."""

import random

import pytest

from tallow.errors import ArgumentError
from tallow.text import StopStrings, StreamDecoder, Tokenizer


@pytest.fixture(params=["bpe", "spm", "wordpiece", "unigram"])
def tokenizer(request):
    return Tokenizer.from_gguf(request.getfixturevalue(f"{request.param}_metadata"))


def streamed(tokenizer, ids, skip_special):
    decoder = StreamDecoder(tokenizer, skip_special=skip_special)
    return "".join([decoder.push(index) for index in ids]) + decoder.finish()


@pytest.mark.parametrize("skip_special", [True, False])
def test_random_ids(tokenizer, skip_special):
    draw = random.Random(1)
    for _ in range(300):
        ids = draw.choices(range(tokenizer.vocab_size + 2), k=draw.randint(0, 20))
        assert streamed(tokenizer, ids, skip_special) == tokenizer.decode(ids, skip_special)


def test_real_text(tokenizer, texts):
    for text in texts:
        ids = tokenizer.encode(text, parse_special=True)
        assert streamed(tokenizer, ids, True) == tokenizer.decode(ids)


def test_no_character_is_split(bpe_metadata):
    tokenizer = Tokenizer.from_gguf(bpe_metadata)
    text = "世界 😀 e\u0301 👨‍👩‍👧"
    decoder, shown = StreamDecoder(tokenizer), ""
    for index in tokenizer.encode(text):
        shown += decoder.push(index)
        assert "\ufffd" not in shown
        assert text.startswith(shown)
    assert (shown, decoder.finish()) == (text, "")


def test_unfinished_character_becomes_a_replacement(bpe_metadata):
    tokenizer = Tokenizer.from_gguf(bpe_metadata)
    ids = [tokenizer.token_to_id(char) for char in "ðŁĺ"]  # three of the four bytes of 😀
    decoder = StreamDecoder(tokenizer)
    assert [decoder.push(index) for index in ids] == ["", "", ""]
    assert decoder.finish() == "\ufffd" == tokenizer.decode(ids)
    assert decoder.finish() == ""
    assert decoder.push(tokenizer.token_to_id("a")) == "a"


def test_spm_loses_its_first_space_once(spm_metadata):
    tokenizer = Tokenizer.from_gguf(spm_metadata)
    word = tokenizer.token_to_id("▁a")
    assert streamed(tokenizer, [1, word, word], True) == "a a"
    assert streamed(tokenizer, [1, word, word], False) == "<s> a a"


def stopped(stops, text, cuts):
    """The text shown and whether a stop was hit, with `text` pushed in pieces."""
    guard, shown = StopStrings(stops), ""
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        safe, hit = guard.push(text[begin:end])
        shown += safe
        if hit:
            return shown, True
    return shown + guard.finish(), False


def first_stop(stops, text):
    """The same by definition: the first prefix that ends with a stop, without its longest one."""
    for end in range(len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            return text[: end - max(map(len, found))], True
    return text, False


def test_stops_do_not_depend_on_the_cuts():
    draw = random.Random(2)
    for _ in range(3000):
        stops = ["".join(draw.choices("ab\n", k=draw.randint(1, 4))) for _ in range(3)]
        text = "".join(draw.choices("ab\n", k=draw.randint(0, 12)))
        cuts = sorted(draw.choices(range(len(text) + 1), k=draw.randint(0, 6)))
        assert stopped(stops, text, cuts) == first_stop(stops, text), (stops, text, cuts)


def test_only_what_may_begin_a_stop_is_held_back():
    guard = StopStrings(["\nUser:", "</s>"])
    assert guard.push("Hello\nU") == ("Hello", False)
    assert guard.push("nited <") == ("\nUnited ", False)
    assert guard.push("/s> more") == ("", True)
    assert guard.push("and more") == ("", True)
    assert guard.finish() == ""
    assert guard.push("x<") == ("x", False)
    assert guard.finish() == "<"


def test_no_stops_hold_nothing():
    guard = StopStrings([])
    assert guard.push("anything") == ("anything", False)


@pytest.mark.parametrize("stops", ["abc", ["a", ""]])
def test_wrong_stops(stops):
    with pytest.raises(ArgumentError, match="StopStrings: expected a sequence of non-empty"):
        StopStrings(stops)
