"""Commands over many texts and pictures: what they find, write, tell and resume."""

from __future__ import annotations

import json
import shutil

import pytest

import tallow as tl
from cli.conftest import GOLDEN
from tasks.test_tasks import TEXTS, expected, near

ROOT = GOLDEN.parent / "tasks"
SENTENCES, PICTURES = ROOT / "sentences", ROOT / "images"


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


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


def with_processor(case: str, tmp_path, **processor):
    """A golden's checkpoint with an image processor beside it."""
    folder = tmp_path / case
    shutil.copytree(GOLDEN.parent / "families" / case, folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def test_detect_and_draw(run, tmp_path):
    from PIL import Image

    size = {"shortest_edge": 32, "longest_edge": 64}
    model = with_processor("detr", tmp_path, image_processor_type="DetrImageProcessor", size=size)
    out = tmp_path / "seen.png"
    code, said, err = run("detect", model, PICTURES / "0.png", "--threshold", 0.01, "--draw", out)
    assert (code, err) == (0, "")
    (row,) = lines(said)
    found = tl.Detector(model, threshold=0.01)(PICTURES / "0.png")
    assert found
    assert [each["label"] for each in row["detections"]] == [each.label for each in found]
    near([each["box"] for each in row["detections"]], [each.box for each in found])
    scores = [each["score"] for each in row["detections"]]
    assert scores == sorted(scores, reverse=True)
    with Image.open(out) as drawn, Image.open(PICTURES / "0.png") as plain:
        assert drawn.size == plain.size
        assert drawn.convert("RGB").tobytes() != plain.convert("RGB").tobytes()
    code, _, err = run("detect", model, PICTURES / "0.png", "--draw", out)
    assert code == 1
    assert "--force" in err


def test_segment_and_draw_several(run, tmp_path):
    size = {"height": 64, "width": 64}
    kind = "SegformerImageProcessor"
    model = with_processor("segformer_segmentation", tmp_path, image_processor_type=kind, size=size)
    code, said, _ = run("segment", model, PICTURES, "--draw", tmp_path / "drawn")
    assert code == 0
    rows = lines(said)
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == [
        "0.png", "1.png", "2.png",
    ]  # fmt: skip
    for row, classes in zip(rows, tl.Segmenter(model)([r["id"] for r in rows]), strict=True):
        near(sum(each["share"] for each in row["classes"]), 1.0)
        counts = classes.reshape(-1).bincount().tolist()
        assert len(row["classes"]) == sum(1 for count in counts if count)
