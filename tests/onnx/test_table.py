"""The table of operators: modules of rows are found as they are needed."""

import subprocess
import sys
import textwrap
from pathlib import Path

from tallow.onnx.operators import GROUPS, find, table


def test_all_modules_of_rows_are_in_the_list():
    folder = Path(table.__file__).parent
    found = {path.stem for path in folder.glob("*.py") if "\n@operator(" in path.read_text("utf-8")}
    assert found <= {*GROUPS} and len(GROUPS) == len({*GROUPS})


def test_modules_are_imported_as_they_are_needed():
    script = """
        import sys
        import tallow as tl
        from tallow.onnx.operators import GROUPS, find, load_all
        held = lambda: [n for n in GROUPS if f"tallow.onnx.operators.{n}" in sys.modules]
        assert held() == []
        tl.onnx.operator("Own", domain="mine")(lambda x: x)
        assert find("mine", "Own", 21).op_type == "Own" and held() == []
        assert find("", "Add", 21).op_type == "Add" and 1 <= len(held()) < len(GROUPS) // 2
        assert find("", "Nope", 21) is None and held() == [*GROUPS]
        load_all()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_threads_that_look_at_once():
    script = """
        from concurrent.futures import ThreadPoolExecutor
        from tallow.onnx.operators import find
        names = [("", "Add"), ("", "Conv"), ("", "STFT"), ("ai.onnx.ml", "TreeEnsemble")] * 4
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda each: find(*each, 21), names))
        assert all(row is not None for row in found)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_opsets_have_one_row_each():
    for row in table.rows():
        assert find(row.domain, row.op_type, row.since) is row
