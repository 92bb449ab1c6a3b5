"""`tallow imatrix` against llama-imatrix (tests/golden/make_imatrix.py), and its own laws."""

from __future__ import annotations

import pytest

from cli.conftest import GOLDEN
from tallow.formats.imatrix import open_imatrix

MODEL = GOLDEN / "llama" / "llama.f16.gguf"
ORACLE = GOLDEN.parent / "imatrix"
TEXT = ORACLE / "text.txt"
OPTIONS = ("--context", 32, "--chunks", 5)
NEAR = 0.02  # llama.cpp keeps keys and values in half precision; 0.4% is the most that was seen


def relative(a, b, name: str) -> float:
    gap = (a.values(name) - b.values(name)).abs() / b.values(name).clamp(1e-9)
    return gap.max().item()


@pytest.mark.parametrize("suffix", ["gguf", "dat"])
def test_equals_llama_imatrix(run, tmp_path, suffix):
    out = tmp_path / f"out.{suffix}"
    code, said, err = run("imatrix", MODEL, TEXT, "-o", out, *OPTIONS, "--process-output")
    assert code == 0
    assert said == f"{out}: 14 matrices over 5 pieces of 32 tokens\n"
    assert "token embedding" in err
    ours = open_imatrix(out, chunk_size=32)
    theirs = open_imatrix(ORACLE / f"llama.{suffix}", chunk_size=32)
    assert sorted(ours) == sorted(theirs)
    assert (ours.chunk_count, ours.chunk_size) == (theirs.chunk_count, theirs.chunk_size)
    for name in ours:
        assert ours.entries[name].counts == theirs.entries[name].counts
        assert relative(ours, theirs, name) < NEAR, name


def test_both_layouts_hold_the_same(run, tmp_path):
    for suffix in ("gguf", "dat"):
        assert run("imatrix", MODEL, TEXT, "-o", tmp_path / f"o.{suffix}", *OPTIONS)[0] == 0
    one = open_imatrix(tmp_path / "o.gguf")
    two = open_imatrix(tmp_path / "o.dat", chunk_size=32)
    assert one.datasets == two.datasets == [str(TEXT)]
    assert all(relative(one, two, name) < 1e-5 for name in one)


def test_parts_add_up(run, tmp_path):
    """Two texts of whole pieces, merged, are the text of both."""
    words = TEXT.read_text().split(" ")
    parts = ["".join(words[:70])[:320], "".join(words[70:150])[:320]]
    for i, part in enumerate(parts):
        (tmp_path / f"{i}.txt").write_text(part)
        assert (
            run(
                "imatrix", MODEL, tmp_path / f"{i}.txt", "-o", tmp_path / f"{i}.gguf", *OPTIONS[:2]
            )[0]
            == 0
        )
    (tmp_path / "both.txt").write_text("".join(parts))
    both, sums = tmp_path / "both.gguf", tmp_path / "sums.gguf"
    assert run("imatrix", MODEL, tmp_path / "both.txt", "-o", both, *OPTIONS[:2])[0] == 0
    merge = [f"--merge={tmp_path / f'{i}.gguf'}" for i in range(2)]
    assert run("imatrix", *merge, "-o", sums, *OPTIONS[:2])[0] == 0
    one, two = open_imatrix(both), open_imatrix(sums)
    assert one.chunk_count == two.chunk_count == 20
    assert all(one.entries[n].counts == two.entries[n].counts for n in one)
    assert all(relative(one, two, name) < 1e-5 for name in one)
    assert len(two.datasets) == 2


def test_text_from_a_pipe(spawn, tmp_path):
    call = ("imatrix", MODEL, "-", "-o", tmp_path / "o.gguf", *OPTIONS)
    done = spawn(*call, input=TEXT.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    assert open_imatrix(tmp_path / "o.gguf").datasets == ["-"]


def test_hooks_leave_the_model_as_it_was():
    import tallow as tl
    from tallow.quantization import collect

    with tl.LLM(MODEL) as llm:
        ids = llm.tokenizer.encode(TEXT.read_text())[:64]
        before = llm.logits(ids[:32]).tolist()
        found = collect(llm.model, ids, context=32)
        assert llm.logits(ids[:32]).tolist() == before
        again = collect(llm.model, ids, context=32)
    for name in found:
        assert found.entries[name].sums.tolist() == again.entries[name].sums.tolist()
        assert found.entries[name].counts == (64,)


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ((), 2, "expected MODEL and TEXT, or --merge"),
        ((MODEL,), 2, "expected MODEL and TEXT, or --merge"),
        ((MODEL, "none.txt"), 1, "expected a readable file"),
        ((MODEL, TEXT, "--context", 128), 1, "expected a context up to 64"),
        ((MODEL, "short.txt", "--context", 32), 1, "expected at least 32 tokens"),
        (("--merge", MODEL), 1, "general.type"),
    ],
)
def test_refusals(run, tmp_path, monkeypatch, options, code, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.txt").write_text("too short")
    found, out, err = run("imatrix", *options)
    assert (found, out) == (code, "")
    assert text in err and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["short.txt"]
