"""torch.utils.deterministic: whether memory that is not set is filled; remembered."""

from __future__ import annotations

fill_uninitialized_memory = True
