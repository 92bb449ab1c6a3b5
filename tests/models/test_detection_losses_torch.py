"""Losses of detectors and their gradients are those of transformers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case

pytestmark = pytest.mark.needs_torch


def labelled(*counts, masks=False):
    """Labels of pictures for both sides."""
    import torch

    rng = np.random.default_rng(1)
    ours, theirs = [], []
    for row, n in enumerate(counts):
        ids = rng.integers(0, 3, n)
        boxes = np.hstack([rng.random((n, 2)), 0.05 + rng.random((n, 2)) / 3]).astype(np.float32)
        label = {"class_labels": ids, "boxes": boxes}
        if masks:
            label["masks"] = rng.random((n, 40 + 3 * row, 50 - row)) < 0.3
        ours.append({key: tl.tensor(value) for key, value in label.items()})
        theirs.append({key: torch.tensor(value) for key, value in label.items()})
    return ours, theirs


def compare_losses(name, labels, paths, *, train=False, change=()):
    """The losses of a golden's model on both sides, and some gradients."""
    import torch
    import transformers as T

    case = Case(name)
    if "timm_backbone" in (case.folder / "config.json").read_text():
        pytest.importorskip("timm", reason="make golden installs it")
    kind = getattr(T, case.notes["model"])
    theirs = kind.from_pretrained(case.folder, dtype=torch.float32).requires_grad_(True)
    for key, value in theirs.named_buffers():
        if key.endswith("n_points_scale"):  # 1/3, which the golden's file has in bf16
            value.fill_(1 / len(value) * 3)
    theirs.train(train)
    ours = case.load(dtype=tl.f32).requires_grad_().train(train)
    for module in [*ours.modules(), *theirs.modules()]:
        if type(module).__name__ == "BatchNorm2d":
            module.eval()  # over few positions, its statistics make much of rounding
    for key, value in change:
        setattr(theirs.config, key, value)
        for module in ours.modules():
            if hasattr(getattr(module, "config", None), key):
                module.config = replace(module.config, **{key: value})
    found = ours(**case.inputs, labels=labels[0])
    wanted = theirs(
        **{key: torch.tensor(value.numpy()) for key, value in case.inputs.items()},
        labels=labels[1],
    )
    assert list(found.loss_dict) == list(wanted.loss_dict)
    for key, value in wanted.loss_dict.items():
        assert found.loss_dict[key].item() == pytest.approx(value.item(), rel=1e-4), key
    assert found.loss.item() == pytest.approx(wanted.loss.item(), rel=1e-4)
    assert len(found.auxiliary_outputs or ()) == len(wanted.auxiliary_outputs or ())
    for one, other in zip(
        found.auxiliary_outputs or (), wanted.auxiliary_outputs or (), strict=True
    ):
        for key, value in other.items():
            np.testing.assert_allclose(
                one[key].detach().numpy(), value.detach().numpy(), rtol=1e-3, atol=1e-3
            )
    found.loss.backward()
    wanted.loss.backward()
    for path in paths:
        other = paths[path] or path if isinstance(paths, dict) else path
        want = theirs.get_parameter(f"{other}.weight").grad.numpy()
        gradient = ours.get_parameter(f"{path}.weight").grad.numpy()
        np.testing.assert_allclose(gradient, want, rtol=0, atol=5e-4 * np.abs(want).max())
    return found, wanted


@pytest.mark.parametrize(
    "name",
    ["detr", "detr_learned", "table-transformer", "conditional_detr", "conditional_detr_auxiliary",
     "yolos"],
)  # fmt: skip
def test_losses(name):
    last = ".layers.0" if name == "yolos" else ""
    paths = f"class_labels_classifier{last}", "bbox_predictor.layers.0"
    compare_losses(name, labelled(4, 2), paths)


@pytest.mark.parametrize(
    ("counts", "more"),
    [
        ((4, 2), ()),
        ((3, 0), (("mask_loss_coefficient", 2), ("dice_loss_coefficient", 3))),
    ],
)
def test_losses_of_masks(counts, more):
    paths = {
        "detr.class_labels_classifier": None, "mask_head.out_lay": "mask_head.output_conv",
        "bbox_attention.q_linear": "bbox_attention.q_proj",
    }  # fmt: skip
    compare_losses("detr_segmentation", labelled(*counts, masks=True), paths, change=more)


RT_PATHS = (
    "model.decoder.class_embed.1", "model.decoder.bbox_embed.0.layers.0", "model.enc_score_head",
    "model.enc_bbox_head.layers.0", "model.decoder.layers.0.encoder_attn.value_proj",
)  # fmt: skip
OTHER = (
    ("auxiliary_loss", False), ("use_focal_loss", False), ("matcher_class_cost", 1.0),
    ("focal_loss_alpha", 0.6), ("focal_loss_gamma", 1.5), ("weight_loss_vfl", 2.0),
    ("weight_loss_bbox", 3.0), ("weight_loss_giou", 1.0),
)  # fmt: skip


@pytest.mark.parametrize("counts", [(4, 2), (3, 0), (0, 0)])
@pytest.mark.parametrize("name", ["rt_detr", "rt_detr_v2", "rt_detr_basic"])
def test_losses_of_rt_detr(name, counts):
    compare_losses(name, labelled(*counts), RT_PATHS)


def test_losses_of_rt_detr_by_other_weights():
    compare_losses("rt_detr", labelled(4, 2), RT_PATHS[:1], change=OTHER)


@pytest.mark.parametrize(
    ("counts", "more"),
    [
        ((4, 2), (("num_denoising", 20),)),
        ((3, 0), (("num_denoising", 2),)),
        ((0, 0), ()),
        ((2, 1), (("label_noise_ratio", 0.0), ("box_noise_scale", 0.4))),
        ((2, 1), (("box_noise_scale", 0.0),)),
        ((2, 1), (("auxiliary_loss", False),)),
        ((2, 1), (("num_denoising", 0),)),
    ],
)
@pytest.mark.parametrize("name", ["rt_detr", "rt_detr_v2"])
def test_training_of_rt_detr(name, counts, more, monkeypatch):
    import torch

    from tallow.models.blocks import denoising

    rng = np.random.default_rng(3)
    draws = {"rand": [], "randint": []}

    def rand(*shape):
        draws["rand"].append(rng.random(shape).astype(np.float32))
        return tl.tensor(draws["rand"][-1])

    def randint(low, high, shape):
        draws["randint"].append(rng.integers(low, high, tuple(shape)))
        return tl.tensor(draws["randint"][-1])

    def rand_like(x, **_):
        found = torch.tensor(draws["rand"].pop(0))
        assert found.shape == x.shape
        return found

    def randint_like(x, low, high, dtype=None):
        found = torch.tensor(draws["randint"].pop(0))
        assert found.shape == x.shape
        return found.to(dtype or x.dtype)

    monkeypatch.setattr(denoising, "rand", rand)
    monkeypatch.setattr(denoising, "randint", randint)
    monkeypatch.setattr(torch, "rand_like", rand_like)
    monkeypatch.setattr(torch, "randint_like", randint_like)
    paths = RT_PATHS[:1]
    noisy = any(counts) and ("num_denoising", 0) not in more
    if noisy and ("auxiliary_loss", False) not in more:
        paths = (*paths, "model.denoising_class_embed")
    found, want = compare_losses(name, labelled(*counts), paths, train=True, change=more)
    assert not draws["rand"]
    assert not draws["randint"]
    assert found.logits.shape == tuple(want.logits.shape)
    assert (found.denoising_meta_values is not None) == noisy
    if noisy:
        for key in ("dn_num_group", "dn_num_split"):
            assert found.denoising_meta_values[key] == want.denoising_meta_values[key]
