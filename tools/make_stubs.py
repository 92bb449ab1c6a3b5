"""Write what type checkers see of the ops: `make_stubs.py [--check]`.

`src/tallow/_methods.pyi` gives Tensor its methods and operators, `src/tallow/ops/__init__.pyi` the
functions. Both repeat the ops' own signatures; `--check` only says whether they are up to date.
"""

from __future__ import annotations

import difflib
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from tallow.ops.operators import OPERATORS
from tallow.registry import OPS, OWN, SELF_NAMES, Op
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


def parameters(op: Op[..., Any], *, method: bool) -> list[str]:
    """The parameters of an op; a method's first one is `self`."""
    found, starred = [], False
    for i, p in enumerate(inspect.signature(op.signature).parameters.values()):
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
    listed = "".join(f"{indent}    {part},\n" for part in parts)
    return f"{indent}def {name}(\n{listed}{indent}) -> {returns}: ...{note}"


def returns_of(op: Op[..., Any]) -> str:
    """What the op returns."""
    return annotation(inspect.signature(op.signature).return_annotation)


def is_method(op: Op[..., Any]) -> bool:
    """Whether `registry.install` makes the op a method of Tensor."""
    fits = bool(op.parameters) and op.parameters[0][0] in SELF_NAMES
    return fits and "." not in op.__name__ and op.__name__ not in OWN


def methods() -> str:
    """The text of `_methods.pyi`."""
    lines = [
        HEAD.format(purpose="What Tensor has from the ops"),
        "from collections.abc import Sequence\nfrom typing import Any\n\n",
        "from .dtype import DType\n",
        "from .ops.extreme import MinMax, ValuesIndices\nfrom .ops.reduce import Dim\n",
        "from .random import Generator\nfrom .tensor import Tensor\n\n",
        "class Methods:\n",
    ]
    for name, op in OPS.items():
        if not is_method(op):
            continue
        parts = parameters(op, method=True)
        if isinstance(Tensor.__dict__.get(name), property):
            lines.append("    @property\n")
        lines.append(definition(name, parts, returns_of(op), "    ") + "\n")
        if op.has_inplace:
            lines.append(definition(f"{name}_", parts, "Tensor", "    ") + "\n")
    for name, dunders in OPERATORS.items():
        parts = parameters(OPS[name], method=True)[:2]
        for dunder in dunders:
            # `object` compares with anything and gives a bool.
            compares = dunder in ("__eq__", "__ne__")
            note = "  # type: ignore[override]  # elementwise" if compares else ""
            lines.append(definition(dunder, parts, "Tensor", "    ", note) + "\n")
    return "".join(lines)


def functions() -> str:
    """The text of `ops/__init__.pyi`."""
    ops = {name: op for name, op in OPS.items() if "." not in name}
    names = "".join(f'    "{name}",\n' for name in ops)
    lines = [
        HEAD.format(purpose="The ops as functions"),
        "from collections.abc import Sequence\nfrom typing import Any\n\n",
        "from ..dtype import DType\nfrom ..random import Generator\n",
        "from ..tensor import Tensor\nfrom .extreme import MinMax, ValuesIndices\n",
        "from .reduce import Dim\n\n",
        f"__all__ = [\n{names}]\n\n",
    ]
    for name, op in ops.items():
        lines.append(definition(name, parameters(op, method=False), returns_of(op)) + "\n")
    return "".join(lines)


def places() -> str:
    """The text of `ops/_modules.py`: the module of each op that is not loaded at once."""
    eager = eager_modules()
    table = {
        name: op.__module__.rsplit(".", 1)[1]
        for name, op in sorted(OPS.items())
        if op.__module__.startswith("tallow.ops.")
    }
    lines = [HEAD.format(purpose="Where the ops stand that are loaded when first used")]
    lines += ["# fmt: off\nMODULES = {\n"]
    left = {name: module for name, module in table.items() if module not in eager}
    lines += [f'    "{name}": "{module}",\n' for name, module in left.items()]
    lines += ["}\n# fmt: on\n# Those that are methods of Tensor, and their in-place variants.\n"]
    methods = textwrap.fill(" ".join(unloaded_methods(left)), WIDTH, break_on_hyphens=False)
    lines.append(f'METHODS = """\n{methods}\n"""\n')
    return "".join(lines)


def unloaded_methods(names: Iterable[str]) -> list[str]:
    """What `registry.install` makes of ops that are not loaded at once."""
    found = []
    for name in names:
        op = OPS[name]
        if "." in name or not op.parameters or op.parameters[0][0] not in SELF_NAMES:
            continue
        twin = op.has_inplace
        found += [name, f"{name}_"] if twin else [name]
    return sorted(name for name in found if name not in OWN)


def eager_modules() -> set[str]:
    """The op modules that `import tallow` loads."""
    code = "import sys, tallow; print(*(m for m in sys.modules if m.startswith('tallow.ops.')))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.rsplit(".", 1)[1] for name in found.stdout.split()}


STUBS = {
    SOURCE / "ops" / "_modules.py": places,
    SOURCE / "_methods.pyi": methods,
    SOURCE / "ops" / "__init__.pyi": functions,
}


def main() -> int:
    for path in sorted((SOURCE / "ops").glob("*.py")):
        import_module(f"tallow.ops.{path.stem}")
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
