"""Journals of pages: a round trip, runs that were broken off, and files that are none."""

from __future__ import annotations

import json

import pytest

from tallow.documents import Cell, Page, Table, Word
from tallow.documents.document import ColumnType
from tallow.documents.journal import Journal
from tallow.errors import ArgumentError

OPTIONS = {"models": "best", "pages": None}
HEAD = b'{"journal": 1, "models": "best", "pages": null}\n'


def page(number: int) -> Page:
    word = Word(
        "24.91²", (1.0, 2.0, 3.0, 4.0), 0.5, ((1.0, 2.0), (3.0, 2.0), (3.0, 4.0), (1.0, 4.0))
    )
    cell = Cell(0, 1, 2, 1, "24.91²", (1, 2, 3, 4), raised=((5, 6),), value=24.91, words=(word,))
    table = Table(2, 2, [Cell(0, 0, 2), cell], (0, 0, 9, 9), number, (number,), column_types=[
        ColumnType("number", ("all are",)), ColumnType()])  # fmt: skip
    return Page(number, 10, 20, [table], [word], 90, 0.5, seconds={"words": 0.25})


def test_pages_come_back_as_they_were(tmp_path):
    path = tmp_path / "out.partial"
    journal = Journal(path, OPTIONS, resume=False)
    for number in (2, 1, 3):
        journal.add("a.pdf", page(number))
    journal.add("b.pdf", page(1))
    journal.close(remove=False)
    again = Journal(path, OPTIONS, resume=True)
    assert len(again) == 4
    assert again.has("a.pdf", 3)
    assert not again.has("b.pdf", 3)
    assert list(again.pages("a.pdf")) == [page(1), page(2), page(3)]
    again.add("b.pdf", page(2))
    assert list(again.pages("b.pdf")) == [page(1), page(2)]
    again.close(remove=True)
    assert not path.exists()


def test_a_line_that_was_broken_off_is_read_again(tmp_path):
    path = tmp_path / "out.partial"
    journal = Journal(path, OPTIONS, resume=False)
    journal.add("a.pdf", page(1))
    whole = path.stat().st_size
    journal.add("a.pdf", page(2))
    journal.close(remove=False)
    for cut in (whole + 1, whole + 40, path.stat().st_size - 1):
        content = path.read_bytes()
        (tmp_path / "cut").write_bytes(content[:cut])
        again = Journal(tmp_path / "cut", OPTIONS, resume=True)
        assert again.has("a.pdf", 1)
        assert not again.has("a.pdf", 2)
        again.add("a.pdf", page(2))
        assert list(again.pages("a.pdf")) == [page(1), page(2)]
        again.close(remove=True)


def test_without_resume_a_run_begins_anew(tmp_path):
    path = tmp_path / "out.partial"
    journal = Journal(path, OPTIONS, resume=False)
    journal.add("a.pdf", page(1))
    journal.close(remove=False)
    again = Journal(path, OPTIONS, resume=False)
    assert len(again) == 0
    again.close(remove=True)


def test_a_run_with_other_options_is_refused(tmp_path):
    path = tmp_path / "out.partial"
    Journal(path, OPTIONS, resume=False).close(remove=False)
    with pytest.raises(ArgumentError, match="other models"):
        Journal(path, {**OPTIONS, "models": "fast"}, resume=True)


@pytest.mark.parametrize(
    "content",
    [
        b"hello\n",
        b"{}\n",
        b"[1]\n",
        HEAD + b'{"input": 1}\n',
        HEAD + b'{"input": "a", "page": {"number": 1, "evil": 2}}\n',
        b"[" * 100_000 + b"\n",
    ],
    ids=range(6),
)
def test_what_is_no_journal_is_told(content, tmp_path):
    path = tmp_path / "out.partial"
    path.write_bytes(content)
    with pytest.raises(ArgumentError, match="expected pages of an interrupted run"):
        Journal(path, OPTIONS, resume=True)
    assert path.read_bytes() == content


def test_lines_are_json(tmp_path):
    journal = Journal(tmp_path / "out.partial", OPTIONS, resume=False)
    journal.add("a.pdf", page(1))
    journal.close(remove=False)
    head, line = (tmp_path / "out.partial").read_text().splitlines()
    assert json.loads(head)["journal"] == 1
    assert json.loads(line)["page"]["tables"][0]["cells"][1]["text"] == "24.91²"
