"""Programs: plans saved with their weights, for runtimes without Python."""

from __future__ import annotations

from tallow.programs.loading import Program, load_program
from tallow.programs.saving import Entry, Size, Traced, save_program

__all__ = ["Entry", "Program", "Size", "Traced", "load_program", "save_program"]
