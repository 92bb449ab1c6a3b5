"""The ops of Tallow that PyTorch has under the same name at its root."""

from __future__ import annotations

from typing import Any

from tallow import ops

# Ops that PyTorch has only elsewhere, such as in nn.functional.
_ELSEWHERE = frozenset({
    "attention", "cast", "dequantize", "gelu_tanh", "linear", "quantize", "rope", "rope_table",
})  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE or name not in ops.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(ops, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*ops.__all__} - _ELSEWHERE)
