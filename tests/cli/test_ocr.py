"""`tallow ocr`: forms by suffix, folders, refusals, text layers; the reader is one that is made."""

from __future__ import annotations

import json

import pypdfium2
import pytest
from PIL import Image

from documents.simple_steps import simple_steps
from tallow.cli import main
from tallow.documents import reader
from tallow.documents.content import Word
from tallow.errors import ArgumentError
from tallow.lazy_dataclasses import replace


class Reads:
    """Two words on each page."""

    def read(self, pixels):
        width = float(pixels.shape[1])
        size = f"w{width:.0f}"
        return [Word("two", (2, 2, 12, 8), 0.9, line=0), Word(size, (14, 2, 26, 8), line=0)]

    def read_lines(self, crops_of_lines):
        return [("", 0.0)] * len(crops_of_lines)


@pytest.fixture(autouse=True)
def _without_models(monkeypatch):
    monkeypatch.setattr(
        reader, "steps_of",
        lambda named: replace(simple_steps(named), reader=Reads(), detect=named.detect),
    )  # fmt: skip


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (40, 20), "white").save(path)
    return path


@pytest.mark.parametrize("suffix", ["txt", "json", "hocr", "xml", "pdf"])
def test_the_form_is_the_suffix(picture, tmp_path, suffix, capsys):
    out = tmp_path / f"out.{suffix}"
    assert main(["ocr", str(picture), "-o", str(out)]) == 0
    assert f"{out}: 1 page" in capsys.readouterr().err
    if suffix == "txt":
        assert out.read_text() == "two w40\n"
    elif suffix == "json":
        assert json.loads(out.read_text())[0]["text"] == "two w40"
    elif suffix == "pdf":
        assert "two w40" in pypdfium2.PdfDocument(out)[0].get_textpage().get_text_range()
    else:
        assert b"w40" in out.read_bytes()
    assert {each.name for each in tmp_path.iterdir()} == {"a.png", out.name}


def test_printed_pages_of_several_files(picture, tmp_path, capsys):
    second = tmp_path / "b.tiff"
    frames = [Image.new("RGB", (width, 20), "white") for width in (50, 60)]
    frames[0].save(second, save_all=True, append_images=frames[1:])
    assert main(["ocr", str(picture), str(second)]) == 0
    assert capsys.readouterr().out == "two w40\n\ftwo w50\n\ftwo w60\n"


def test_a_folder_holds_a_file_for_each_input(picture, tmp_path):
    out = tmp_path / "texts"
    assert main(["ocr", str(picture), "-o", f"{out}/", "-f", "alto"]) == 0
    assert [each.name for each in out.iterdir()] == ["a.xml"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["-o", "out.docx"], "out.docx: expected a name that ends in .txt, .json, .hocr"),
        (["-f", "pdf"], "--format pdf: expected -o OUT"),
        (["--resume"], "--resume: expected -o OUT"),
    ],
)
def test_refusals(picture, tmp_path, monkeypatch, line, said, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["ocr", str(picture), *line]) == 2
    assert said in capsys.readouterr().err


def test_a_damaged_file_costs_no_other(picture, tmp_path, capsys):
    bad = tmp_path / "bad.png"
    bad.write_bytes(picture.read_bytes()[:40])
    out = tmp_path / "out.txt"
    assert main(["ocr", str(bad), str(picture), "-o", str(out)]) == 1
    assert out.read_text() == "two w40\n"
    assert "bad.png" in capsys.readouterr().err
    assert main(["ocr", str(picture), "-o", str(out)]) == 1, "there already"


@pytest.mark.parametrize("command", ["ocr", "table"])
def test_a_wrong_name_is_told_once(picture, monkeypatch, command, capsys):
    def refuse(named):
        raise ArgumentError(f"--ocr: expected a reader, got {named.ocr!r}")

    monkeypatch.setattr(reader, "steps_of", refuse)
    assert main([command, str(picture), str(picture.parent), "--ocr", "none-such"]) == 1
    assert capsys.readouterr().err == "error: --ocr: expected a reader, got 'none-such'\n"


def test_a_file_is_opened_once_to_write_its_pages(tmp_path, monkeypatch):
    from tallow.cli import ocr_job
    from tallow.documents import inputs

    frames = [Image.new("RGB", (40, 20 + n), "white") for n in range(4)]
    path, opened = tmp_path / "a.tiff", []
    frames[0].save(path, save_all=True, append_images=frames[1:])
    whole = inputs.open_input
    monkeypatch.setattr(inputs, "open_input", lambda *a, **k: opened.append(a) or whole(*a, **k))
    assert main(["ocr", str(path), "-o", str(tmp_path / "out.pdf")]) == 0
    assert len(pypdfium2.PdfDocument(tmp_path / "out.pdf")) == 4 and len(opened) == 1
    assert ocr_job.TextJob._opened is None
