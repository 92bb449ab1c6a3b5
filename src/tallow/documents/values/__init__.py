"""Values: what texts of cells mean, decided column by column."""
