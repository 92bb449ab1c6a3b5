"""vision.postprocess against transformers' own functions on random outputs."""

from types import SimpleNamespace

import numpy as np
import pytest

import tallow as tl
from tallow.vision import postprocess
from vision.cases import random_outputs

pytestmark = pytest.mark.needs_torch

SIZES = [(31, 44), (120, 67), (1, 300)]


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def reference(name):
    from vision.reference import reference

    return reference({"image_processor_type": f"{name}ImageProcessor"})


def torch_outputs(**arrays):
    import torch

    return SimpleNamespace(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def same(ours, theirs, tolerance=1e-5):
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape
    assert str(ours.numpy().dtype) == str(theirs.dtype)
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("sizes", [None, SIZES], ids=["relative", "absolute"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Detr", {}),
        ("Yolos", {}),
        ("ConditionalDetr", {"scores": "sigmoid", "top_k": 100}),
        ("DeformableDetr", {"scores": "sigmoid", "top_k": 100}),
        ("RTDetr", {"scores": "sigmoid"}),
    ],
)
@pytest.mark.parametrize("threshold", [0.05, 0.5, 0.99999])
def test_object_detection(rng, name, options, threshold, sizes):
    logits = rng.normal(0, 2, (3, 40, 7)).astype(np.float32)
    boxes = rng.random((3, 40, 4), dtype=np.float32)
    outputs = torch_outputs(logits=logits, pred_boxes=boxes)
    theirs = reference(name).post_process_object_detection(
        outputs, threshold=threshold, target_sizes=sizes
    )
    given = tl.tensor(np.array(sizes)) if sizes and name == "Detr" else sizes
    ours = postprocess.object_detection(
        tl.from_numpy(logits),
        tl.from_numpy(boxes),
        threshold=threshold,
        target_sizes=given,
        **options,
    )
    assert len(ours) == len(theirs) == 3
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.keys() == other.keys()
        for key in other:
            same(mine[key], other[key])


@pytest.mark.parametrize("sizes", [None, SIZES], ids=["own", "target"])
@pytest.mark.parametrize("name", ["Segformer", "Beit", "MobileViT", "DPT"])
def test_semantic_segmentation(rng, name, sizes):
    logits = rng.normal(0, 2, (3, 5, 16, 12)).astype(np.float32)
    theirs = reference(name).post_process_semantic_segmentation(
        torch_outputs(logits=logits), target_sizes=sizes
    )
    ours = postprocess.semantic_segmentation(tl.from_numpy(logits), target_sizes=sizes)
    for mine, other in zip(ours, theirs, strict=True):
        other = np.asarray(other)
        assert mine.shape == other.shape and mine.dtype == tl.i64
        assert (mine.numpy() != other).mean() < 1e-3  # where two classes are equal but for rounding


@pytest.mark.parametrize("sizes", [None, [(31, 44), (60, 37)]], ids=["own", "target"])
@pytest.mark.parametrize("name", ["Detr", "ConditionalDetr"])
def test_segmentation_by_queries(rng, name, sizes):
    given = random_outputs(int(rng.integers(100)))
    logits, masks = given["logits"], given["pred_masks"]
    outputs = torch_outputs(logits=logits, pred_masks=masks)
    theirs = reference(name).post_process_semantic_segmentation(outputs, target_sizes=sizes)
    ours = postprocess.detr_semantic_segmentation(
        tl.from_numpy(logits),
        tl.from_numpy(masks),
        target_sizes=sizes,
        null_class=name == "Detr",
    )
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.numpy() != np.asarray(other)).mean() < 1e-3


@pytest.mark.parametrize("sizes", [None, [(31, 44), (60, 37)]], ids=["own", "target"])
@pytest.mark.parametrize("fuse", [(), {0, 1}, {0, 1, 2, 3}], ids=str)
@pytest.mark.parametrize("threshold", [0.3, 0.7, 1.0])
def test_instances_and_panoptic(rng, sizes, fuse, threshold):
    given = random_outputs(int(rng.integers(100)))
    logits, masks = given["logits"], given["pred_masks"]
    outputs = torch_outputs(logits=logits, pred_masks=masks)
    options = {
        "threshold": threshold,
        "mask_threshold": 0.4,
        "overlap_mask_area_threshold": 0.3,
        "target_sizes": sizes,
    }
    detr, given = reference("Detr"), (tl.from_numpy(logits), tl.from_numpy(masks))
    if fuse:
        theirs = detr.post_process_panoptic_segmentation(outputs, label_ids_to_fuse=fuse, **options)
        ours = postprocess.panoptic_segmentation(*given, label_ids_to_fuse=fuse, **options)
    else:
        theirs = detr.post_process_instance_segmentation(outputs, **options)
        ours = postprocess.instance_segmentation(*given, **options)
    for mine, other in zip(ours, theirs, strict=True):
        same(mine["segmentation"], other["segmentation"])
        assert [{**row, "score": 0} for row in mine["segments_info"]] == [
            {**row, "score": 0} for row in other["segments_info"]
        ]
        for row, twin in zip(mine["segments_info"], other["segments_info"], strict=True):
            assert row["score"] == pytest.approx(twin["score"], abs=2e-6)
    assert threshold == 1.0 or any(row["segments_info"] for row in ours)


@pytest.mark.parametrize("sizes", [None, SIZES], ids=["own", "target"])
def test_depth(rng, sizes):
    depth = rng.normal(3, 1, (3, 14, 19)).astype(np.float32)
    theirs = reference("DPT").post_process_depth_estimation(
        torch_outputs(predicted_depth=depth), target_sizes=sizes
    )
    ours = postprocess.depth_estimation(tl.from_numpy(depth), target_sizes=sizes)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(
            mine.numpy().reshape(other["predicted_depth"].shape),
            other["predicted_depth"],
            atol=1e-5,
        )


@pytest.mark.parametrize("binarize", [True, False])
def test_sam_masks(rng, binarize):
    import torch

    masks = rng.normal(0, 1, (2, 3, 2, 16, 16)).astype(np.float32)
    originals, reshaped = [(31, 44), (90, 37)], [(45, 64), (64, 26)]
    theirs = reference("Sam").post_process_masks(
        list(torch.from_numpy(masks)),
        originals,
        reshaped,
        mask_threshold=0.1,
        binarize=binarize,
        pad_size={"height": 64, "width": 64},
    )
    ours = postprocess.sam_masks(
        tl.from_numpy(masks),
        originals,
        reshaped,
        mask_threshold=0.1,
        binarize=binarize,
        pad_size=(64, 64),
    )
    for mine, other in zip(ours, theirs, strict=True):
        same(mine, other)
