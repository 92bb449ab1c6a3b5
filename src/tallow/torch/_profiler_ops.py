"""torch.ops.profiler: blocks of the profiler, entered and left by calls."""

from __future__ import annotations

from typing import Any

from tallow.torch.profiler._profile import record_function


def _record_function_enter(name: str, args: str | None = None) -> record_function:
    return record_function(name, args).__enter__()


_record_function_enter_new = _record_function_enter


def _record_function_exit(handle: Any) -> None:
    handle.__exit__(None, None, None)
