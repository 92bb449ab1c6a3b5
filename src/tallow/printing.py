"""How a tensor is shown: aligned columns, the middle of long axes left out, in PyTorch's manner."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .errors import ArgumentError, expect
from .overrides import HIDDEN, PLAIN

if TYPE_CHECKING:
    from .tensor import Tensor


class Options:
    """How tensors are printed; `set_options` changes it."""

    edge_items = 3  # kept at either end of an axis that is cut
    threshold: float = 1000  # elements from which axes are cut
    width = 80
    precision = 4
    scientific: bool | None = None  # None: as the numbers ask for


_PROFILES: dict[str, tuple[int, float, int]] = {
    "default": (4, 1000, 3),
    "short": (2, 1000, 2),
    "full": (4, math.inf, 3),
}


def set_options(
    *,
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors are printed, as torch.set_printoptions does."""
    if profile is not None:
        known = profile.lower() in _PROFILES
        expect(known, "set_printoptions", f"a profile of {[*_PROFILES]}", profile, ArgumentError)
        Options.precision, Options.threshold, Options.edge_items = _PROFILES[profile.lower()]
        Options.width = 80
    Options.precision = Options.precision if precision is None else precision
    Options.threshold = Options.threshold if threshold is None else threshold
    Options.edge_items = Options.edge_items if edgeitems is None else edgeitems
    Options.width = Options.width if linewidth is None else linewidth
    Options.scientific = sci_mode


def format_tensor(x: Tensor) -> str:
    """The text of `repr(x)`."""
    dtype = x.dtype
    head = "tensor(" if type(x) in PLAIN or type(x) in HIDDEN else f"{type(x).__name__}("
    if dtype.is_quantized:
        return f"{head}shape={x.shape}, dtype={dtype!r}, {x.nbytes} bytes)"
    suffix = "" if dtype.name in ("f32", "i64", "bool") else f", dtype={dtype!r}"
    if x.is_meta:
        return f"{head}..., device='meta', size={tuple(x.shape)}{suffix}{_history(x)})"
    if x.numel() == 0:
        shape = f", size={x.shape}" if x.shape != (0,) else ""
        return f"{head}[]{shape}, dtype={dtype!r}{_history(x)})"
    shown = _cut(x) if x.numel() > Options.threshold else x
    values = _leaves(shown.tolist())
    texts = iter(_aligned(values, dtype.kind))
    body = _layout(shown.shape, x.shape, texts, len(head))
    text = f"{head}{body}{suffix}"
    history = _history(x)
    last = len(text) - text.rfind("\n") - 1
    if history and last + len(history) + 1 > Options.width:
        history = f",\n{' ' * len(head)}{history[2:]}"
    return f"{text}{history})"


def _history(x: Tensor) -> str:
    """What says that `x` is a leaf that requires a gradient, or what made it."""
    if not x.requires_grad:
        return ""
    if x.is_leaf:
        return ", requires_grad=True"
    made = str(getattr(x.grad_fn, "name", "") or type(x.grad_fn).__name__)
    words = made.rsplit(".", 1)[-1].split("_")
    return f", grad_fn=<{''.join(word[:1].upper() + word[1:] for word in words)}Backward0>"


def _cut(x: Tensor) -> Tensor:
    """The first and last items of every long axis."""
    for axis, n in enumerate(x.shape):
        if n > 2 * Options.edge_items:
            keep = [*range(Options.edge_items), *range(n - Options.edge_items, n)]
            x = x[(slice(None),) * axis + (keep,)]
    return x


def _leaves(values: Any) -> list[Any]:
    return (
        [leaf for row in values for leaf in _leaves(row)] if isinstance(values, list) else [values]
    )


def _aligned(values: list[Any], kind: str) -> list[str]:
    """The texts of all elements, right-aligned to one width."""
    texts = [str(v) for v in values] if kind in "buic" else _floats(values)
    # As in torch, inf and nan do not widen the column.
    finite = [t for t, v in zip(texts, values, strict=True) if kind != "f" or abs(v) < math.inf]
    width = max(map(len, finite), default=0)
    return [text.rjust(width) for text in texts]


def _floats(values: list[float]) -> list[str]:
    finite = [abs(v) for v in values if v == v and abs(v) != float("inf")]
    if all(v == int(v) for v in finite) and max(finite, default=0) < 1e8:
        return [f"{v:.0f}." if v == v and abs(v) != float("inf") else str(v) for v in values]
    nonzero = [v for v in finite if v]
    large, small = max(nonzero, default=1.0), min(nonzero, default=1.0)
    wide = large >= 1e8 or small < 1e-4 or large / small > 1e3
    chosen = wide if Options.scientific is None else Options.scientific
    form = f".{Options.precision}{'e' if chosen else 'f'}"
    return [format(v, form) if v == v and abs(v) != float("inf") else str(v) for v in values]


def _layout(shape: tuple[int, ...], full: tuple[int, ...], texts: Any, indent: int) -> str:
    if not shape:
        return str(next(texts))
    gap = shape[0] < full[0]
    rows = [_layout(shape[1:], full[1:], texts, indent + 1) for _ in range(shape[0])]
    if gap:
        rows.insert(Options.edge_items, "..." if len(shape) > 1 else " ...")
    if len(shape) > 1:
        return "[" + (",\n" + "\n" * (len(shape) - 2) + " " * (indent + 1)).join(rows) + "]"
    lines, line = [], ""
    for i, text in enumerate(rows):
        piece = text + (", " if i < len(rows) - 1 else "")
        if line and indent + 1 + len(line) + len(piece.rstrip()) > Options.width:
            lines.append(line.rstrip())
            line = ""
        line += piece
    return "[" + ("\n" + " " * (indent + 1)).join([*lines, line]) + "]"
