"""Write docs/reference/devices.md, which op runs where and by what: `op_devices.py [--check]`."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import tallow as tl
from tallow.dtype import DTYPES, INTEGERS
from tallow.registry import OPS, Op

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "devices.md"
GROUPS = {
    "bool": ("bool",),
    "integers": tuple(d.name for d in INTEGERS),
    "f16, bf16": ("f16", "bf16"),
    "f32": ("f32",),
    "f64": ("f64",),
    "complex64": ("complex64",),
    "blocks": tuple(d.name for d in DTYPES if d.is_quantized),
}
HEAD = """# Ops by device and dtype

Generated from the definitions by `tools/op_devices.py`. On the CPU an op runs by its *kernel*
(native), by a kernel in *Python* (LAPACK and FFT through numpy), by its *reference* in other ops,
or not at all (—); the star is for a group of dtypes of which some have the kernel. On `meta`, which
has no memory, shapes come from the op's *out*, or from its *parts*, the ops of its reference. A
*view* is one everywhere.

The last column is found by running each op's test cases (tests/device) on a device of which only
the kernels below are there, as on one whose back-end begins: by its *kernel*, by its *reference*,
or not at all, with the op that it lacks a kernel for.
"""
FEW = "few kernels"


def groups_of(op: Op[..., Any]) -> list[str]:
    """Per group of dtypes of the first tensor argument: what computes the op on the CPU."""
    if op.view_name is not None or op.is_view:
        return ["view"] * len(GROUPS)
    other = "reference" if op.has_reference else "—"
    if op.cpu is not None:
        return ["Python"] * len(GROUPS)
    if op.kernel_name is None and op.elementwise is None:
        return [other] * len(GROUPS)
    has = dtypes_of(op)
    found = []
    for names in GROUPS.values():
        count = sum(name in has for name in names)
        star = "*" if 0 < count < len(names) else ""
        found.append(f"kernel{star}" if count else other)
    return found


def dtypes_of(op: Op[..., Any]) -> set[str]:
    """Names of the dtypes for which the CPU has a kernel, as the op declares them."""
    said = DTYPES if op.kernel_dtypes is None else [DTYPES[code] for code in op.kernel_dtypes]
    if op.elementwise is not None:
        said = [d for d in said if d.block == 1 and takes(op, d)]
    return {d.name for d in said}


def takes(op: Op[..., Any], dtype: Any) -> bool:
    """Whether an elementwise op takes operands of the dtype."""
    x = tl.zeros(1, dtype=dtype, device="meta")
    positional = sum(not only for _, only, _ in op.parameters)
    try:
        op(*[x if kind else 1.0 for kind in op.parameter_kinds[:positional]])
    except tl.TallowError:
        return False
    return True


def on_meta(op: Op[..., Any]) -> str:
    """Where the shapes come from on the device without memory."""
    if op.view_name is not None or op.is_view:
        return "view"
    if op.outputs is not None or op.elementwise is not None:
        return "out"
    return "parts" if op.has_reference else "—"


def page() -> str:
    """The text of the page."""
    tl.ops.open_all()
    sys.path.insert(0, str(ROOT / "tests"))
    from device.few_kernels import KERNELS, way

    ops = {name: op for name, op in sorted(OPS.items()) if op.__module__.startswith("tallow.")}
    count = {
        "ops": len(ops),
        "with a check": sum(
            op.checker is not None or isinstance(op.outputs, str) for op in ops.values()
        ),
        "with out": sum(on_meta(op) in ("out", "view") for op in ops.values()),
        "with a kernel": sum(op.has_kernel for op in ops.values()),
        "with a reference": sum(op.has_reference for op in ops.values()),
        "with a gradient of their own": sum(op.gradient is not None for op in ops.values()),
    }
    ways = {name: way(name) for name in ops}
    few = Counter(each.partition(" ")[0] for each in ways.values())
    lines = [HEAD, ", ".join(f"{n} {what}" for what, n in count.items()) + ".\n"]
    lines.append(f"With {len(KERNELS)} kernels: {few['kernel']} ops run by their kernel, ")
    lines[-1] += f"{few['reference']} by their reference, {few['view']} are views, {few['—']} do "
    lines[-1] += f"not run. The kernels: {', '.join(KERNELS)}.\n"
    columns = (*GROUPS, "meta", FEW)
    lines.append(f"| op | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, op in ops.items():
        lines.append(f"| `{name}` | {' | '.join(groups_of(op))} | {on_meta(op)} | {ways[name]} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    wanted = page()
    if "--check" in sys.argv[1:]:
        if PAGE.read_text(encoding="utf-8") == wanted:
            return 0
        sys.stdout.write("docs/reference/devices.md is old: run tools/op_devices.py\n")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
