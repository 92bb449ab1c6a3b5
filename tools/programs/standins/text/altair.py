"""Stands in for altair, which the program imports and the run does not call."""
