"""Folders of every family as GGUF: tensors and sizes of the goldens, names and rows and back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import tallow as tl
from tallow.conversion import compare
from tallow.conversion.content import Content, Entry
from tallow.conversion.gguf_model import gguf_content
from tallow.conversion.gguf_vocab import pre_tokenizer_name
from tallow.conversion.names import halves, named_entries, neighbours
from tallow.conversion.writers import WRITERS, prepare
from tallow.errors import ModelError
from tallow.formats.gguf import LazyTensor, save_gguf
from tallow.text import Tokenizer
from tallow.weights import open_weights

GOLDEN = Path(__file__).parent.parent / "golden" / "models"
FAMILIES = ("llama", "llama3", "mistral", "qwen2", "qwen3")
TEXTS = ("Hello world", " a  b\n\nc 123 4567", "don't <|im_end|> é")


def made(folder: Path, path: Path) -> Path:
    content = gguf_content(open_weights(folder))
    tensors = {e.name: LazyTensor(e.dtype, e.shape, e.take) for e in content.entries.values()}
    save_gguf(tensors, path, content.metadata)
    return path


@pytest.mark.parametrize("family", FAMILIES)
def test_tensors_are_those_of_the_golden(family, tmp_path):
    source = open_weights(made(GOLDEN / family, tmp_path / "out.gguf"))
    golden = open_weights(GOLDEN / family / f"{family}.f16.gguf")
    rows = list(
        compare(named_entries(source, "keep"), named_entries(golden, "keep"), tolerance=1e-6)
    )
    assert {row.verdict for row in rows} <= {"equal", "close"}
    assert {row.name for row in rows if row.verdict == "close"} <= {"rope_freqs.weight"}
    for name in source.names():
        assert source.info(name).dtype == (
            "f32" if len(source.info(name).shape) < 2 else "bf16"
        ) or (source.info(name).dtype == open_weights(GOLDEN / family).info(name).dtype)


@pytest.mark.parametrize("family", [*FAMILIES, "llama_bias"])
def test_logits_stay(family, tmp_path):
    """The config survives: sizes, rope, norms, ties, biases and the order of rows."""
    ids = list(range(3, 8))  # within the window of the mistral folder, which GGUF does not keep
    path = made(GOLDEN / family, tmp_path / "out.gguf")
    exact = {"cache_dtype": "f32"}  # f16 would round what differs in its last bits to other numbers
    with tl.LLM(path, **exact) as ours, tl.LLM(GOLDEN / family, **exact) as theirs:
        gap = (ours.logits(ids) - theirs.logits(ids)).abs().max().item()
    assert gap < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_names_and_rows_come_back(family, tmp_path):
    folder = open_weights(GOLDEN / family)
    back = named_entries(open_weights(made(GOLDEN / family, tmp_path / "out.gguf")), "hf")
    back.pop("rope_freqs.weight", None)
    rows = list(compare(back, named_entries(folder, "hf"), tolerance=0.0))
    assert [row.name for row in rows if row.verdict != "equal"] == []


@pytest.mark.parametrize("dtype", ["f32", "f16", "q8_0", "q4_0"])
def test_rows_move_as_whole_blocks(dtype):
    heads, half, columns = 3, 4, 64
    rows = tl.arange(heads * 2 * half, dtype=tl.f32).reshape(-1, 1) / 4 - 3
    x = (rows * tl.ones(1, columns)).to(dtype)
    moved = neighbours(x, heads)
    expected = [h * 8 + s * half + i for h in range(heads) for i in range(half) for s in range(2)]
    assert (moved.dtype, moved.shape) == (x.dtype, x.shape)
    wanted = x.to(tl.f32)[tl.tensor(expected)].tolist()
    assert moved.to(tl.f32).tolist() == wanted
    assert halves(moved, heads).to(tl.f32).tolist() == x.to(tl.f32).tolist()


def test_tokenizer_goes_along(tmp_path):
    folder = with_tokenizer(tmp_path)
    metadata = open_weights(made(folder, tmp_path / "out.gguf")).metadata
    ours, theirs = Tokenizer.from_gguf(metadata), Tokenizer.from_folder(folder)
    assert len(ours.encode("Hello")) == 1
    for text in TEXTS:
        for options in ({}, {"parse_special": True}, {"add_special": False}):
            assert ours.encode(text, **options) == theirs.encode(text, **options)
    assert (ours.bos_id, ours.eos_id, ours.eos_ids) == (
        theirs.bos_id,
        theirs.eos_id,
        theirs.eos_ids,
    )
    assert ours.chat_template == theirs.chat_template
    golden = open_weights(GOLDEN / "llama" / "llama.f16.gguf").metadata
    others = {f"tokenizer.ggml.{key}" for key in ("pre", "tokens", "token_type", "merges")}
    shared = [key for key in golden if key.startswith("tokenizer.") and key not in others]
    assert len(shared) >= 5
    assert {key: metadata[key] for key in shared} == {key: golden[key] for key in shared}


def test_sizes_are_those_of_the_golden(tmp_path):
    metadata = open_weights(made(GOLDEN / "qwen3", tmp_path / "out.gguf")).metadata
    golden = open_weights(GOLDEN / "qwen3" / "qwen3.f16.gguf").metadata
    for key in golden:
        if key.startswith("qwen3.") or key == "general.architecture":
            assert metadata[key] == golden[key], key


def with_tokenizer(tmp_path: Path, **changes) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(GOLDEN / "llama", folder)
    file = folder / "tokenizer.json"
    root = json.loads(file.read_text())
    merges = [["H", "e"], ["l", "l"], ["He", "ll"], ["Hell", "o"]]
    for i, pair in enumerate(merges):
        root["model"]["vocab"]["".join(pair)] = root["model"]["vocab"].pop(f"<unused{i}>")
    root["model"]["merges"] = merges
    file.write_text(json.dumps({**root, **changes}))
    return folder


def split(regex: str) -> dict:
    pattern = {"Regex": regex}
    step = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
    end = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False, "trim_offsets": True}
    return {"type": "Sequence", "pretokenizers": [step, end]}


QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True, "trim_offsets": True}
DIGITS = {"type": "Digits", "individual_digits": True}


@pytest.mark.parametrize(
    ("step", "ignore_merges", "name"),
    [
        (BYTES, False, "gpt-2"),
        ({"type": "Sequence", "pretokenizers": [DIGITS, BYTES]}, False, "smollm"),
        (split(QWEN), False, "qwen2"),
        (split(QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")), True, "llama-bpe"),
        (split(QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")), False, "smaug-bpe"),
    ],
)
def test_pre_tokenizers_by_what_they_do(tmp_path, step, ignore_merges, name):
    folder = with_tokenizer(tmp_path, pre_tokenizer=step)
    file = folder / "tokenizer.json"
    root = json.loads(file.read_text())
    root["model"]["ignore_merges"] = ignore_merges
    file.write_text(json.dumps(root))
    assert pre_tokenizer_name(folder) == name


def test_a_tokenizer_that_no_name_stands_for(tmp_path):
    folder = with_tokenizer(tmp_path, pre_tokenizer=split(r"[aeiou]+"))
    with pytest.raises(ModelError, match="expected to cut text like one of gpt-2"):
        gguf_content(open_weights(folder))


def test_bos_is_told(tmp_path):
    single = [
        {"SpecialToken": {"id": "<|im_start|>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    ]
    template = {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [1], "tokens": ["x"]}},
    }
    folder = with_tokenizer(tmp_path, post_processor=template)
    metadata = gguf_content(open_weights(folder)).metadata
    assert metadata["tokenizer.ggml.add_bos_token"].value is True
    assert metadata["tokenizer.ggml.add_eos_token"].value is False


def test_weights_without_a_config_cannot_be_named(tmp_path):
    source = open_weights(GOLDEN / "qwen3" / "model.safetensors")
    with pytest.raises(ModelError, match="config"):
        named_entries(source, "gguf")
    with pytest.raises(ModelError, match=r"config\.json"):
        gguf_content(source)


@pytest.mark.parametrize("dtype", ["q8_0", "f16"])
def test_norms_in_rows_stay_floats(dtype):
    """Those of Mamba 2 stand in rows of groups, which llama.cpp multiplies by f32 alone."""
    names = ("blk.0.ssm_norm.weight", "blk.0.ssm_in.weight")
    entries = {name: Entry(name, "f32", (2, 128), lambda: tl.ones(2, 128)) for name in names}
    writer = next(each for each in WRITERS if each.name == "gguf")
    made = prepare(Content("here", entries, {}), writer, dtype).content.entries
    assert [made[name].dtype for name in names] == ["f32", dtype]
