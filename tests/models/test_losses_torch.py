"""Losses of heads against those that transformers computes with torch."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case
from tallow.models import losses


@pytest.mark.needs_torch
@pytest.mark.parametrize("count", [1, 4])
def test_losses_of_pixels_are_those_of_transformers(count):
    import torch
    import torch.nn.functional as F

    source = np.random.default_rng(count)
    logits = source.standard_normal((2, count, 5, 7)).astype(np.float32)
    labels = source.integers(0, max(count, 2), (2, 9, 13))
    labels[:, 0] = 255
    full = F.interpolate(torch.tensor(logits), (9, 13), mode="bilinear", align_corners=False)
    known = torch.tensor(labels)
    if count > 1:
        want = F.cross_entropy(full, known, ignore_index=255)
    else:
        kept = ((known >= 0) & (known != 255)).float()
        each = F.binary_cross_entropy_with_logits(full[:, 0], known.float(), reduction="none")
        want = (each * kept).mean()
    found = losses.pixels(tl.tensor(logits), tl.tensor(labels), 255)
    assert found.item() == pytest.approx(want.item(), rel=1e-5)


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", ["beit_segmentation", "upernet"])
def test_losses_of_two_heads_are_those_of_transformers(name):
    import torch
    import transformers as T

    case = Case(name)
    kind = getattr(T, case.notes["model"])
    theirs = kind.from_pretrained(case.folder, dtype=torch.float32).eval()
    pixels = case.inputs["pixel_values"]
    labels = np.random.default_rng(2).integers(0, 3, (2, *pixels.shape[2:]))
    labels[:, :5] = 255
    want = theirs(torch.tensor(pixels.numpy()), labels=torch.tensor(labels)).loss
    found = case.load()(pixels, labels=tl.tensor(labels)).loss
    assert found.item() == pytest.approx(want.item(), rel=1e-4)
