"""The committed stubs are what the generator gives, and name what the native module has."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tallow import _native

ROOT = Path(__file__).resolve().parents[2]


def test_generated_stubs_are_up_to_date():
    command = [sys.executable, str(ROOT / "tools" / "make_stubs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def names(body):
    """What a stub's block defines."""
    found = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return found | {node.target.id for node in body if isinstance(node, ast.AnnAssign)}


def public(thing):
    return {name for name in dir(thing) if not name.startswith("_")}


def test_native_stub_is_complete():
    tree = ast.parse((ROOT / "src" / "tallow" / "_native.pyi").read_text(encoding="utf-8"))
    assert names(tree.body) == public(_native)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            given = {name for name in names(node.body) if not name.startswith("_")}
            assert given == public(getattr(_native, node.name)), node.name


@pytest.mark.parametrize("tool", ["op_reference", "op_devices"])
def test_op_references_are_up_to_date(tool):
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / f"{tool}.py", "--check"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
