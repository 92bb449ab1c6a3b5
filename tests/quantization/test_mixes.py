"""The dtype of every tensor is the one that llama-quantize chose (tests/golden/make_mixes.py)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tallow.dtype import by_name
from tallow.errors import ArgumentError
from tallow.quantization import FILE_TYPES, Facts, Options, Subject, file_type, plan
from tallow.quantization.mix_rules import NEEDS_IMATRIX
from tallow.quantization.mixes import fitted, needs_imatrix

GOLDEN = Path(__file__).parent.parent / "golden" / "mixes"
MODELS = sorted(path.stem for path in GOLDEN.glob("*.json"))
OPTIONS = {
    "plain": Options(),
    "imatrix": Options(),
    "pure": Options(pure=True),
    "chosen": Options(
        output="q5_k",
        token_embedding="q4_0",
        overrides=[
            (re.compile(r"blk\.[01]\.ffn_down"), "q8_0"),
            (re.compile("attn_v"), "iq4_xs"),
        ],
    ),
    "blocks": Options(overrides=[(re.compile(r"blk\."), "mxfp4")]),
}


def golden(name: str):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def subjects(record) -> list[Subject]:
    return [Subject(name, tuple(shape), "f32") for name, shape in record["tensors"].items()]


def test_there_are_goldens_for_every_file_type():
    assert len(MODELS) == 8
    ours = {"mxfp4", "nvfp4"}  # llama.cpp has neither for models without experts
    for name in MODELS:
        found = set(golden(name)["types"]["plain"])
        assert found - {"q1_0"} == set(FILE_TYPES) - ours - {"q1_0"}
    assert "q1_0" in golden("llama70b")["types"]["plain"]  # its rows are whole blocks of 128


@pytest.mark.parametrize("model", MODELS)
def test_types_are_those_of_llama_quantize(model):
    record = golden(model)
    names = list(record["tensors"])
    for variant, rows in record["types"].items():
        facts = Facts.of(record["metadata"], has_imatrix=variant == "imatrix")
        for kind, letters in rows.items():
            wanted = {n: record["letters"][c] for n, c in zip(names, letters, strict=True)}
            made = plan(subjects(record), file_type(kind), facts, OPTIONS[variant])
            found = {choice.subject.name: choice.dtype for choice in made}
            wrong = {n: (found[n], wanted[n]) for n in names if found[n] != wanted[n]}
            assert not wrong, (variant, kind)


def test_mxfp4_is_what_llama_quantize_gives_when_told_so_for_the_layers():
    record = golden("smollm2")
    names, letters = list(record["tensors"]), record["types"]["blocks"]["mxfp4_moe"]
    made = plan(subjects(record), file_type("mxfp4"), Facts.of(record["metadata"], has_imatrix=0))
    found = {choice.subject.name: choice.dtype for choice in made}
    assert found == {n: record["letters"][c] for n, c in zip(names, letters, strict=True)}


def test_order_is_by_layer_then_by_name():
    record = golden("smollm2")
    made = plan(subjects(record), file_type("q8_0"), Facts())
    names = [choice.subject.name for choice in made]
    assert names[:2] == ["output_norm.weight", "token_embd.weight"]
    layers = [int(name.split(".")[1]) for name in names[2:]]
    assert layers == sorted(layers)
    assert names[2:11] == sorted(names[2:11])


@pytest.mark.parametrize("dtype", sorted({row.base for row in FILE_TYPES.values()}))
@pytest.mark.parametrize("columns", [256, 576, 64, 100])
def test_what_stands_in_fits(dtype, columns):
    found = fitted(dtype, columns)
    assert columns % by_name(found).block == 0
    assert found == dtype or columns % by_name(dtype).block


def test_names_of_file_types():
    assert file_type("Q4_K").name == "q4_k_m"
    assert file_type("iq4_XS").code == 30
    with pytest.raises(ArgumentError, match="expected one of f32, f16"):
        file_type("q4_2")


def test_who_needs_an_importance_matrix():
    record = golden("smollm2") | {}
    wide = [Subject(s.name, (*s.shape[:-1], 256), s.dtype) for s in subjects(record)]
    for name, row in FILE_TYPES.items():
        made = plan(wide, row, Facts.of(record["metadata"], has_imatrix=False))
        asking = any(needs_imatrix(choice, row) for choice in made)
        assert asking == (name == "q2_k_s" or bool({c.dtype for c in made} & {*NEEDS_IMATRIX}))


def test_metadata_of_any_kind():
    odd = {"general.architecture": 7, "7.block_count": "x", "7.expert_count": [8, 8]}
    assert Facts.of(odd, has_imatrix=False) == Facts("7", 0, 0, 8)
    assert Facts.of({}, has_imatrix=True).has_imatrix
