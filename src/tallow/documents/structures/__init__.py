"""Structures of tables: proposals by models and by rulings, and the choice among them."""
