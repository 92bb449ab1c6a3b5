"""What a model asks of operators and they have not: collected, and told in one error."""

from __future__ import annotations

from typing import Any, Final

from tallow.errors import ModelError
from tallow.formats.mapping import shown
from tallow.onnx.operators.table import REQUIRED, Row

_MOST_SHOWN: Final = 40  # kinds of faults


class Faults:
    """Faults by kind, with how often they are there and the first node that has each."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._unknown: dict[str, list[Any]] = {}
        self._misused: dict[str, list[Any]] = {}

    def unknown(self, domain: str, op_type: str, opset: int, node: str) -> None:
        """An operator without a row."""
        kind = f"{_plain(domain or 'ai.onnx')}.{_plain(op_type)} of opset {opset}"
        self._unknown.setdefault(kind, [0, node])[0] += 1

    def misused(self, what: str, node: str) -> None:
        """Attributes or inputs that an operator does not take."""
        self._misused.setdefault(what, [0, node])[0] += 1

    def check(self, row: Row, attributes: dict[str, Any], inputs: int, node: str) -> None:
        """Collect what a node gives and its row does not take, and what it needs and gets not."""
        for name in attributes:
            if name not in row.attributes:
                self.misused(f"the attribute {shown(name)} of {row.op_type}", node)
        for name, default in row.attributes.items():
            if default is REQUIRED and name not in attributes:
                self.misused(f"{row.op_type} without its attribute {name!r}", node)
        most = len(row.inputs)
        if inputs < row.needed or (inputs > most and not row.variadic):
            takes = f"{row.needed} to {most}" if row.needed != most else f"{most}"
            if row.variadic:
                takes = f"{row.needed} or more"
            self.misused(f"{row.op_type} with {inputs} inputs (it takes {takes})", node)

    def refuse(self) -> None:
        """Raise one ModelError of all faults, if there are any."""
        parts = []
        if self._unknown:
            parts.append(
                f"expected operators that Tallow has, got {_listed(self._unknown)}"
                " (tallow.onnx.operator registers one)"
            )
        if self._misused:
            wanted = "expected inputs and attributes that operators have"
            parts.append(f"{wanted}, got {_listed(self._misused)}")
        if parts:
            raise ModelError(f"{self._path}: " + "; ".join(parts))


def _listed(found: dict[str, list[Any]]) -> str:
    texts = [
        f"{kind} ({count} ×, first {shown(node) if node else 'without a name'})"
        for kind, (count, node) in sorted(found.items())[:_MOST_SHOWN]
    ]
    if len(found) > _MOST_SHOWN:
        texts.append(f"{len(found) - _MOST_SHOWN} other kinds")
    return ", ".join(texts)


def _plain(text: str) -> str:
    """Text of a file without quotes, short and in one line."""
    return shown(text)[1:-1] if len(text) <= 60 else shown(text)
