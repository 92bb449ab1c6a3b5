"""Where the tables of a page are: by layout models, Table Transformer, rulings and alignment."""
