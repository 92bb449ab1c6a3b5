"""Jobs of the table app from upload to download, with a reader that needs no models."""

import csv
import io
import json
import zipfile
from copy import deepcopy

import openpyxl
import pytest
from PIL import Image

from pdf_made import encrypted
from serve_client import picture
from serve_readers import TEXTS, table_of
from tallow.documents.document import Page
from tallow.lazy_dataclasses import replace
from tallow.serve.table.options import Options, read_options
from tallow.serve.table.tables import table_dict


@pytest.fixture(scope="module")
def kept(shared):
    """A job that is finished, which no test changes."""
    return shared.finished(("scan.png", picture()))


def test_upload_to_tables(shared):
    answer = shared.upload(("scan.png", picture()))
    assert answer.status == 201
    id = answer.json["id"]
    assert len(id) >= 32
    events = shared.events(id)
    steps = [event["step"] for event in events if event["kind"] == "progress"]
    assert steps == ["open", "open", "words", "structure", "pictures"]
    assert events[-1] == {"kind": "state", "state": "done", "error": ""}
    job = shared.get(f"/api/jobs/{id}").json
    [file] = job["files"]
    assert (job["state"], file["name"], file["state"]) == ("done", "scan.png", "done")
    [table] = file["tables"]
    assert [cell["text"] for cell in table["cells"]] == [text for row in TEXTS for text in row]
    [page] = file["pages"]
    assert (page["width"], page["height"], page["tables"]) == (420, 260, 1)


def test_events_go_on_after_the_last_that_was_seen(shared, kept):
    id = kept["id"]
    whole = shared.get(f"/api/jobs/{id}/events").body.decode()
    rest = shared.get(f"/api/jobs/{id}/events", Last_Event_ID="3").body.decode()
    assert whole.endswith(rest)
    assert rest.startswith("id: 4\n")
    assert shared.get(f"/api/jobs/{id}/events", Last_Event_ID="x").body.decode() == whole


def test_pages_are_pictures(shared, kept):
    id = kept["id"]
    answer = shared.get(f"/api/jobs/{id}/files/0/pages/1.png")
    assert answer.headers["content-type"] == "image/png"
    page = Image.open(io.BytesIO(answer.body))
    original = Image.open(io.BytesIO(picture()))
    assert page.tobytes() == original.tobytes()
    answer = shared.get(f"/api/jobs/{id}/files/0/pages/1/crop.png?box=20,20,147,93")
    crop = Image.open(io.BytesIO(answer.body))
    assert crop.tobytes() == original.crop((20, 20, 147, 93)).tobytes()
    for path in ("pages/2.png", "pages/0.png", "pages/1/crop.png?box=1,2,3", "pages/-1.png"):
        assert shared.get(f"/api/jobs/{id}/files/0/{path}").status in (400, 404)
    for box in ("nan,0,1,1", "a,b,c,d", ""):
        answer = shared.get(f"/api/jobs/{id}/files/0/pages/1/crop.png?box={box}")
        assert answer.status == 400, box


def test_files_with_and_without_tables(shared):
    files = [("a.png", picture()), ("blank.png", picture()), ("not.png", b"no picture"),
             ("mistake.png", picture()), ("t.tif", picture("TIFF", frames=3))]  # fmt: skip
    job = shared.finished(*files)
    assert job["state"] == "done"
    states = [(file["state"], len(file["pages"]), len(file["tables"])) for file in job["files"]]
    assert states == [("done", 1, 1), ("done", 1, 0), ("error", 0, 0), ("error", 0, 0),
                      ("done", 3, 3)]  # fmt: skip
    assert "not.png" in job["files"][2]["error"]
    assert "mistake of Tallow: RuntimeError: no such thing" in job["files"][3]["error"]
    form = "/download.xlsx"
    book = openpyxl.load_workbook(io.BytesIO(shared.get(f"/api/jobs/{job['id']}{form}").body))
    assert len(book.sheetnames) == 4


def test_chosen_pages(shared):
    job = shared.finished(("t.tif", picture("TIFF", frames=4)), options={"pages": "2, 4"})
    assert [page["number"] for page in job["files"][0]["pages"]] == [2, 4]
    job = shared.finished(("t.tif", picture("TIFF", frames=4)), options={"pages": "9"})
    assert job["state"] == "failed" or job["files"][0]["state"] == "error"
    assert "expected at most 4" in job["files"][0]["error"]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", Options()),
        ("{}", Options()),
        ('{"pages": "1-", "models": "fast"}', Options(pages="1-", models="fast")),
        ('{"pages": "1 – 3, 7"}', Options(pages="1-3,7")),
        ('{"join": false, "raw": true}', Options(join=False, raw=True)),
    ],
)
def test_options(text, options):
    assert read_options(text) == options


@pytest.mark.parametrize(
    "options",
    [{"pages": "a"}, {"pages": 1}, {"pages": "1;2"}, {"models": "huge"}, {"join": "no"}, {"x": 1},
     [], "text", {"pages": "1," * 5000}],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_wrong_options(shared, options):
    before = shared.left_over()
    answer = shared.upload(("a.png", picture()), options=options)
    assert answer.status in (400, 413)
    assert answer.json["error"].endswith(".")
    assert shared.left_over() == before


def edited(shared, job):
    """A finished job's id, its table, and a function that sends the table back."""
    path = f"/api/jobs/{job['id']}/files/0/tables/0"
    table = deepcopy(job["files"][0]["tables"][0])
    return job["id"], table, lambda table: shared.ask("PUT", path, table)


def test_edit_and_download(shared):
    id, table, put = edited(shared, shared.finished(("a.png", picture())))
    table["cells"][4]["text"] = "4711.5"
    merged = [
        cell for cell in table["cells"] if (cell["row"], cell["column"]) not in ((2, 1), (2, 2))
    ]
    merged.append(table["cells"][7] | {"column_span": 2, "text": "<b>Ü</b>"})
    table["cells"] = merged
    answer = put(table)
    assert answer.status == 200, answer.body
    book = openpyxl.load_workbook(io.BytesIO(shared.get(f"/api/jobs/{id}/download.xlsx").body))
    sheet = book.active
    assert sheet["B2"].value == 4711.5
    assert [str(each) for each in sheet.merged_cells.ranges] == ["B3:C3"]
    assert (sheet["A3"].value, sheet["A3"].data_type) == ("=cmd|x", "s")
    lines = list(
        csv.reader(io.StringIO(shared.get(f"/api/jobs/{id}/download.csv").body.decode("utf-8-sig")))
    )
    assert lines[1][1].startswith("4711.5")
    assert not lines[2][0].startswith("=")
    page = shared.get(f"/api/jobs/{id}/download.html")
    assert b"&lt;b&gt;" in page.body
    assert "sandbox" in page.headers["content-security-policy"]
    assert page.headers["content-disposition"].startswith('attachment; filename="a.html"')
    assert b"4711.5" in shared.get(f"/api/jobs/{id}/download.md").body
    made = json.loads(shared.get(f"/api/jobs/{id}/download.json").body)
    assert len(made["tables"]) == 1
    assert shared.get(f"/api/jobs/{id}/download.exe").status == 404


def test_an_edited_table_is_typed_again(shared):
    _, table, put = edited(shared, shared.finished(("a.png", picture())))
    for row, text in ((1, "1.5"), (2, "2.5")):
        table["cells"][3 * row + 1]["text"] = text
    made = put(table).json
    assert [made["cells"][k]["value"] for k in (4, 7)] == [1.5, 2.5]
    assert made["column_types"][1]["kind"] != made["column_types"][0]["kind"]
    assert [cell["box"] for cell in made["cells"]] == [cell["box"] for cell in table["cells"]]


def overlapping(table):
    table["cells"][0]["column_span"] = 2


def with_a_gap(table):
    del table["cells"][3]


def outside(table):
    table["cells"][8]["row_span"] = 2


def before_the_first(table):
    table["cells"][0]["row"] = -1


def enormous(table):
    table["rows"] = table["columns"] = 1000


def without_cells(table):
    del table["cells"]


def a_wrong_header(table):
    table["cells"][0]["header"] = "nose"


def an_endless_box(table):
    table["cells"][0]["box"] = [0, 0, 1e999, 1]


def a_number_as_text(table):
    table["cells"][0]["text"] = 5


def a_box_of_nothing(table):
    table["cells"][0]["box"] = [float("nan")] * 4


def text_for_cells(table):
    table["cells"] = "row"


def a_lone_surrogate(table):
    table["rows"] = "\ud800"


def huge_spans(table):
    table["cells"][0]["row_span"] = 10**9


@pytest.mark.parametrize(
    "spoil",
    [overlapping, with_a_gap, outside, before_the_first, enormous, without_cells, a_wrong_header,
     an_endless_box, a_number_as_text, huge_spans, a_box_of_nothing, text_for_cells,
     a_lone_surrogate],
)  # fmt: skip
def test_wrong_tables(shared, kept, spoil):
    id, table, put = edited(shared, kept)
    spoil(table)
    answer = put(table)
    assert answer.status in (400, 413), answer.body
    assert answer.json["error"].endswith(".")
    kept = shared.get(f"/api/jobs/{id}").json["files"][0]["tables"][0]
    assert len(kept["cells"]) == 9


def test_wrong_json(shared, kept):
    id, table, _ = edited(shared, kept)
    path = f"/api/jobs/{id}/files/0/tables/0"
    for body in (b"", b"{", b"[" * 100_000, b"5", b'"x"', b"null", b"[]"):
        answer = shared.ask("PUT", path, body, Content_Type="application/json")
        assert answer.status == 400, body[:10]
    answer = shared.ask("PUT", path, json.dumps(table).encode(), Content_Type="text/plain")
    assert answer.status == 415
    assert shared.ask("PUT", path[:-1] + "7", table).status == 404


def test_control_characters_do_not_reach_spreadsheets(shared):
    id, table, put = edited(shared, shared.finished(("a.png", picture())))
    table["cells"][4]["text"] = "a\x00\x1b[31mb\ud800\nc"
    assert put(table).json["cells"][4]["text"] == "a[31mb\nc"
    book = openpyxl.load_workbook(io.BytesIO(shared.get(f"/api/jobs/{id}/download.xlsx").body))
    assert book.active["B2"].value == "a[31mb\nc"


def test_an_encrypted_pdf_asks_for_its_password(shared):
    job = shared.finished(("secret.pdf", encrypted("open sesame")), ("a.png", picture()))
    states = [file["state"] for file in job["files"]]
    assert (job["state"], states) == ("done", ["password", "done"])
    path = f"/api/jobs/{job['id']}/files/0/password"
    for wrong in ({}, {"password": ""}, {"password": 5}, {"password": "x" * 201}, []):
        assert shared.ask("POST", path, wrong).status == 400
    assert shared.ask("POST", path, {"password": "sesame"}).status == 200
    shared.events(job["id"])
    [locked, read] = shared.get(f"/api/jobs/{job['id']}").json["files"]
    assert (locked["state"], "wrong" in locked["error"]) == ("password", True)
    assert len(read["tables"]) == 1  # what was read stays
    assert shared.ask("POST", path, {"password": "open sesame"}).status == 200
    shared.events(job["id"])
    [opened, _] = shared.get(f"/api/jobs/{job['id']}").json["files"]
    assert (opened["state"], len(opened["pages"])) == ("done", 1)
    assert shared.ask("POST", path, {"password": "again"}).status == 409
    for left in shared.folder.rglob("*"):
        assert left.is_dir() or b"sesame" not in left.read_bytes()


def test_rows_of_joined_tables_know_their_page():
    parts = [table_of(TEXTS * 4, number, 400, 600) for number in (1, 2, 3)]
    cells = [
        replace(cell, row=cell.row + part * 12)
        for part, each in enumerate(parts)
        for cell in each.cells
    ]
    joined = replace(parts[0], rows=36, cells=cells, pages=(1, 2, 3))
    made = table_dict(joined, [Page(number, 400, 600) for number in (1, 2, 3)])
    assert [cell["page"] for cell in made["cells"][::3]] == [1] * 12 + [2] * 12 + [3] * 12
    made = table_dict(joined)
    assert [cell["page"] for cell in made["cells"][::3]] == [1] * 12 + [2] * 12 + [3] * 12


def test_csv_of_several_tables(shared):
    id = shared.finished(("t.tif", picture("TIFF", frames=2)))["id"]
    answer = shared.get(f"/api/jobs/{id}/download.csv")
    assert answer.headers["content-type"] == "application/zip"
    assert zipfile.ZipFile(io.BytesIO(answer.body)).namelist() == ["t-1.csv", "t-2.csv"]
    answer = shared.get(f"/api/jobs/{id}/download.csv?file=0&table=1")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    for query in ("file=0&table=2", "file=1", "file=x", "table=-1", "table=" + "9" * 5000):
        assert shared.get(f"/api/jobs/{id}/download.csv?{query}").status in (400, 404)


def test_nothing_to_download(shared):
    id = shared.finished(("blank.png", picture()))["id"]
    answer = shared.get(f"/api/jobs/{id}/download.xlsx")
    assert (answer.status, answer.json) == (409, {"error": "There is no table to download."})


def test_the_page_and_its_parts(shared):
    page = shared.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"http" not in page.body.replace(b"http-equiv", b"")
    for name in ("page.css", "page.js", "api.js", "grid.js", "editor.js", "viewer.js", "files.js"):
        assert shared.get(f"/static/{name}").status == 200
    limits = shared.get("/api/limits").json
    assert limits["files"] == 20


def test_cells_alone_are_edited(shared):
    job = shared.finished(("a.png", picture()))
    address = f"/api/jobs/{job['id']}/files/0/tables/0"
    cell = job["files"][0]["tables"][0]["cells"][4] | {"text": "4711.5", "confidence": 1}
    answer = shared.ask("PATCH", address, {"version": 1, "cells": [cell]})
    assert answer.status == 200, answer.body
    assert answer.json["version"] == 2
    assert dict(answer.json["cells"])[4]["value"] == "4711.5"  # 0049 stands below
    kept = shared.get(f"/api/jobs/{job['id']}").json["files"][0]["tables"][0]
    assert kept["cells"][4]["text"] == "4711.5" and kept["version"] == 2
    assert kept["cells"][5]["text"] == "(12)"


@pytest.mark.parametrize(("body", "status"), [
    ({"version": 7, "cells": []}, 409),
    ({"cells": [{"row": 0, "column": 9}]}, 409),
    ({"cells": [{"row": 0, "column": 0, "row_span": 2}]}, 409),
    ({"cells": [{"row": -1, "column": 0}]}, 400),
    ({"cells": 5}, 400),
    ([], 400),
])  # fmt: skip
def test_edits_of_what_is_not_there_are_refused(shared, body, status):
    job = shared.finished(("a.png", picture()))
    address = f"/api/jobs/{job['id']}/files/0/tables/0"
    assert shared.ask("PATCH", address, body).status == status
    assert shared.get(f"/api/jobs/{job['id']}").json["files"] == job["files"]


def test_a_stale_table_is_refused(shared):
    job = shared.finished(("a.png", picture()))
    address, table = f"/api/jobs/{job['id']}/files/0/tables/0", job["files"][0]["tables"][0]
    assert shared.ask("PUT", address, table).json["version"] == 2
    assert shared.ask("PUT", address, table).status == 409
    del table["version"]  # programs that are alone need none
    assert shared.ask("PUT", address, table).json["version"] == 3
