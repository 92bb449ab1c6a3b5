"""Commands that draw what they find in pictures."""

from __future__ import annotations

import shutil

import pytest

import tallow as tl
from cli.test_items import PICTURES, lines, with_processor
from tasks.test_tasks import near


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


@pytest.fixture
def detr(tmp_path):
    size = {"shortest_edge": 32, "longest_edge": 64}
    return with_processor("detr", tmp_path, image_processor_type="DetrImageProcessor", size=size)


@pytest.fixture
def photos(tmp_path):
    """Two pictures of one name in two folders, and one more."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for source, name in (("0", "a"), ("1", "sub/a"), ("2", "b")):
        shutil.copy(PICTURES / f"{source}.png", folder / f"{name}.png")
    return folder


def test_drawings_go_below_the_pictures(run, detr, photos):
    drawn, out = photos / "drawn", photos / "out.jsonl"
    call = ("detect", detr, photos, "--draw", drawn, "-o", out)
    assert run(*call)[0] == 0
    names = ["a-1.png", "a.png", "b.png"]
    assert sorted(path.name for path in drawn.iterdir()) == names
    content = out.read_text()
    out.write_text("".join(content.splitlines(keepends=True)[:1]))
    (drawn / "b.png").unlink()
    code, _, err = run(*call, "--resume")
    assert code == 0
    ids = [[row["id"] for row in lines(text)] for text in (out.read_text(), content)]
    assert ids[0] == ids[1]
    assert "2 pictures in" in err
    assert "are left out, for drawings go there" in err
    assert sorted(path.name for path in drawn.iterdir()) == names
    out.unlink()
    code, _, err = run(*call)
    assert code == 1
    assert "expected no such file, found one; --force overwrites it" in err
    assert run(*call, "--force")[0] == 0
    assert sorted(path.name for path in drawn.iterdir()) == names


DRAWINGS = {
    "the pictures' folder": ("photos", "expected another folder than that of the pictures"),
    "a file for several": ("seen.png", "expected a folder for 3 pictures, got '.png'"),
    "no folder": ("none/seen.png", "in a folder that is there"),
    "below a file": ("photos/a.png/drawn/", "photos/a.png/drawn: expected a file that can be"),
}


@pytest.mark.parametrize("place", DRAWINGS)
@pytest.mark.parametrize("command", ["detect", "segment"])
def test_drawings_that_cannot_go_there(command, place, run, photos, tmp_path):
    name, said = DRAWINGS[place]
    one = [photos / "a.png"] if place == "no folder" else [photos]
    before = sorted(photos.rglob("*"))
    code, _, err = run(command, "no model", *one, "--draw", f"{tmp_path}/{name}", "--force")
    assert code == 1
    assert said in err
    assert sorted(photos.rglob("*")) == before


def test_no_drawing_on_a_picture(run, photos):
    picture = photos / "a.png"
    before = picture.read_bytes()
    for draw in (picture, photos):
        code, _, err = run("detect", "no model", picture, "--draw", draw, "--force")
        assert (code, picture.read_bytes()) == (1, before)
        assert "expected another" in err
    code, _, err = run("detect", "no model", picture, "--draw", photos / "seen.xyz")
    assert code == 1
    assert "seen.xyz: expected one of .png, .jpg" in err
