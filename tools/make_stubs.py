"""Write what type checkers see of the op rows: `make_stubs.py [--check]`.

`src/tallow/_methods.pyi` gives Tensor its methods and operators, `src/tallow/ops/__init__.pyi` the
functions. Both repeat the rows' own signatures; `--check` only says whether they are up to date.
"""

from __future__ import annotations

import difflib
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from tallow.ops import open_all
from tallow.ops.elementwise_rows import OPERATORS
from tallow.registry import OWN, ROWS, SELF_NAMES, Row
from tallow.tensor import Tensor

SOURCE = Path(__file__).resolve().parents[1] / "src" / "tallow"
HEAD = '"""{purpose}; tools/make_stubs.py writes this file."""\n\n'
WIDTH = 100


def text_of(value: Any) -> str:
    """A default as it would stand in Python."""
    return repr(value) if value is None or isinstance(value, (bool, int, float, str)) else "..."


# What the heads of the stubs import; an annotation with any other name is shown as Any.
KNOWN = {
    "Any", "DType", "Dim", "Generator", "MinMax", "None", "Sequence",
    "Tensor", "ValuesIndices", "bool", "complex", "dict", "float", "int", "list",
    "object", "str", "tuple",
}  # fmt: skip


def annotation(value: Any) -> str:
    """An annotation as it stands in the source."""
    text = "Any" if value is inspect.Signature.empty else str(value)
    names = re.findall(r"[A-Za-z_][\w.]*", re.sub(r"\"[^\"]*\"|'[^']*'", "", text))
    return text if KNOWN.issuperset(names) else "Any"


def parameters(row: Row[..., Any], *, method: bool) -> list[str]:
    """The parameters of a row; a method's first one is `self`."""
    found, starred = [], False
    for i, p in enumerate(inspect.signature(row.meaning).parameters.values()):
        if method and i == 0:
            found.append("self")
            continue
        if p.kind is p.KEYWORD_ONLY and not starred:
            found.append("*")
        starred = starred or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        star = "*" if p.kind is p.VAR_POSITIONAL else ""
        default = "" if p.default is p.empty else f" = {text_of(p.default)}"
        found.append(f"{star}{p.name}: {annotation(p.annotation)}{default}")
    return found


def definition(name: str, parts: list[str], returns: str, indent: str = "", note: str = "") -> str:
    """One `def` of a stub, as `ruff format` lays it out."""
    line = f"{indent}def {name}({', '.join(parts)}) -> {returns}: ...{note}"
    if len(line) <= WIDTH:
        return line
    inner = f"{indent}    {', '.join(parts)}"
    if len(inner) <= WIDTH:
        return f"{indent}def {name}(\n{inner}\n{indent}) -> {returns}: ...{note}"
    rows = "".join(f"{indent}    {part},\n" for part in parts)
    return f"{indent}def {name}(\n{rows}{indent}) -> {returns}: ...{note}"


def returns_of(row: Row[..., Any]) -> str:
    """What the row returns."""
    return annotation(inspect.signature(row.meaning).return_annotation)


def is_method(row: Row[..., Any]) -> bool:
    """Whether `registry.install` makes the row a method of Tensor."""
    fits = bool(row.parameters) and row.parameters[0][0] in SELF_NAMES
    return fits and "." not in row.__name__ and row.__name__ not in OWN


def methods() -> str:
    """The text of `_methods.pyi`."""
    lines = [
        HEAD.format(purpose="What Tensor has from the op rows"),
        "from collections.abc import Sequence\nfrom typing import Any\n\n",
        "from .dtype import DType\n",
        "from .ops.extreme import MinMax, ValuesIndices\nfrom .ops.reduce import Dim\n",
        "from .random import Generator\nfrom .tensor import Tensor\n\n",
        "class Methods:\n",
    ]
    for name, row in ROWS.items():
        if not is_method(row):
            continue
        parts = parameters(row, method=True)
        if isinstance(Tensor.__dict__.get(name), property):
            lines.append("    @property\n")
        lines.append(definition(name, parts, returns_of(row), "    ") + "\n")
        if row.has_inplace or row.native is not None:
            lines.append(definition(f"{name}_", parts, "Tensor", "    ") + "\n")
    for name, dunders in OPERATORS.items():
        parts = parameters(ROWS[name], method=True)[:2]
        for dunder in dunders:
            # `object` compares with anything and gives a bool.
            compares = dunder in ("__eq__", "__ne__")
            note = "  # type: ignore[override]  # elementwise" if compares else ""
            lines.append(definition(dunder, parts, "Tensor", "    ", note) + "\n")
    return "".join(lines)


def functions() -> str:
    """The text of `ops/__init__.pyi`."""
    rows = {name: row for name, row in ROWS.items() if "." not in name}
    names = "".join(f'    "{name}",\n' for name in rows)
    lines = [
        HEAD.format(purpose="The ops as functions"),
        "from collections.abc import Sequence\nfrom typing import Any\n\n",
        "from ..dtype import DType\nfrom ..random import Generator\n",
        "from ..tensor import Tensor\nfrom .extreme import MinMax, ValuesIndices\n",
        "from .reduce import Dim\n\n",
        f"__all__ = [\n{names}]\n\n",
    ]
    for name, row in rows.items():
        lines.append(definition(name, parameters(row, method=False), returns_of(row)) + "\n")
    return "".join(lines)


def places() -> str:
    """The text of `ops/_places.py`: in which room each op stands that is not loaded at once."""
    hot = hot_rooms()
    table = {
        name: row.__module__.rsplit(".", 1)[1]
        for name, row in sorted(ROWS.items())
        if row.__module__.startswith("tallow.ops.")
    }
    lines = [HEAD.format(purpose="Where the ops stand that are loaded when first used")]
    lines += ["# fmt: off\nPLACES = {\n"]
    lines += [f'    "{name}": "{room}",\n' for name, room in table.items() if room not in hot]
    return "".join([*lines, "}\n"])


def hot_rooms() -> set[str]:
    """The rooms that `import tallow` loads."""
    code = "import sys, tallow; print(*(m for m in sys.modules if m.startswith('tallow.ops.')))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.rsplit(".", 1)[1] for name in found.stdout.split()}


STUBS = {
    SOURCE / "ops" / "_places.py": places,
    SOURCE / "_methods.pyi": methods,
    SOURCE / "ops" / "__init__.pyi": functions,
}


def main() -> int:
    for path in sorted((SOURCE / "ops").glob("*.py")):
        import_module(f"tallow.ops.{path.stem}")
    open_all()
    stale = []
    for path, make in STUBS.items():
        wanted = make()
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        if "--check" not in sys.argv[1:]:
            path.write_text(wanted, encoding="utf-8")
        elif wanted != found:
            stale.append(path.name)
            sys.stdout.writelines(
                difflib.unified_diff(found.splitlines(True), wanted.splitlines(True))
            )
    if stale:
        print(f"stale: {', '.join(stale)}; run tools/make_stubs.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
