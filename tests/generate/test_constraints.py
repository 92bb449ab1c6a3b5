"""Constraints: whatever a model would say, answers follow the schema, expression or grammar."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

import tallow as tl
from tallow.errors import ArgumentError, MissingExtraError
from tallow.generate import SamplingParams
from tallow.text import Tokenizer

FOLDER = Path(__file__).parent.parent / "golden" / "models" / "llama"
SCHEMA = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 10, "maximum": 99},
        "kind": {"enum": ["on", "off"]},
        "seen": {"type": "boolean"},
    },
    "required": ["n", "kind", "seen"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def llm():
    pytest.importorskip("llguidance")
    with tl.LLM(FOLDER / "llama.q8_0.gguf", context=128) as opened:
        yield opened


def check(result):
    assert result.finish_reason == "stop"
    found = json.loads(result.text)
    assert list(found) == ["n", "kind", "seen"]
    assert 10 <= found["n"] <= 99
    assert found["kind"] in ("on", "off")
    assert found["seen"] in (True, False)


@pytest.mark.parametrize("seed", range(4))
def test_samples_satisfy_the_schema(llm, seed):
    check(llm.generate("Hello", json_schema=SCHEMA, temperature=2.0, seed=seed))


def test_every_way_of_asking_follows_it(llm):
    plain = llm.generate("Hello", json_schema=SCHEMA)
    check(plain)
    stream = llm.stream("Hello", json_schema=json.dumps(SCHEMA))
    assert "".join(stream) == plain.text
    check(llm.chat("Hi", json_schema=SCHEMA))
    prompts = ["Hello", "Hi there", "x"]
    for result, prompt in zip(
        llm.generate_batch(prompts, json_schema=SCHEMA), prompts, strict=True
    ):
        check(result)
        assert result.tokens == llm.generate(prompt, json_schema=SCHEMA).tokens


def test_rows_of_a_batch_follow_their_own(llm):
    params = [SamplingParams(json_schema=SCHEMA), SamplingParams(regex="[ab]{3}"), SamplingParams()]
    first, second, third = llm.generate_batch(["Hello"] * 3, params, max_tokens=60)
    check(first)
    assert re.fullmatch("[ab]{3}", second.text)
    assert third.tokens == llm.generate("Hello", max_tokens=60).tokens


def test_speculation_gives_the_same(llm):
    with tl.LLM(FOLDER / "llama.q8_0.gguf", context=128, speculation="prompt_lookup") as guessing:
        for options in ({"json_schema": SCHEMA}, {"regex": "(abc ){2,5}"}):
            wanted = llm.generate("abc abc abc", **options)
            assert guessing.generate("abc abc abc", **options).tokens == wanted.tokens


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"regex": "[0-9]{4}-[0-9]"}, "[0-9]{4}-[0-9]"),
        ({"regex": "é+ü"}, "é+ü"),
        ({"grammar": 'start: ("ja" | "nein") "!"'}, "(ja|nein)!"),
        ({"grammar": 'root ::= ("ja" | "nein") "!"'}, "(ja|nein)!"),
    ],
    ids=["regex", "bytes", "lark", "gbnf"],
)
def test_expressions_and_grammars(llm, options, wanted):
    for seed in range(3):
        result = llm.generate("Hello", temperature=3.0, seed=seed, max_tokens=40, **options)
        assert re.fullmatch(wanted, result.text)
        assert result.finish_reason == "stop"


def test_control_tokens_are_no_text(llm):
    result = llm.generate("Hello", regex=r".{5}", temperature=5.0, seed=3)
    assert not set(result.tokens) & set(llm.tokenizer.special_ids)


def test_plain_python_tokenizers_do_as_well(llm):
    model = llm.model
    ids = llm.tokenizer.encode("Hello")
    wanted = llm.generate(ids, json_schema=SCHEMA)
    own = Tokenizer.from_folder(FOLDER, engine="python")
    (*_, found) = tl.generate.generate(
        model, ids, SamplingParams(json_schema=SCHEMA), tokenizer=own
    )
    assert found.tokens == wanted.tokens


def test_classes_with_a_schema(llm):
    class Model:
        @staticmethod
        def model_json_schema():
            return SCHEMA

    check(llm.generate("Hello", json_schema=Model))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"json_schema": False}, "Unsatisfiable"),
        ({"json_schema": {"type": "string", "minLength": 5, "maxLength": 2}}, "Unsatisfiable"),
        ({"json_schema": {"type": "intger"}}, "Invalid type: intger"),
        ({"json_schema": {"not": {"type": "string"}}}, "Unimplemented keys"),
        ({"json_schema": "{"}, "expected a JSON schema"),
        ({"regex": "("}, "unclosed group"),
        ({"regex": r"[^\s\S]"}, "one that some text follows, got one that none does"),
        ({"grammar": "start: nothing"}, "grammar: expected one that can be followed"),
        ({"grammar": "root ::= nothing"}, "expected rules of GBNF"),
        (
            {"regex": "a", "grammar": 'start: "a"'},
            "expected one of json_schema or regex or grammar",
        ),
        ({"regex": 3}, "a text of at most"),
        ({"json_schema": {"a": {1, 2}}}, "what JSON has a form for"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_be_followed_is_refused_before_anything_is_computed(llm, options, told):
    with pytest.raises(ArgumentError, match=told):
        llm.events("Hello", **options)


def test_what_other_parameters_leave_nothing_of(llm):
    digits = [llm.tokenizer.encode(c, add_special=False)[-1] for c in "0123456789"]
    every = range(llm.model.vocab_size)
    with pytest.raises(ArgumentError, match="a token that may be chosen"):
        llm.generate("Hello", regex="[0-9]", suppress_tokens=[*digits, *every])


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with tl.LLM(FOLDER) as llm, pytest.raises(MissingExtraError, match="llguidance"):
        llm.generate("Hello", regex="a")


def test_the_command(llm, tmp_path, capsys):
    from tallow.cli import main

    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    line = ["generate", str(FOLDER), "-p", "Hello", "--json-schema", str(tmp_path / "schema.json")]
    assert main([*line, "--context", "128"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["n", "kind", "seen"]
    assert main(["generate", str(FOLDER), "-p", "Hello", "--regex", "("]) == 1
    assert "unclosed group" in capsys.readouterr().err
