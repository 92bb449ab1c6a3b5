"""Stands in for spacy, which the program imports and the run does not call."""
