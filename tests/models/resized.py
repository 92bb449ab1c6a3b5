"""Goldens whose vocabulary is made larger, so that a tokenizer may stand beside them."""

from __future__ import annotations

import json

import tallow as tl
from models.golden_families import ROOT
from tallow.safetensors import save_file


def resized(name, folder, size, tables, **changes):
    """A golden's folder with `size` words: the rows of `tables` come again and again."""
    folder.mkdir()
    config = json.loads((ROOT / name / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": size} | changes))
    tensors = dict(tl.load(ROOT / name / "model.safetensors"))
    for table in tables:
        rows = tensors[table].to(tl.f32)
        many = -(-size // rows.shape[0])
        tensors[table] = tl.cat([rows] * many)[:size].contiguous()
    save_file(tensors, folder / "model.safetensors")
    return folder
