"""Losses of detectors: the assignment, labels that are refused, and the noise of training."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case
from tallow.errors import ArgumentError, ShapeError
from tallow.models.detection_losses import assignment


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (3, 3), (2, 5), (5, 2), (4, 6)], ids=str)
def test_assignment_is_the_cheapest(shape):
    rng = np.random.default_rng(sum(shape))
    for _ in range(20):
        costs = rng.integers(-9, 9, shape) + rng.random(shape)
        found = assignment(costs.tolist())
        rows, columns = min(shape), max(shape)
        table = costs if shape[0] <= shape[1] else costs.T
        best = min(
            (sum(table[i, j] for i, j in enumerate(order)), order)
            for order in itertools.permutations(range(columns), rows)
        )
        assert len(found) == rows
        assert found == sorted(found)
        assert len({j for _, j in found}) == len({i for i, _ in found}) == rows
        assert sum(costs[i, j] for i, j in found) == pytest.approx(best[0])


def test_assignment_of_what_is_no_cost():
    assert assignment([]) == []
    assert assignment([[1e300, 1.0], [1e300, 2.0]]) in ([(0, 0), (1, 1)], [(0, 1), (1, 0)])
    assert assignment([[0.0] * 3] * 2) == [(0, 0), (1, 1)]


@pytest.mark.parametrize("name", ["detr_learned", "conditional_detr", "yolos", "rt_detr"])
def test_a_step_on_the_loss_lowers_it(name):
    case = Case(name)
    model = case.load(dtype=tl.f32).requires_grad_()
    labels = [
        {"class_labels": tl.tensor([1]), "boxes": tl.tensor([[0.3, 0.4, 0.2, 0.5]])},
        {"class_labels": tl.tensor([], dtype=tl.i64), "boxes": tl.zeros(0, 4)},
    ]
    optimiser = tl.optim.SGD(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        found = model(**case.inputs, labels=labels)
        losses.append(found.loss.item())
        optimiser.zero_grad()
        found.loss.backward()
        tl.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    assert losses[2] < losses[0]


BOX = tl.tensor([[0.5, 0.5, 0.1, 0.1]])


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ({"class_labels": tl.tensor([3]), "boxes": BOX}, "classes below 3"),
        ({"class_labels": tl.tensor([-1]), "boxes": BOX}, "classes below 3"),
        ({"class_labels": tl.tensor([0, 1]), "boxes": BOX}, r"boxes \(n, 4\)"),
        ({"class_labels": tl.tensor([0]), "boxes": -BOX}, "centre and size"),
        ({"class_labels": tl.tensor([0])}, "dicts of tensors class_labels and boxes"),
        ({"class_labels": [0], "boxes": BOX}, "dicts of tensors class_labels and boxes"),
        (BOX, "dicts of tensors class_labels and boxes"),
    ],
)
@pytest.mark.parametrize("name", ["yolos", "rt_detr"])
def test_labels_that_are_refused(name, label, told):
    model = Case(name).load()
    for training in (False, True):
        model.train(training)
        with pytest.raises((ArgumentError, ShapeError), match=told):
            model(tl.zeros(1, 3, 64, 96), labels=[label])
        for none in ([], BOX, {"boxes": BOX}):
            with pytest.raises(ArgumentError, match="1 dicts, one a picture"):
                model(tl.zeros(1, 3, 64, 96), labels=none)


@pytest.mark.parametrize("masks", [None, tl.zeros(2, 4, 4), tl.zeros(4, 4), tl.zeros(1, 0, 4)])
def test_labels_of_masks_that_are_refused(masks):
    label = {"class_labels": tl.tensor([0]), "boxes": BOX, "masks": masks}
    with pytest.raises((ArgumentError, ShapeError), match="masks"):
        Case("detr_segmentation").load()(tl.zeros(1, 3, 64, 96), labels=[label])


def test_noise_is_drawn_by_the_generator():
    model = Case("rt_detr").load().train()
    labels = [{"class_labels": tl.tensor([1, 2]), "boxes": tl.cat([BOX, BOX])}]
    found = []
    for seed in (1, 1, 2):
        tl.manual_seed(seed)
        found.append(model(tl.ones(1, 3, 64, 96), labels=labels))
    first, again, other = (each.init_reference_points.numpy() for each in found)
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:, :200], other[:, :200])
    assert first.shape == (1, 206, 4)
    near = 1 / (1 + np.exp(-first[0, :2]))  # of labels, by half of their sizes at most
    assert np.abs(near - BOX.numpy()).max() <= 0.1
    model.eval()
    assert model(tl.ones(1, 3, 64, 96), labels=labels).logits.shape == (1, 6, 3)
