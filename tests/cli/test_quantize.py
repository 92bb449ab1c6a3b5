"""`tallow quantize`: files as llama-quantize makes them, plans, refusals, and what it reports."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

import tallow as tl
from cli.conftest import GOLDEN, TINY
from tallow.formats.gguf import Typed, open_gguf, save_gguf
from tallow.formats.imatrix import ImportanceMatrix, save_imatrix
from tallow.quantization import FILE_TYPES, file_type
from tallow.weights import open_weights

F16 = GOLDEN / "llama" / "llama.f16.gguf"
IMATRIX = GOLDEN.parent / "imatrix" / "llama.gguf"
ORACLE = json.loads((GOLDEN.parent / "quantized.json").read_text())
# What ggml makes by a search, which another search may beat; the rest has one right answer.
SEARCHED = {"iq4_nl"}
# With an importance matrix these are searched too.
WEIGHED = {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "iq4_nl"}
WIDTH = 256


def digest(data) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


@pytest.mark.parametrize("row", ORACLE)
def test_equals_llama_quantize(run, tmp_path, monkeypatch, row):
    """Every byte of the file where ggml's algorithm has one right answer; else every dtype."""
    monkeypatch.chdir(IMATRIX.parent)
    kind, _, weighed = row.partition(" ")
    out = tmp_path / "out.gguf"
    options = ("--imatrix", IMATRIX.name) if weighed else ()
    assert run("quantize", F16, out, "--type", kind, *options)[0] == 0
    wanted = ORACLE[row]["tensors"]
    with open_gguf(out) as made:
        assert {name: info.dtype for name, info in made.tensors.items()} == {
            name: dtype for name, (dtype, _) in wanted.items()
        }
        free = WEIGHED if weighed else SEARCHED
        fixed = [name for name, (dtype, _) in wanted.items() if dtype not in free]
        for name in fixed:
            assert digest(made.data(name)) == wanted[name][1], name
    if len(fixed) == len(wanted):
        assert digest(out.read_bytes()) == ORACLE[row]["file"]


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A model whose rows hold whole blocks of 256, and an importance matrix for it."""
    folder = tmp_path_factory.mktemp("wide")
    metadata = open_gguf(F16).metadata.typed_items()
    sizes = {"embedding_length": WIDTH, "feed_forward_length": 2 * WIDTH}
    sizes |= {"attention.key_length": 64, "attention.value_length": 64, "rope.dimension_count": 64}
    metadata |= {f"llama.{key}": Typed("u32", value) for key, value in sizes.items()}
    tl.manual_seed(0)
    shapes = {
        "attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH // 2, WIDTH), "attn_v": (WIDTH // 2, WIDTH),
        "attn_output": (WIDTH, WIDTH), "ffn_gate": (2 * WIDTH, WIDTH), "ffn_up": (2 * WIDTH, WIDTH),
        "ffn_down": (WIDTH, 2 * WIDTH),
    }  # fmt: skip
    tensors = {"token_embd.weight": tl.randn(288, WIDTH), "output_norm.weight": tl.ones(WIDTH)}
    matrix = ImportanceMatrix(datasets=["made up"], chunk_count=2, chunk_size=32)
    for i in range(2):
        for norm in ("attn_norm", "ffn_norm"):
            tensors[f"blk.{i}.{norm}.weight"] = tl.ones(WIDTH)
        for part, shape in shapes.items():
            tensors[f"blk.{i}.{part}.weight"] = tl.randn(*shape) * 0.1
            matrix.add(f"blk.{i}.{part}.weight", tl.rand(shape[1]) * 64, 64)
    save_gguf(tensors, folder / "wide.gguf", metadata)
    save_imatrix(matrix, folder / "imatrix.gguf")
    return folder / "wide.gguf", folder / "imatrix.gguf"


def errors(source, path) -> dict[str, float]:
    """The relative error of each matrix."""
    original, made = open_weights(source), open_weights(path)
    found = {}
    for name in made.names():
        x = original.take(name, tl.f32)
        if x.ndim > 1:
            gap = made.take(name, tl.f32) - x
            found[name] = (gap.square().sum() / x.square().sum()).sqrt().item()
    return found


# The root mean square error of a normal distribution in these types is below.
LARGEST = {
    "f32": 0, "f16": 1e-3, "bf16": 5e-3, "q8_0": 0.01, "q6_k": 0.03, "q5_k": 0.05, "q5_1": 0.05,
    "q5_0": 0.06, "q4_k": 0.09, "q4_1": 0.1, "q4_0": 0.11, "iq4_nl": 0.1, "iq4_xs": 0.1,
    "mxfp4": 0.2, "nvfp4": 0.2, "q3_k": 0.2, "iq3_s": 0.2, "iq3_xxs": 0.3, "q2_k": 0.4,
    "iq2_s": 0.4, "iq2_xs": 0.45, "iq2_xxs": 0.5, "tq2_0": 0.9, "tq1_0": 0.9, "iq1_m": 0.7,
    "iq1_s": 0.75, "q2_0": 0.6, "q1_0": 0.75,
}  # fmt: skip


@pytest.mark.parametrize("kind", FILE_TYPES)
def test_every_file_type(run, wide, tmp_path, kind):
    model, matrix = wide
    out = tmp_path / "out.gguf"
    assert run("quantize", model, out, "--type", kind, "--imatrix", matrix)[0] == 0
    source = open_weights(out)
    assert source.metadata["general.file_type"] == file_type(kind).code
    for name, error in errors(model, out).items():
        assert error <= LARGEST[source.info(name).dtype], (name, source.info(name).dtype)
    with tl.LLM(out) as llm:
        assert bool(tl.isfinite(llm.logits([3, 4, 5])).all())
    code, said, _ = run(
        "quantize", model, "--type", kind, "--imatrix", matrix, "--dry-run", "--json"
    )
    planned = json.loads(said)
    infos = [source.info(name) for name in source.names()]
    assert code == 0
    assert planned["bytes_after"] == sum(info.nbytes for info in infos)
    assert {r["name"]: r["dtype"] for r in planned["tensors"]} == {i.name: i.dtype for i in infos}


@pytest.mark.parametrize("kind", ["q4_k_m", "q3_k_m", "q2_k", "iq4_xs"])
def test_an_importance_matrix_lowers_the_error_that_it_weighs(run, wide, tmp_path, kind):
    from tallow.formats.imatrix import open_imatrix

    model, matrix = wide
    weighed = {}
    for options in ((), ("--imatrix", matrix)):
        out = tmp_path / f"{len(options)}.gguf"
        assert run("quantize", model, out, "--type", kind, "--pure", *options)[0] == 0
        original, made, importance = open_weights(model), open_weights(out), open_imatrix(matrix)
        total = 0.0
        for name in importance:
            gap = made.take(name, tl.f32) - original.take(name, tl.f32)
            total += (gap.square() * importance.values(name)).sum().item()
        weighed[len(options)] = total
    assert weighed[2] < weighed[0]


def test_what_the_metadata_says(run, wide, tmp_path):
    model, matrix = wide
    out = tmp_path / "out.gguf"
    assert run("quantize", model, out, "--type", "Q4_K", "--imatrix", matrix)[0] == 0
    before, after = open_gguf(model).metadata.typed_items(), open_gguf(out).metadata.typed_items()
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    assert changed == {
        "general.quantization_version": Typed("u32", 2),
        "general.file_type": Typed("u32", 15),
        "quantize.imatrix.file": Typed("str", str(matrix)),
        "quantize.imatrix.dataset": Typed("str", "made up"),
        "quantize.imatrix.entries_count": Typed("u32", 14),
        "quantize.imatrix.chunks_count": Typed("u32", 2),
    }
    assert set(before) <= set(after)


def test_types_by_hand(run, wide, tmp_path):
    out = tmp_path / "out.gguf"
    options = ["--token-embedding-type", "q5_0", "--tensor-type", r"blk\.1\.ffn=q8_0"]
    options += ["--tensor-type", "attn_[qk]=F16"]
    assert run("quantize", wide[0], out, "--type", "q4_0", *options)[0] == 0
    source = open_weights(out)
    dtypes = {name: source.info(name).dtype for name in source.names()}
    assert dtypes["token_embd.weight"] == "q5_0"
    assert dtypes["blk.1.ffn_up.weight"] == dtypes["blk.1.ffn_down.weight"] == "q8_0"
    assert dtypes["blk.0.ffn_up.weight"] == dtypes["blk.0.attn_v.weight"] == "q4_0"
    assert dtypes["blk.0.attn_k.weight"] == "f16"
    assert dtypes["blk.1.ffn_norm.weight"] == "f32"


def test_a_folder_is_converted_on_the_way(run, tmp_path):
    out, f16 = tmp_path / "out.gguf", tmp_path / "f16.gguf"
    assert run("quantize", GOLDEN / "llama", out, "--type", "q8_0")[0] == 0
    assert run("convert", GOLDEN / "llama", f16)[0] == 0
    assert run("quantize", f16, out.with_name("two.gguf"), "--type", "q8_0")[0] == 0
    assert out.read_bytes() == out.with_name("two.gguf").read_bytes()


def test_plan_for_people(run, tmp_path):
    code, out, err = run("quantize", F16, "--type", "q4_k_m", "--dry-run")
    assert code == 0
    assert "q5_0 (fallback)" in out and "as is" in out
    assert "tensors have rows that blocks of 256 do not divide" in err
    code, _, err = run("quantize", F16, "--type", "q2_k_s", "--dry-run")
    assert code == 0


def test_perplexity_report(run, tmp_path):
    text = GOLDEN.parent / "imatrix" / "text.txt"
    out = tmp_path / "out.gguf"
    call = ("quantize", F16, out, "--type", "q8_0", "--perplexity", text, "--activations", "float")
    code, said, _ = run(*call, "--json")
    found = json.loads(said)["perplexity"]
    with tl.LLM(F16, activations="float") as llm:
        before = llm.perplexity(text.read_text(), window=64)
    with tl.LLM(out, activations="float") as llm:
        after = llm.perplexity(text.read_text(), window=64)
    assert (code, found) == (0, {"before": before, "after": after})
    code, said, _ = run(*call, "--force")
    assert code == 0
    assert f"{before:.4f}" in said and f"{after:.4f}" in said


def test_quantised_twice_only_when_asked(run, tmp_path):
    out = tmp_path / "out.gguf"
    code, _, err = run("quantize", TINY, out, "--type", "q4_0")
    assert (code, out.exists()) == (1, False)
    assert "--allow-requantize" in err and "q8_0" in err
    assert run("quantize", TINY, out, "--type", "q4_0", "--allow-requantize")[0] == 0
    assert run("quantize", TINY, out.with_name("same.gguf"), "--type", "q8_0")[0] == 0


def test_very_few_bits_need_an_importance_matrix(run, wide, tmp_path):
    model, _ = wide
    out = tmp_path / "out.gguf"
    for kind in ("iq1_s", "iq2_xs", "iq3_xxs", "q2_k_s"):
        code, _, err = run("quantize", model, out, "--type", kind)
        assert (code, out.exists()) == (1, False)
        assert "--imatrix" in err and err.count("\n") == 1
        assert (
            "needs an importance matrix" in run("quantize", model, "--type", kind, "--dry-run")[2]
        )


def test_an_importance_matrix_of_another_model(run, wide, tmp_path):
    code, _, err = run("quantize", wide[0], tmp_path / "o", "--type", "q4_k", "--imatrix", IMATRIX)
    assert code == 1
    assert "of another model" in err and list(tmp_path.iterdir()) == []


def test_nan_is_refused(run, tmp_path):
    bad = tl.ones(4, 32)
    bad[2, 3] = float("nan")
    metadata = {"general.architecture": "llama"}
    save_gguf({"blk.0.attn_q.weight": bad}, tmp_path / "bad.gguf", metadata)
    code, _, err = run("quantize", tmp_path / "bad.gguf", tmp_path / "out.gguf", "--type", "q8_0")
    assert (code, [path.name for path in tmp_path.iterdir()]) == (1, ["bad.gguf"])
    assert "blk.0.attn_q.weight: expected finite values" in err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("out.gguf", "--type", "q9"), "expected one of f32"),
        (("out.gguf",), "--type"),
        (("--type", "q8_0"), "expected OUT"),
        (("out.gguf", "--type", "q8_0", "--tensor-type", "q4_0"), "expected REGEX=DTYPE"),
        (("out.gguf", "--type", "q8_0", "--tensor-type", "(=q4_0"), "unterminated subpattern"),
        (("out.gguf", "--type", "q8_0", "--tensor-type", "a=q9"), "expected one of f32"),
        (("out.gguf", "--type", "q8_0", "--output-tensor-type", "q8_k"), "expected one of f32"),
    ],
)
def test_wrong_command_lines(run, tmp_path, monkeypatch, options, text):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("quantize", F16, *options)
    assert (code, out) == (2, "")
    assert text in err
    assert list(tmp_path.iterdir()) == []


def test_overwrites_nothing_unasked(run, tmp_path):
    out = tmp_path / "out.gguf"
    out.write_bytes(b"mine")
    assert run("quantize", F16, out, "--type", "f32")[0] == 1
    assert out.read_bytes() == b"mine"
    assert run("quantize", F16, out, "--type", "f32", "--force")[0] == 0
    assert run("quantize", out, out, "--type", "f16", "--force")[0] == 0
    assert open_weights(out).metadata["general.file_type"] == 1


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_leaves_nothing(tmp_path, interrupted):
    source = tmp_path / "large.gguf"
    row = tl.zeros(1 << 12, 1 << 11)
    tensors = {f"blk.{i}.attn_q.weight": row for i in range(16)}
    save_gguf(tensors, source, {"general.architecture": "llama"})
    folder = interrupted("quantize", source, "OUT/out.gguf", "--type", "q4_0")
    assert list(folder.iterdir()) == []
