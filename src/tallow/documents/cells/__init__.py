"""Cells: words assigned to a structure, doubtful ones read again, headers marked."""
