"""Stands in for torchtext, which PyTorch's makers ended: made-up sentence pairs, words, numbers."""
