"""`tallow table`: inputs, outputs, exit codes, failures, and runs that are broken off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import openpyxl
import pytest
from PIL import Image

from documents.simple_steps import simple_steps
from tallow.documents import reader

TESTS = Path(__file__).parent.parent
# A process of its own with steps that take a while, and no models.
SLOW = """
import sys, time
sys.path.insert(0, {tests!r})
from documents.simple_steps import simple_steps
from tallow.cli import main
from tallow.documents import reader
from tallow.lazy_dataclasses import replace

steps = simple_steps()

def orient(pixels, turned=steps.orient):
    print("page", file=sys.stderr, flush=True)
    time.sleep({seconds})
    return turned(pixels)

reader.steps_of = lambda named: replace(steps, orient=orient)
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def _without_models(monkeypatch):
    monkeypatch.setattr(reader, "steps_of", simple_steps)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (30, 20), "black").save(path)
    return path


def tiff(path: Path, sizes: list[int], blank: tuple[int, ...] = ()) -> Path:
    pages = [
        Image.new("RGB", (size, 10), "white" if number in blank else "black")
        for number, size in enumerate(sizes, 1)
    ]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def sheets(path: Path) -> dict[str, list[list[object]]]:
    book = openpyxl.load_workbook(path)
    return {sheet.title: [list(row) for row in sheet.iter_rows(values_only=True)] for sheet in book}


def test_one_picture_to_a_workbook(run, picture, tmp_path):
    code, out, err = run("table", picture, "-o", tmp_path / "a.xlsx")
    assert (code, out) == (0, "")
    assert "1 table" in err
    assert [*sheets(tmp_path / "a.xlsx").values()] == [[["30×20"]]]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.png", "a.xlsx"]


@pytest.mark.parametrize("form", ["csv", "html", "md", "json"])
def test_forms_on_standard_output(run, picture, form):
    code, out, _ = run("table", picture, "-f", form)
    assert code == 0
    assert "30×20" in out


def test_the_suffix_says_the_form(run, picture, tmp_path):
    assert run("table", picture, "-o", tmp_path / "a.json")[0] == 0
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["tables"][0]["cells"][0]["text"] == "30×20"
    code, _, err = run("table", picture, "-o", tmp_path / "a.docx")
    assert (code, "expected a name that ends in" in err) == (2, True)
    assert run("table", picture, "-o", tmp_path / "a.docx", "-f", "csv")[0] == 0


def test_many_inputs_one_sheet_a_table(run, picture, tmp_path):
    tiff(tmp_path / "b.tif", [40, 50])
    code, _, _ = run("table", tmp_path, "-o", tmp_path / "all.xlsx", "--no-join")
    assert code == 0
    found = sheets(tmp_path / "all.xlsx")
    assert [*found.values()] == [[["30×20"]], [["40×10"]], [["50×10"]]]
    assert [name[0] for name in found] == ["a", "b", "b"]


def test_a_folder_gets_a_file_for_each_input(run, picture, tmp_path):
    tiff(tmp_path / "b.tif", [40])
    out = f"{tmp_path / 'out'}/"
    assert run("table", tmp_path / "*.*", "-o", out, "-f", "csv")[0] == 0
    assert sorted(os.listdir(out)) == ["a.csv", "b.csv"]
    code, _, err = run("table", tmp_path / "*.*", "-o", out, "-f", "csv")
    assert (code, "--force" in err) == (1, True)
    assert run("table", tmp_path / "*.*", "-o", out, "-f", "csv", "--force")[0] == 0


def test_files_of_one_name_get_files_of_two(run, tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (10 + len(folder), 9), "black").save(tmp_path / folder / "a.png")
    out = f"{tmp_path / 'out'}/"
    code, _, err = run("table", tmp_path / "x", tmp_path / "y", "-o", out)
    assert code == 0, err
    assert len(os.listdir(out)) == 2


def test_a_pipe(spawn_slow, picture, tmp_path):
    code, _, err = spawn_slow("table", "-", "-o", tmp_path / "p.xlsx", data=picture.read_bytes())
    assert code == 0, err
    assert [*sheets(tmp_path / "p.xlsx").values()] == [[["30×20"]]]


def test_pages(run, tmp_path):
    path = tiff(tmp_path / "b.tif", [11, 12, 13, 14])
    code, out, _ = run("table", path, "--pages", "2,4", "-f", "csv")
    assert (code, out.split()) == (0, ["12×10", "14×10"])
    code, _, err = run("table", path, "--pages", "5", "-f", "csv")
    assert (code, "at most 4" in err) == (1, True)


def test_pages_without_a_table_are_told(run, tmp_path):
    path = tiff(tmp_path / "b.tif", [11, 12, 13], blank=(2,))
    code, _, err = run("table", path, "-o", tmp_path / "b.xlsx")
    assert code == 3
    assert "no table found on page 2" in err
    assert len(sheets(tmp_path / "b.xlsx")) == 2
    assert run("table", path, "-o", tmp_path / "c.xlsx", "--skip-empty")[0] == 0


def test_nothing_but_blank_pages(run, tmp_path):
    path = tiff(tmp_path / "b.tif", [11], blank=(1,))
    code, _, err = run("table", path, "-o", tmp_path / "b.xlsx")
    assert (code, "no table found on 1 page" in err) == (3, True)
    assert not (tmp_path / "b.xlsx").exists()


def test_what_fails_is_told_and_the_rest_is_written(run, picture, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    (tmp_path / "empty.pdf").write_bytes(b"")
    code, _, err = run("table", tmp_path, tmp_path / "none.png", "-o", tmp_path / "all.xlsx")
    assert code == 1
    assert "3 of 4 items failed" in err
    assert [*sheets(tmp_path / "all.xlsx").values()] == [[["30×20"]]]
    assert not [*tmp_path.glob("*.partial")]


@pytest.mark.parametrize("command", ["table", "ocr"])
def test_a_page_that_fails_is_named_once(run, tmp_path, command):
    body = b"2 0 obj<</Type/Pages/Count 2/Kids[2 0 R]>>endobj\n"  # a tree without leaves
    start = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    (tmp_path / "a.pdf").write_bytes(start + body + b"trailer<</Root 1 0 R>>\n%%EOF")
    output = tmp_path / ("a.xlsx" if command == "table" else "a.txt")
    code, _, err = run(command, tmp_path / "a.pdf", "-o", output)
    assert code == 1
    for number in (1, 2):
        assert err.count(f"a.pdf, page {number}: structure") == 1
        assert f"page {number}: page" not in err


def test_an_output_that_is_there_is_refused_before_anything_is_read(run, picture, tmp_path):
    (tmp_path / "a.xlsx").write_text("mine")
    code, _, err = run("table", picture, "-o", tmp_path / "a.xlsx")
    assert (code, "--force" in err) == (1, True)
    assert (tmp_path / "a.xlsx").read_text() == "mine"
    assert run("table", picture, "-o", tmp_path / "none" / "a.xlsx")[0] == 1


@pytest.fixture
def spawn_slow():
    def call(*arguments, data: bytes | None = None, seconds: float = 0.0):
        code = SLOW.format(tests=str(TESTS), seconds=seconds)
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            input=data, capture_output=True, timeout=60,
        )  # fmt: skip
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return call


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_broken_off_is_gone_on_with(ending, spawn_slow, tmp_path):
    path = tiff(tmp_path / "b.tif", [20 + n for n in range(8)])
    out = tmp_path / "b.xlsx"
    code = SLOW.format(tests=str(TESTS), seconds=0.2)
    command = [sys.executable, "-c", code, "table", str(path), "-o", str(out), "--no-join"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(4):  # three pages are done then
            for line in process.stderr:
                if "page" in line:
                    break
            else:
                pytest.fail("it ended before it was broken off")
        process.send_signal(ending)
        err = process.stderr.read()
    assert process.returncode == (130 if ending == signal.SIGINT else -signal.SIGKILL)
    assert ("--resume" in err) == (ending == signal.SIGINT)
    assert not out.exists()
    exit_code, _, err = spawn_slow("table", path, "-o", out, "--resume", "--no-join")
    assert exit_code == 0, err
    assert "3 pages are there already" in err
    assert err.count("page\n") == 5
    assert [rows[0][0] for rows in sheets(out).values()] == [f"{20 + n}×10" for n in range(8)]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["b.tif", "b.xlsx"]


def test_resume_refuses_another_run(run, picture, tmp_path):
    out = tmp_path / "a.xlsx"
    (tmp_path / "a.xlsx.partial").write_text('{"journal": 1, "models": "fast"}\n')
    code, _, err = run("table", picture, "-o", out, "--resume")
    assert (code, "expected the run that was interrupted" in err) == (1, True)
    assert run("table", picture, "--resume")[0] == 2


def test_a_file_never_takes_the_name_of_another(run, tmp_path):
    for number, name in enumerate(("a.bmp", "a.png", "a-2.png")):
        Image.new("RGB", (30 + number, 20), "black").save(tmp_path / name)
    out = tmp_path / "out"
    inputs = [tmp_path / "a.bmp", tmp_path / "a.png", tmp_path / "a-2.png"]
    code, _, err = run("table", *inputs, "-o", f"{out}/", "-f", "csv", "--force")
    assert code == 0, err
    found = sorted(each.read_text().strip() for each in out.iterdir())
    assert found == ["30×20", "31×20", "32×20"]


def test_a_folder_is_gone_on_with(run, picture, tmp_path):
    tiff(tmp_path / "b.tif", [40])
    out = f"{tmp_path / 'out'}/"
    assert run("table", picture, "-o", out)[0] == 0
    written = (tmp_path / "out" / "a.xlsx").stat().st_mtime_ns
    code, _, err = run("table", picture, tmp_path / "b.tif", "-o", out, "--resume")
    assert code == 0, err
    assert sorted(os.listdir(out)) == ["a.xlsx", "b.xlsx"]
    assert (tmp_path / "out" / "a.xlsx").stat().st_mtime_ns == written


def test_a_name_that_is_no_utf8(run, picture, tmp_path):
    odd = os.path.join(os.fsencode(tmp_path), b"\xff.png")
    try:
        os.rename(picture, odd)
    except OSError:
        pytest.skip("file names are UTF-8 here")
    code, _, err = run("table", os.fsdecode(odd), "-o", tmp_path / "a.csv")
    assert code == 0, err


def test_a_journal_that_cannot_be_written_is_kept(run, picture, tmp_path, monkeypatch):
    from tallow.documents.journal import Journal

    def full(self, name, page):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "add", full)
        code, _, err = run("table", picture, "-o", tmp_path / "a.csv")
    assert (code, "No space left on device; --resume goes on" in err) == (1, True)
    assert run("table", picture, "-o", tmp_path / "a.csv", "--resume")[0] == 0


@pytest.fixture
def two_tables(monkeypatch, tmp_path):
    """A folder of inputs whose names meet where each table gets a file."""
    for name in ("a.tif", "b.tif"):
        tiff(tmp_path / name, [30, 40])
    for name in ("a-2.png", "b.png"):
        Image.new("RGB", (20, 20), "black").save(tmp_path / name)
    return tmp_path


def test_tables_of_inputs_with_like_names_do_not_meet(run, two_tables, tmp_path):
    code, _, err = run("table", two_tables, "--no-join", "-f", "csv", "-o", f"{tmp_path}/out/")
    assert code == 0, err
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a-1.csv", "a-2.csv", "a-2.png.csv", "b.png.csv", "b.tif-1.csv", "b.tif-2.csv"]
    assert "a-2.csv: table 2 of 2" in err
    again = ("table", two_tables, "--no-join", "-f", "csv", "-o", f"{tmp_path}/out/")
    code, _, err = run(*again)
    assert code == 1 and "a-2.png.csv: expected no such file" in err
    assert run(*again, "--resume")[0] == 0


@pytest.mark.parametrize(("ids", "split", "stems"), [
    (["a.png", "x/a.pdf", "-"], False, ["a", "a-2", "stdin"]),
    (["a.png", "a-2.png", "b-2.png"], True, ["a", "a-2.png", "b-2"]),
    (["x/a.png", "y/a.png"], True, ["a.png", "a.png (2)"]),
    (["é" * 300 + ".png"], False, ["é" * 100]),
])  # fmt: skip
def test_names_of_files_in_a_folder(ids, split, stems):
    from tallow.cli.table_targets import stems as named

    assert named(ids, split) == stems


def test_a_missing_package_stops_no_other_file(run, picture, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    heic = tmp_path / "b.heic"
    heic.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    code, _, err = run("table", heic, picture, "-o", tmp_path / "out.csv")
    assert code == 1 and (tmp_path / "out.csv").exists()
    assert f"failed: {heic}: HEIC pictures need pillow-heif: pip install" in err


def test_messages_of_what_is_no_document(run, tmp_path):
    (tmp_path / "fake.pdf").write_bytes(b"no PDF at all")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    code, _, err = run("table", tmp_path / "fake.pdf", tmp_path / "loop.png")
    assert code == 1
    assert "fake.pdf: format: expected PDF or one of PNG, JPEG" in err
    assert "loop.png: file: expected a readable file, got Too many levels of symbolic links" in err


@pytest.mark.parametrize("option", ["--detect", "--structure"])
def test_names_of_steps_are_listed(run, picture, monkeypatch, option):
    monkeypatch.undo()
    code, _, err = run("table", picture, option, "nope")
    assert code == 1
    assert f"{option}: expected " in err and "rulings, " in err and "table-transformer, " in err


def test_a_drawn_table_breaks_no_words(monkeypatch, capsys):
    from tallow.cli.table_output import draw
    from tallow.documents import Cell, Table

    monkeypatch.setenv("COLUMNS", "60")
    texts = [["Cost category", "All of it", "Less"], ["Entertainment and others", "1", "2"],
             ["Subcontracts for all kinds of work", "12,345,678", "[bold]x"]]  # fmt: skip
    cells = [Cell(r, c, text=t) for r, row in enumerate(texts) for c, t in enumerate(row)]
    draw(Table(3, 3, cells, header_rows=1))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    shown = " ".join(lines)
    words = " ".join(" ".join(row) for row in texts).split()
    assert all(word in shown for word in words)
