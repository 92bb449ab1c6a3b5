"""Data frames and Parquet: columns of one kind each, read back by pandas and pyarrow."""

from __future__ import annotations

import builtins
from datetime import date

import pytest

from tables_made import table_of
from tallow.documents.document import Document
from tallow.documents.writers.frames import columns_of
from tallow.errors import MissingExtraError

VALUES = {"1": 1, "2": 2, "1.5": 1.5, "x": date(2014, 1, 3)}


def made():
    table = table_of(
        [
            ["Name", "Count", "Size", "", ""],
            ["", "", "m", "m", ""],
            ["Group", "", "", "", ""],
            ["a", "1", "1.5", "x", "1"],
            ["b", "2", "1", "-", "n"],
            ["", "-", "", "", "2"],
        ],
        header_rows=2,
        spans=[(0, 2, 1, 2), (2, 0, 1, 5), (4, 0, 2, 1)],
    )
    for cell in table.cells:
        cell.value = VALUES.get(cell.text, cell.text or None)
    return table


def test_columns_have_names_kinds_and_gaps():
    columns = columns_of(made())
    assert [column.name for column in columns] == [
        "Name",
        "Count",
        "Size m",
        "Size m (2)",
        "column 5",
    ]
    assert [column.kind for column in columns] == ["text", "integer", "number", "date", "text"]
    assert [column.values for column in columns] == [
        ["Group", "a", "b", "b"],
        [None, 1, 2, None],
        [None, 1.5, 1.0, None],
        [None, date(2014, 1, 3), None, None],
        [None, "1", "n", "2"],
    ]


def test_pandas():
    pandas = pytest.importorskip("pandas")
    frame = made().to_pandas()
    assert list(frame.columns)[:2] == ["Name", "Count"]
    assert frame["Count"].sum() == 3 and frame["Size m"].mean() == 1.25
    assert pandas.api.types.is_integer_dtype(frame["Count"])
    assert table_of([["a"], ["1"]], header_rows=0).to_pandas().shape == (2, 1)
    assert table_of([["a", "b"]]).to_pandas().shape == (0, 2)


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    paths = Document("d", tables=[made(), made()]).to_parquet(tmp_path / "out.parquet")
    assert [path.name for path in paths] == ["out-1.parquet", "out-2.parquet"]
    table = pq.read_table(paths[1])
    assert [str(field.type) for field in table.schema] == [
        "string", "int64", "double", "date32[day]", "string",
    ]  # fmt: skip
    assert table.column("Count").to_pylist() == [None, 1, 2, None]


@pytest.mark.parametrize("name", ["pandas", "pyarrow", "openpyxl"])
def test_a_missing_package_is_told_with_its_pip_line(name, monkeypatch, tmp_path):
    real = builtins.__import__

    def refuse(module, *more, **others):
        if module.partition(".")[0] == name:
            raise ImportError(module)
        return real(module, *more, **others)

    monkeypatch.setattr(builtins, "__import__", refuse)
    document = Document("d", tables=[made()])
    calls = {
        "pandas": made().to_pandas,
        "pyarrow": lambda: document.to_parquet(tmp_path / "a.parquet"),
        "openpyxl": lambda: document.to_excel(tmp_path / "a.xlsx"),
    }
    with pytest.raises(MissingExtraError, match="pip install"):
        calls[name]()
    assert not list(tmp_path.iterdir())
