"""Commands over many texts and pictures: what they find, write, tell and resume."""

from __future__ import annotations

import json
import os
import shutil

import pytest

import tallow as tl
from cli.conftest import GOLDEN
from tallow.cli.items import find_texts
from tallow.cli.output import json_line
from tasks.test_tasks import TEXTS, expected, near

ROOT = GOLDEN.parent / "tasks"
SENTENCES, PICTURES = ROOT / "sentences", ROOT / "images"


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def with_processor(case: str, tmp_path, **processor):
    """A golden's checkpoint with an image processor beside it."""
    folder = tmp_path / case
    shutil.copytree(GOLDEN.parent / "families" / case, folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def test_embed_texts(run):
    code, out, err = run("embed", SENTENCES, *TEXTS[:2])
    assert (code, err) == (0, "")
    rows = lines(out)
    assert [row["id"] for row in rows] == TEXTS[:2]
    near([row["embedding"] for row in rows], expected("sentences")["plain"][:2])


def test_embed_with_a_prompt(run):
    code, out, _ = run("embed", SENTENCES, TEXTS[0], "--prompt-name", "query")
    assert code == 0
    near(lines(out)[0]["embedding"], expected("sentences")["query"][0])
    code, _, err = run("embed", SENTENCES, "x", "--prompt-name", "none")
    assert code == 1
    assert "prompt_name" in err


@pytest.mark.parametrize("form", ["file", "folder", "glob", "jsonl", "stdin"])
def test_where_texts_come_from(form, run, spawn, tmp_path):
    (tmp_path / "a.txt").write_text(f"{TEXTS[0]}\n\n{TEXTS[1]}\n")
    rows = [json.dumps({"id": f"row{i}", "text": text}) for i, text in enumerate(TEXTS[:2])]
    (tmp_path / "b.jsonl").write_text("\n".join(rows))
    path = str(tmp_path / "a.txt")
    if form == "stdin":
        found = spawn("embed", SENTENCES, "-", input=(tmp_path / "a.txt").read_bytes())
        code, out = found.returncode, found.stdout.decode()
    else:
        (tmp_path / "c").mkdir()
        shutil.copy(path, tmp_path / "c" / "a.txt")
        word = {
            "file": path,
            "folder": tmp_path / "c",
            "glob": tmp_path / "a*.txt",
            "jsonl": tmp_path / "b.jsonl",
        }
        code, out, _ = run("embed", SENTENCES, word[form])
    assert code == 0
    found = lines(out)
    near([row["embedding"] for row in found], expected("sentences")["plain"][:2])
    ends = {"jsonl": ["row0", "row1"], "stdin": ["-:1", "-:3"]}.get(form, [":1", ":3"])
    assert all(row["id"].endswith(end) for row, end in zip(found, ends, strict=True))


def test_failures_are_told_at_the_end_and_the_rest_is_kept(run, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"GIF89a")
    out_path = tmp_path / "out.jsonl"
    words = (PICTURES / "0.png", tmp_path / "bad.png", tmp_path / "none.png", PICTURES / "1.png")
    code, out, err = run("classify", PICTURES, *words, "-o", out_path)
    assert (code, out) == (1, "")
    told = err.splitlines()
    assert len(told) == 3
    assert told[0].startswith(f"failed: {tmp_path / 'bad.png'}")
    assert told[1].startswith(f"failed: {tmp_path / 'none.png'}")
    assert told[2] == "error: classify: 2 of 4 items failed"
    rows = lines(out_path.read_text())
    assert [row["id"] for row in rows] == [str(words[0]), str(words[3])]
    want = expected("images")["all"]
    assert [row["labels"][0]["label"] for row in rows] == [want[0][0]["label"], want[1][0]["label"]]


def test_resume_goes_on_where_it_ended(run, tmp_path):
    path = tmp_path / "out.jsonl"
    assert run("embed", SENTENCES, *TEXTS[:2], "-o", path)[0] == 0
    whole = path.read_bytes()
    code, _, err = run("embed", SENTENCES, *TEXTS[:2], "-o", path)
    assert code == 1
    assert "--force" in err
    path.write_bytes(whole[:-9])  # the last line was broken off
    code, _, err = run("embed", SENTENCES, *TEXTS[:2], TEXTS[3], "-o", path, "--resume")
    assert code == 0
    assert "1 items are there already" in err
    assert [row["id"] for row in lines(path.read_text())] == [*TEXTS[:2], TEXTS[3]]
    assert path.read_bytes().startswith(whole)
    code, _, err = run("embed", SENTENCES, "x", "--resume")
    assert code == 2
    assert "--output" in err


@pytest.mark.parametrize("content", ["7\n", "{}\n", "nonsense\n", "\xff\n"])
def test_resuming_a_file_of_something_else(content, run, tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text(content, encoding="latin-1")
    code, _, err = run("embed", SENTENCES, "x", "-o", path, "--resume")
    assert code == 1
    assert "out.jsonl" in err
    assert path.read_text(encoding="latin-1") == content


@pytest.mark.parametrize("word", ["*.txt", "none.txt", "My Docs/*.md", "docs/none.jsonl"])
def test_a_file_that_is_not_there_is_no_text(word, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("embed", SENTENCES, word, "what?", "see docs for more.")
    assert code == 1
    assert err.splitlines()[0].startswith(f"failed: {word}: expected a file")
    assert [row["id"] for row in lines(out)] == ["what?", "see docs for more."]


def test_an_empty_text_and_names_with_spaces(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "My Docs"
    (folder / "more.txt").mkdir(parents=True)
    (folder / "a b.txt").write_text(f"{TEXTS[0]}\n")
    code, out, _ = run("embed", SENTENCES, "", "My Docs/*.txt")
    assert code == 0
    assert [row["id"] for row in lines(out)] == ["", "My Docs/a b.txt:1"]
    near(
        [row["embedding"] for row in lines(out)],
        [expected("sentences")["plain"][i] for i in (2, 0)],
    )


def test_lines_of_files_from_elsewhere(run, tmp_path):
    """A mark of byte order, other ends of lines, and characters that end lines nowhere else."""
    text = "\ufeffone\r\ntwo\u2028still two\x0c\r\n"
    (tmp_path / "a.txt").write_bytes(text.encode())
    rows = [json.dumps({"id": None, "text": text}, ensure_ascii=False), '{"id": 7, "text": "b"}']
    (tmp_path / "b.jsonl").write_bytes(("\ufeff" + "\n".join(rows)).encode())
    found = list(find_texts([str(tmp_path)]))
    assert [item.value for item in found] == ["one", "two\u2028still two\x0c", text, "b"]
    ids = [item.id.removeprefix(f"{tmp_path}/") for item in found]
    assert ids == ["a.txt:1", "a.txt:2", "b.jsonl:1", "7"]


@pytest.mark.parametrize("command", ["embed", "rerank"])
def test_inputs_that_cannot_be_read_cost_themselves(command, run, tmp_path):
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "rows.jsonl").write_text('{"text": null}\n{]\n{"text": "b"}\n')
    (tmp_path / "empty").mkdir()
    model = [ROOT / "reranker", "q"] if command == "rerank" else [SENTENCES]
    names = ("binary.txt", "rows.jsonl", "empty")
    code, out, err = run(command, *model, *(tmp_path / name for name in names), "good")
    assert code == 1
    assert {row["id"] for row in lines(out)} == {f"{tmp_path}/rows.jsonl:3", "good"}
    told = [line for line in err.splitlines() if line.startswith("failed: ")]
    for place in ("binary.txt", "rows.jsonl:1", "rows.jsonl:2", "empty"):
        assert sum(f"{tmp_path}/{place}: " in line for line in told) == 1
    assert err.splitlines()[-1] == f"error: {command}: 4 of 6 items failed"


def test_rerank_into_a_file(run, tmp_path):
    path = tmp_path / "out.jsonl"
    assert run("rerank", ROOT / "reranker", "q", "a", "b", "c", "-o", path, "--top-k", 2)[:2] == (
        0,
        "",
    )
    scores = [row["score"] for row in lines(path.read_text())]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    code, _, err = run("rerank", ROOT / "reranker", "q", "a", "-o", path)
    assert code == 1
    assert "--force" in err


OUTPUTS = {
    "no folder": ("none/out.jsonl", "in a folder that is there"),
    "a folder": ("", "expected the name of a file to write, got a folder"),
    "below a file": ("file/out.jsonl", "in a folder that is there"),
}


@pytest.mark.parametrize("flag", [(), ("--resume",), ("--force",)], ids=str)
@pytest.mark.parametrize("place", OUTPUTS)
def test_outputs_that_cannot_be_written(place, flag, run, tmp_path):
    (tmp_path / "file").touch()
    name, said = OUTPUTS[place]
    code, _, err = run("classify", tmp_path / "no model", "x", "-o", tmp_path / name, *flag)
    assert code == 1  # told before the model is looked for
    assert said in err
    assert "debug" not in err


def test_an_output_that_ends_in_the_middle(run):
    """What a full disk says is no fault of a program."""
    code, _, err = run("classify", PICTURES, PICTURES / "0.png", "-o", "/dev/full")
    assert code == 1
    assert "/dev/full: expected a file that can be written, got: No space left" in err


@pytest.mark.parametrize("flag", ["--resume", "--force"])
def test_the_output_in_the_folder_of_inputs(flag, run, tmp_path):
    (tmp_path / "a.txt").write_text("one\n")
    path = tmp_path / "out.jsonl"
    assert run("embed", SENTENCES, tmp_path, "-o", path)[0] == 0
    content = path.read_text()
    code, _, err = run("embed", SENTENCES, tmp_path, "-o", path, flag)
    assert (code, path.read_text()) == (0, content)
    assert "failed" not in err
    code, _, err = run("embed", SENTENCES, path, "-o", path, flag)
    assert (code, path.read_text()) == (1, content)
    assert "expected another file than an input" in err


def test_resume_counts_items_of_one_name(run, tmp_path):
    rows = ['{"id": 1, "text": "a"}', '{"id": 1, "text": "b"}', '{"id": 1, "text": "c"}']
    (tmp_path / "in.jsonl").write_text("\n".join(rows))
    path = tmp_path / "out.jsonl"
    assert run("embed", SENTENCES, tmp_path / "in.jsonl", "-o", path)[0] == 0
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:2]))
    assert run("embed", SENTENCES, tmp_path / "in.jsonl", "-o", path, "--resume")[0] == 0
    assert path.read_text() == whole


def test_a_name_that_is_no_text(run, tmp_path):
    name = os.fsdecode(b"bad\xff.png")
    shutil.copy(PICTURES / "0.png", tmp_path / name)
    path = tmp_path / "out.jsonl"
    assert run("classify", PICTURES, tmp_path, "-o", path)[0] == 0
    assert [row["id"] for row in lines(path.read_text())] == [str(tmp_path / name)]
    code, _, err = run("classify", PICTURES, tmp_path, "-o", path, "--resume")
    assert code == 0
    assert "1 items are there already" in err


def test_results_that_are_no_numbers():
    """Programs read the lines: NaN is no JSON."""
    assert json_line({"id": "ü", "x": [float("nan"), float("-inf")]}) == (
        '{"id": "ü", "x": ["nan", "-inf"]}'
    )


def test_rerank(run):
    code, out, _ = run("rerank", ROOT / "reranker", "which animal sleeps", *TEXTS[:2], TEXTS[4])
    assert code == 0
    scores = expected("reranker")["scores"]
    rows = lines(out)
    want = sorted((0, 1, 4), key=lambda index: -scores[index])
    assert [row["text"] for row in rows] == [TEXTS[index] for index in want]
    near([row["score"] for row in rows], [scores[index] for index in want])


def test_classify_texts_and_tokens(run):
    code, out, _ = run("classify", ROOT / "texts", TEXTS[0], "--top-k", 2)
    assert code == 0
    want = expected("texts")["all"][0][:2]
    assert [row["label"] for row in lines(out)[0]["labels"]] == [row["label"] for row in want]
    code, out, _ = run("classify", ROOT / "tokens", TEXTS[1])
    assert code == 0
    entities = lines(out)[0]["entities"]
    want = expected("tokens")["simple"][1]
    assert [row["start"] for row in entities] == [row["start"] for row in want]


def test_classify_what_is_no_classifier(run):
    code, _, err = run("classify", SENTENCES, "x")
    assert code == 1
    assert "found BertModel" in err


@pytest.mark.parametrize("case", ["timm_mobilenetv3", "timm_wrapper", "deit_teacher"])
def test_classify_by_classes_of_other_names(case, run, tmp_path):
    config = json.loads((GOLDEN.parent / "families" / case / "config.json").read_text())
    size, kind = config.get("image_size", 32), "ViTImageProcessor"
    model = with_processor(case, tmp_path, image_processor_type=kind, size=size)
    code, out, _ = run("classify", model, PICTURES / "0.png", "--top-k", 1)
    assert code == 0
    assert (
        lines(out)[0]["labels"][0]["label"] == tl.ImageClassifier(model)(PICTURES / "0.png").label
    )


def test_embed_pictures(run):
    code, out, _ = run("embed", PICTURES, PICTURES, "--images", "--normalize")
    assert code == 0
    rows = lines(out)
    assert [row["id"] for row in rows] == [str(PICTURES / f"{i}.png") for i in range(3)]
    near([sum(x * x for x in row["embedding"]) for row in rows], [1.0] * 3)


def test_a_folder_without_pictures(run, tmp_path):
    code, _, err = run("classify", PICTURES, tmp_path)
    assert code == 1
    assert "found none" in err
