"""`tallow translate` and `tallow summarize`: texts, files, folders, JSON lines, resuming."""

from __future__ import annotations

import json

import pytest

from tasks.test_text_writers import ROOT, TEXTS, expected

OPTIONS = ("--beams", 3, "--max-tokens", 12)


def translated(run, *arguments):
    source, target, _ = expected("mbart50")[0][0]
    where = ("--source", source, "--target", target)
    return run("translate", ROOT / "mbart50", *arguments, *where, *OPTIONS)


@pytest.fixture
def wanted(run):
    """What each text becomes."""
    code, out, err = translated(run, *TEXTS[:2])
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 2
    return dict(zip(TEXTS[:2], lines, strict=True))


@pytest.fixture
def files(tmp_path):
    """A file of two lines, and one of one."""
    (tmp_path / "a.txt").write_text(f"{TEXTS[0]}\n{TEXTS[1]}\n")
    (tmp_path / "b.txt").write_text(f"{TEXTS[1]}\n")
    return tmp_path / "a.txt", tmp_path / "b.txt"


def test_files_are_documents(run, wanted, files, tmp_path):
    first, second = wanted.values()
    out = tmp_path / "out.txt"
    assert translated(run, *files, "-o", out) == (0, "", "")
    assert out.read_text() == f"{first}\n{second}\n{second}\n"
    code, _, err = translated(run, *files, "-o", out)
    assert code == 1
    assert "--force overwrites it" in err


def test_json_lines_go_on(run, wanted, files, tmp_path):
    out = tmp_path / "out.jsonl"
    assert translated(run, files[0], "-o", out) == (0, "", "")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in rows] == [f"{files[0]}:1", f"{files[0]}:2"]
    assert [row["text"] for row in rows] == list(wanted.values())
    code, _, err = translated(run, *files, "-o", out, "--resume")
    assert (code, err) == (0, "note: 2 items are there already\n")
    assert len(out.read_text().splitlines()) == 3


def test_a_folder_gets_a_file_for_each_and_goes_on(run, wanted, files, tmp_path):
    out = tmp_path / "out"
    assert translated(run, *files, "-o", f"{out}/") == (0, "", "")
    assert (out / "a.txt").read_text() == "\n".join(wanted.values()) + "\n"
    (out / "b.txt").unlink()
    (out / "a.txt").write_text("kept")
    code, _, err = translated(run, *files, "-o", out, "--resume")
    assert (code, err) == (0, "note: 1 items are there already\n")
    assert (out / "a.txt").read_text() == "kept"
    assert (out / "b.txt").read_text() == list(wanted.values())[1] + "\n"


def test_summaries_of_files(run, files):
    code, out, err = run("summarize", ROOT / "t5", files[1], *OPTIONS)
    assert (code, err) == (0, "")
    assert out.strip()


WRONG = [
    (["a text", "--target", "xx_XX"], 1, "target: expected a language of the model"),
    (["nothing.txt", "--target", "de_DE"], 1, "1 of 1 items failed"),
    (["a", "--target", "de_DE", "--resume"], 2, "expected --output with / or .jsonl"),
]


@pytest.mark.parametrize(("words", "code", "said"), WRONG)
def test_what_is_wrong_is_told(run, words, code, said):
    found = run("translate", ROOT / "mbart50", *words, *OPTIONS)
    assert found[0] == code
    assert said in found[2]
