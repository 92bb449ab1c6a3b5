"""Tokenizers and datasets as lists: torchtext.data."""
