"""`tallow diff`: how the weights in two files differ, tensor by tensor."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

from tallow.cli import options
from tallow.cli.options import NameStyle
from tallow.cli.parameters import Argument, Option

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tallow.conversion import Difference, Entry

DIFFERENT_CODE = 1


def diff(
    a: Annotated[str, Argument("A", "Alias, path or reference.")],
    b: Annotated[str, Argument("B", "What to compare it with.")],
    tolerance: Annotated[
        float | None, Option("Largest absolute difference that is none; dtypes may differ.", min=0)
    ] = None,
    names: options.Names = NameStyle.KEEP,
    all: Annotated[bool, Option("Also the tensors that are equal.")] = False,
    max_expansion: options.MaxExpansion = 16.0,
    json: options.Json = False,
) -> None:
    """Compare two sets of weights, in any formats.

    The exit code is 0 when they are equal (with --tolerance: close enough), 1 when they differ.
    Block-quantised tensors are compared by the numbers they stand for. --names hf or gguf brings
    both to the same names first: a GGUF file and the folder that it was made from can be compared.
    """
    from tallow.conversion import compare
    from tallow.conversion.gaps import CLOSE, EQUAL

    sides = [_entries(side, names, max_expansion) for side in (a, b)]
    rows = compare(*sides, tolerance=tolerance)
    found = _shown(rows, everything=all) if not json else _as_json(a, b, rows)
    if found - {EQUAL, CLOSE}:
        sys.exit(DIFFERENT_CODE)


def _entries(reference: str, names: NameStyle, max_expansion: float) -> dict[str, Entry]:
    from tallow.conversion.names import named_entries

    return named_entries(options.open_source(reference), names.value, max_expansion)


def _as_json(a: str, b: str, rows: Iterable[Difference]) -> set[str]:
    from tallow.cli.output import print_json
    from tallow.conversion.gaps import CLOSE, EQUAL

    listed = [_described(row) for row in rows]
    verdicts = {row["verdict"] for row in listed}
    same = not verdicts - {EQUAL, CLOSE}
    print_json({"a": a, "b": b, "equal": same, "tensors": listed})
    return verdicts


def _described(row: Difference) -> dict[str, Any]:
    sides = {
        side: None if entry is None else {"dtype": entry.dtype, "shape": entry.shape}
        for side, entry in (("a", row.a), ("b", row.b))
    }
    gap = None
    if row.gap is not None:
        gap = {
            "max_abs": row.gap.largest,
            "rmse": row.gap.rmse,
            "relative": row.gap.relative,
            "cosine": row.gap.cosine,
        }
    return {"name": row.name, "verdict": row.verdict, **sides, "difference": gap}


def _shown(rows: Iterable[Difference], *, everything: bool) -> set[str]:
    from tallow.cli.output import print_table, shortened, table
    from tallow.conversion.gaps import EQUAL, VERDICTS

    numbers = ("max abs", "rmse", "relative", "cosine")
    made = table("tensor", "verdict", "A", "B", *numbers, right=numbers)
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.verdict] = counts.get(row.verdict, 0) + 1
        if row.verdict == EQUAL and not everything:
            continue
        gap = row.gap
        figures = ["-"] * 4
        if gap is not None:
            figures = [f"{gap.largest:.4g}", f"{gap.rmse:.4g}", f"{gap.relative:.4g}"]
            figures.append(f"{gap.cosine:.6f}")
        made.add_row(shortened(row.name, 200), row.verdict, _side(row.a), _side(row.b), *figures)
    if made.row_count:
        print_table(made)
        print()
    print(
        ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)
        or "no tensors"
    )
    return set(counts)


def _side(entry: Entry | None) -> str:
    if entry is None:
        return "-"
    return f"{entry.dtype} {' × '.join(map(str, entry.shape)) or 'scalar'}"
