"""Values: what texts of cells mean, decided column by column."""

from tallow.documents.values.cells import type_cells
