"""Stands in for GPUtil, which the program imports and the run does not call."""
