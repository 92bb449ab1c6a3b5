"""Processes that a program begins afresh: their random draws are replayed, too."""

from __future__ import annotations

from multiprocessing import spawn
from pathlib import Path
from typing import Any


class _Before:
    """Prepares the process where it is unpickled, before the program's own module is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        code = "import sys; sys.path.append({!r}); import processes; processes.begin()"
        return (exec, (code.format(str(Path(__file__).resolve().parent)),))


def attach() -> None:
    """Let multiprocessing tell processes of `spawn` and `forkserver`; those of `fork` know."""
    prepared = spawn.get_preparation_data
    spawn.get_preparation_data = lambda name: {**prepared(name), "programs": _Before()}


def begin() -> None:
    """What child.py does for the program's first process."""
    import draws
    import kernels
    import torch

    if not torch.nn.__name__.startswith("tallow"):
        kernels.define_nms(torch)
    draws.attach(torch, draws.Draws())
    torch.set_num_threads(1)
