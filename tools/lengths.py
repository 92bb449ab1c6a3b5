"""Lists files of more than 400 lines and functions of more than 40, and why those that are stay.

`python tools/lengths.py [FOLDER…]` prints what `tools/lengths.toml` does not permit, and what it
permits although it is short by now; `--all` prints all that is long. A function's lines are those
from its name to its end, without its docstring. C++ is not parsed but read by its braces.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REASONS = Path(__file__).with_suffix(".toml")
FILE_LINES, FUNCTION_LINES = 400, 40
CODE = {".py", ".c", ".h", ".cpp", ".hpp", ".cu"}

# What is no code to C++'s braces: comments, texts, characters.
_NO_CODE = re.compile(
    r'R"(\w*)\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"'
    r"|(?<!\w)'(?:\\.|[^'\\\n])'|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
    re.S | re.M,
)
_SCOPE = re.compile(r"(?:^|[^\w<,])(?:namespace|class|struct|union|enum|extern)\b[^()]*$", re.S)
_NAME = re.compile(r"(~?\w+|operator\s*(?:\(\)|[^\s\w(]+|[\w:]+))\s*(?:<[^()]*>)?\s*\(")


@dataclass(frozen=True)
class Long:
    """A file, or a function in it, and its length in lines."""

    path: str
    function: str | None
    lines: int

    @property
    def key(self) -> str:
        """How the list of permitted ones names it: `path` or `path:function`."""
        return f"{self.path}:{self.function}" if self.function else self.path

    def __str__(self) -> str:
        return f"{self.lines:5} {self.key}"


def python_functions(text: str) -> Iterator[tuple[str, int]]:
    """(qualified name, lines) of every function that stands in no other."""
    scopes: list[tuple[str, ast.AST]] = [("", ast.parse(text))]
    while scopes:
        prefix, scope = scopes.pop()
        for node in ast.iter_child_nodes(scope):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                first, lines = node.body[0], node.end_lineno - node.lineno + 1
                if ast.get_docstring(node) is not None:
                    lines -= first.end_lineno - first.lineno + 1
                yield prefix + node.name, lines
            else:
                name = f"{prefix}{node.name}." if isinstance(node, ast.ClassDef) else prefix
                scopes.append((name, node))


def cpp_functions(text: str) -> Iterator[tuple[str, int]]:
    """(name, lines) of every function, as the braces tell them."""
    code = _NO_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    depth = head = 0  # braces open in a function; where the declaration at hand begins
    name, first = "", 0
    for brace in re.finditer(r"[{};]|\b(?:public|private|protected)\s*:", code):
        at, mark = brace.start(), brace[0]
        if depth:
            depth += (mark == "{") - (mark == "}")
            if mark == "}" and not depth:
                if name:
                    yield name, code.count("\n", first, at) + 1
                head = at + 1
            continue
        before = code[head:at]
        if mark == "{" and not _SCOPE.search(_without_template(before)):
            # A function has parameters; what has none is the value of a variable.
            plain = before if "operator" in before else before.split("=")[0]
            found = _NAME.search(_without_template(plain))
            name, depth = (found[1] if found else ""), 1
            first = head + len(before) - len(before.lstrip())
        elif mark in "{};" or mark.endswith(":"):
            head = brace.end()


def _without_template(declaration: str) -> str:
    """The declaration without `template <…>` and `requires (…)` in front of it."""
    declaration = declaration.lstrip()
    while declaration.startswith("template"):
        depth, end = 0, len(declaration)
        for found in re.finditer(r"[<>]", declaration):
            depth += 1 if found[0] == "<" else -1
            if not depth:
                end = found.end()
                break
        declaration = declaration[end:].lstrip()
    return declaration


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """(name, lines) of the functions of a source file."""
    read = python_functions if path.suffix == ".py" else cpp_functions
    return read(path.read_text(encoding="utf-8"))


def sources(folders: list[str]) -> list[str]:
    """The source files of git in these folders (all by default), and those it would take."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    paths = (Path(name) for name in names.split("\n"))
    return sorted({str(p) for p in paths if p.suffix in CODE and (ROOT / p).is_file()})


def too_long(folders: list[str]) -> list[Long]:
    """All that is too long, the longest first."""
    found = []
    for name in sources(folders):
        path = ROOT / name
        lines = path.read_text(encoding="utf-8").count("\n")
        longest: dict[str, int] = {}
        for function, count in functions(path):
            longest[function] = max(count, longest.get(function, 0))
        found += [Long(name, None, lines)] if lines > FILE_LINES else []
        found += [Long(name, f, n) for f, n in longest.items() if n > FUNCTION_LINES]
    return sorted(found, key=lambda one: (one.function is not None, -one.lines, one.path))


def permitted() -> dict[str, str]:
    """What may be long, and why: `path` or `path:function` → the reason."""
    reasons: dict[str, str] = tomllib.loads(REASONS.read_text(encoding="utf-8"))
    assert all(len(reason) > 15 for reason in reasons.values()), "a reason says why"
    return reasons


def unexpected(folders: list[str]) -> tuple[list[Long], list[str]]:
    """What is too long without a reason, and what has a reason but is not too long."""
    found, reasons = too_long(folders), permitted()
    keys = {one.key for one in found}
    names = set(sources(folders))
    stale = [k for k in reasons if k not in keys and (not folders or k.split(":")[0] in names)]
    return [one for one in found if one.key not in reasons], stale


def main() -> None:
    """Print what is too long; fails where something has no reason."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="*", help="only what lies here")
    parser.add_argument("--all", action="store_true", help="also what is permitted, with reasons")
    args = parser.parse_args()
    if args.all:
        reasons = permitted()
        for one in too_long(args.folders):
            print(one, f" ({reasons[one.key]})" if one.key in reasons else "", sep="")
        return
    found, stale = unexpected(args.folders)
    print(*(f"too long: {one}" for one in found), sep="\n", end="\n" if found else "")
    print(*(f"no longer long: {key}" for key in stale), sep="\n", end="\n" if stale else "")
    sys.exit(bool(found or stale))


if __name__ == "__main__":
    main()
