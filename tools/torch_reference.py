"""Write docs/reference/torch.md: what tallow.torch has besides Tallow's own names, and refuses.

`--check` only says whether the committed page is what this would write.
"""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "torch.md"
sys.path.insert(0, str(ROOT / "src"))

HEAD = """# Names of `tallow.torch`

Written by `tools/torch_reference.py`. Beside Tallow's own names under PyTorch's paths (`nn`,
`optim`, the ops), these stand in `tallow.torch` only. *Refused* names can be imported and raise one
line when they are called.

| module | stands here | refused |
|---|---|---|
"""


def modules() -> list[str]:
    """Every module of the package that PyTorch has, by its path there."""
    package = ROOT / "src" / "tallow" / "torch"
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = list(path.relative_to(package).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        if not any(part.startswith("_") for part in parts):
            found.append(".".join(parts))
    return found


def row(path: str) -> str:
    """The line of one module."""
    from tallow.torch._names import _Refusing

    module = import_module(f"tallow.torch.{path}".rstrip("."))
    own, refused = [], []
    for name in dir(module):
        if name.startswith("_") or name in ("annotations", "namespace"):
            continue
        found = getattr(module, name)
        if isinstance(found, ModuleType):
            continue
        place = getattr(found, "__module__", None) or ""
        if isinstance(found, _Refusing):
            refused.append(name)
        elif place.startswith("tallow.torch") and place != "tallow.torch._names":
            own.append(name)
    shown = [", ".join(f"`{name}`" for name in names) for names in (own, refused)]
    return (
        f"| `torch{'.' if path else ''}{path}` | {shown[0]} | {shown[1]} |\n" if any(shown) else ""
    )


def methods() -> str:
    """The methods of Tensor that raise, by the reason."""
    from tallow.torch._refused_methods import REASONS

    text = """
## Methods of `Tensor` that raise

Once `tallow.torch` is imported, these raise one line when they are called.

| reason | methods |
|---|---|
"""
    for reason, (_, names) in REASONS.items():
        text += f"| {reason} | {', '.join(f'`{name}`' for name in names.split())} |\n"
    return text


def main() -> int:
    """Write or check the page."""
    text = HEAD + "".join(row(path) for path in modules()) + methods()
    if "--check" in sys.argv:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        print("" if same else f"{PAGE.relative_to(ROOT)} is old: run tools/torch_reference.py")
        return 0 if same else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
