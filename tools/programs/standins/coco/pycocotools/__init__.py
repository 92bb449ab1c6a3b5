"""Stands in for pycocotools: captions of pictures only."""
