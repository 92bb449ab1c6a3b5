"""Values: what texts of cells mean, decided column by column."""

from tallow.documents.values.cells import type_cells

__all__ = ["type_cells"]
