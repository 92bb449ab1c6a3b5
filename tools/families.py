"""Write docs/reference/families.md (family × check × lines) from a run of test_golden.py.

    families.py build/families.xml

Checks are the tests' own names; a cell tells how many of the family's goldens pass.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

from tallow.models.families import __path__ as FOLDERS
from tallow.models.table import FAMILIES, Family

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "families.md"
CHECKS = {
    "test_outputs": "outputs",
    "test_gradients": "gradients",
    "test_batch_equals_singles": "batch = singles",
    "test_float_weights": "f16, bf16, f32",
    "test_quantised_weights": "q8_0",
    "test_names_are_the_checkpoints": "names",
    "test_save_and_load": "save, load",
    "test_captured": "plan",
    "test_generation": "generation",
    "test_what_does_not_fit_is_told_at_once": "misfits",
}
HEAD = """# Families of models, and what is proven of each

Written by `make families` from the run of `tests/models/test_golden.py`: each golden is a tiny
checkpoint with re-drawn weights, whose outputs (within 1e-4) and gradients transformers computed in
f64 (`make golden`). A cell tells how many goldens of the family pass; – means that the check has no
sense for them (rows depend on each other's padding, no matrix divides into blocks, nothing to
generate). States and GGUF files of decoders are tested in `tests/models`, too.
"""


def results(path: Path) -> dict[str, dict[str, list[str]]]:
    """Case → check → outcomes."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for case in ET.parse(path).iter("testcase"):
        name, _, rest = case.get("name", "").partition("[")
        if name not in CHECKS or not rest:
            continue
        kinds = {child.tag for child in case}
        outcome = (
            "failed" if kinds & {"failure", "error"} else "none" if "skipped" in kinds else "passed"
        )
        golden = re.split(r"[\]]", rest)[0]
        golden = re.sub(r"-(f16|bf16|f32)$|^(f16|bf16|f32)-", "", golden)
        found[golden.split("-")[0]][CHECKS[name]].append(outcome)
    return found


def family_of(case: str) -> Family | None:
    """The row of the table that a golden belongs to, by its config."""
    import json

    path = ROOT / "tests" / "golden" / "families" / case / "config.json"
    return FAMILIES.get(json.loads(path.read_text())["model_type"]) if path.is_file() else None


def cell(outcomes: list[str]) -> str:
    counted = [each for each in outcomes if each != "none"]
    if not counted:
        return "–"
    passed = counted.count("passed")
    return f"{passed}" if passed == len(counted) else f"**{passed} of {len(counted)}**"


def main() -> None:
    rows: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    goldens: dict[str, int] = defaultdict(int)
    for case, checks in results(Path(sys.argv[1])).items():
        row = family_of(case)
        if row is None:
            continue
        goldens[row.name] += 1
        for check, outcomes in checks.items():
            rows[row.name][check] += outcomes
    titles = list(CHECKS.values())
    lines = [HEAD, "| family | goldens | " + " | ".join(titles) + " | lines |"]
    lines.append("|---|" + "---:|" * (len(titles) + 2))
    for name in sorted(rows):
        cells = [cell(rows[name][title]) for title in titles]
        file = Path(FOLDERS[0]) / f"{FAMILIES[name].file}.py"
        count = len(file.read_text(encoding="utf-8").splitlines())
        lines.append(f"| {name} | {goldens[name]} | " + " | ".join(cells) + f" | {count} |")
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(rows)} families, {sum(goldens.values())} goldens")


if __name__ == "__main__":
    main()
