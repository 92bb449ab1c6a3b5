"""Files: the form follows the suffix, and nothing half written or overwritten is left."""

from __future__ import annotations

import errno
import os

import pytest

from tables_made import table_of
from tallow.documents.document import Document
from tallow.documents.writers.files import BY_TABLE, WHOLE
from tallow.errors import ArgumentError
from tallow.formats import replacing


def document(count=1):
    return Document("d", tables=[table_of([["a"], ["x" * 2000]]) for _ in range(count)])


@pytest.mark.parametrize("suffix", [*WHOLE, *BY_TABLE, ".XLSX"])
def test_every_form_is_written(suffix, tmp_path):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    paths = document().save(tmp_path / f"out{suffix}")
    assert paths == [tmp_path / f"out{suffix}"]
    assert paths[0].stat().st_size > 100


def test_several_tables_are_several_files_where_a_file_holds_one(tmp_path):
    paths = document(3).save(tmp_path / "out.csv")
    assert [path.name for path in paths] == ["out-1.csv", "out-2.csv", "out-3.csv"]
    assert len(document(3).save(tmp_path / "out.md")) == 1


@pytest.mark.parametrize("name", ["out.doc", "out", "out.xls", ".csv"])
def test_an_unknown_suffix_is_refused(name, tmp_path):
    with pytest.raises(ArgumentError, match="a path that ends in one of"):
        document().save(tmp_path / name)


def test_nothing_is_overwritten_where_that_is_asked(tmp_path):
    (tmp_path / "out-2.csv").write_text("old")
    with pytest.raises(ArgumentError, match="out-2.csv"):
        document(3).save(tmp_path / "out.csv", overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["out-2.csv"]
    document(3).save(tmp_path / "out.csv")
    assert (tmp_path / "out-2.csv").read_text() != "old"


@pytest.mark.parametrize("suffix", [".xlsx", ".csv", ".html", ".json"])
@pytest.mark.parametrize("room", [0, 700, 2500])
def test_a_full_disk_leaves_nothing_and_the_old_file(suffix, room, tmp_path, monkeypatch):
    old = tmp_path / f"out-1{suffix}" if suffix == ".csv" else tmp_path / f"out{suffix}"
    old.write_text("old")
    left = [room]
    write = os.write

    def full(handle, data):
        taken = min(left[0], len(data))
        left[0] -= taken
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data[:taken])

    monkeypatch.setattr(replacing.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        document(2).save(tmp_path / f"out{suffix}")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == [old.name]
    assert old.read_text() == "old"


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        document().save(tmp_path / "nowhere" / "out.xlsx")
