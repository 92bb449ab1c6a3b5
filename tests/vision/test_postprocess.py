"""vision.postprocess against transformers on the same outputs (tests/golden), and laws."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ArgumentError, ShapeError
from tallow.vision import ImageProcessor, postprocess
from vision.cases import TARGET_SIZES

GOLDEN = Path(__file__).parents[1] / "golden" / "vision" / "postprocess.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        yield {name: arrays[name] for name in arrays.files}


@pytest.fixture(scope="module")
def given(golden):
    names = ("logits", "pred_boxes", "pred_masks")
    return SimpleNamespace(**{name: tl.from_numpy(golden[f"given/{name}"]) for name in names})


def close(ours, theirs):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["Detr", "ConditionalDetr", "RTDetr"])
def test_object_detection(name, golden, given):
    processor = ImageProcessor.from_config({"image_processor_type": f"{name}ImageProcessor"})
    found = processor.post_process_object_detection(given, 0.3, TARGET_SIZES)
    for index, result in enumerate(found):
        assert {*result} == {"scores", "labels", "boxes"}
        assert len(result["scores"])
        for key in result:
            close(result[key], golden[f"{name}/{index}/{key}"])


def test_panoptic_segmentation(golden, given):
    found = postprocess.panoptic_segmentation(
        given.logits,
        given.pred_masks,
        threshold=0.3,
        overlap_mask_area_threshold=0.3,
        label_ids_to_fuse=[0, 1],
        target_sizes=TARGET_SIZES,
    )
    for index, result in enumerate(found):
        close(result["segmentation"], golden[f"panoptic/{index}/segmentation"])
        rows = [tuple(row.values()) for row in result["segments_info"]]
        np.testing.assert_allclose(rows, golden[f"panoptic/{index}/segments_info"], atol=2e-6)
        assert len(rows)


def test_semantic_segmentation(golden, given):
    found = postprocess.detr_semantic_segmentation(
        given.logits, given.pred_masks, target_sizes=TARGET_SIZES
    )
    for index, result in enumerate(found):
        assert (result.numpy() == golden[f"semantic/{index}/map"]).mean() > 0.99


def test_sam_masks(golden, given):
    resized = [(32, 21), (27, 32)]
    masks = given.pred_masks[:, None]
    options = {"pad_size": (32, 32)}
    raw = postprocess.sam_masks(masks, TARGET_SIZES, resized, binarize=False, **options)
    cut = postprocess.sam_masks(masks, TARGET_SIZES, resized, **options)
    for index, (each, mask) in enumerate(zip(raw, cut, strict=True)):
        close(each, golden[f"sam/{index}/masks"])
        np.testing.assert_array_equal(mask.numpy(), each.numpy() > 0)


def test_no_object_is_an_empty_result(given):
    found = postprocess.object_detection(given.logits, given.pred_boxes, threshold=1.0)
    assert [tuple(result["boxes"].shape) for result in found] == [(0, 4), (0, 4)]
    segments = postprocess.instance_segmentation(given.logits, given.pred_masks, threshold=1.0)
    assert [result["segments_info"] for result in segments] == [[], []]
    assert bool((segments[0]["segmentation"] == -1).all())


def test_own_size_keeps_what_the_model_says(given):
    maps = given.pred_masks[:, :3]
    for each, logits in zip(postprocess.semantic_segmentation(maps), maps, strict=True):
        np.testing.assert_array_equal(each.numpy(), logits.numpy().argmax(0))
    depth = postprocess.depth_estimation(maps[:, 0], target_sizes=[(14, 16), (7, 8)])
    np.testing.assert_allclose(depth[0].numpy(), maps[0, 0].numpy(), atol=1e-6)
    assert depth[1].shape == (7, 8)
    assert len(postprocess.depth_estimation(maps[:, 0])) == 2


def test_zero_shot_scores(given):
    logits = given.logits[0]
    odds = np.exp(logits.numpy().astype(np.float64))
    expected = odds / odds.sum(-1, keepdims=True)
    np.testing.assert_allclose(postprocess.zero_shot_scores(logits).numpy(), expected, atol=1e-6)
    sigmoid = postprocess.zero_shot_scores(logits, sigmoid=True).numpy()
    np.testing.assert_allclose(sigmoid, odds / (1 + odds), atol=1e-6)


def test_refused(given):
    with pytest.raises(ShapeError, match="object_detection: expected 2 pairs of height and width"):
        postprocess.object_detection(given.logits, given.pred_boxes, target_sizes=[(3, 4)])
    with pytest.raises(ShapeError, match="expected 2 pairs of height and width"):
        postprocess.semantic_segmentation(given.pred_masks, target_sizes=[(3, 0), (1, 1)])
    with pytest.raises(ShapeError, match="object_detection: expected logits"):
        postprocess.object_detection(given.logits, given.pred_boxes[:, :3])
    with pytest.raises(ArgumentError, match="scores to be softmax or sigmoid"):
        postprocess.object_detection(given.logits, given.pred_boxes, scores="max")
    with pytest.raises(ShapeError, match="segmentation: expected logits"):
        postprocess.instance_segmentation(given.logits[0], given.pred_masks)
    vit = ImageProcessor.from_config({"image_processor_type": "ViTImageProcessor"})
    with pytest.raises(ArgumentError, match="ViTImageProcessor: expected a detector"):
        vit.post_process_object_detection(given)


def test_classes_some_at_a_time(monkeypatch):
    """What is kept small for photographs changes no class."""
    logits = tl.randn(2, 7, 5, 6)
    logits[0, 3] = logits[0, 2]  # of like ones the first
    sizes = [(11, 13), (4, 9)]
    want = postprocess.semantic_segmentation(logits, target_sizes=sizes)
    monkeypatch.setattr(postprocess, "_AT_ONCE", 2 * 11 * 13)
    found = postprocess.semantic_segmentation(logits, target_sizes=sizes)
    assert [each.tolist() for each in found] == [each.tolist() for each in want]
    monkeypatch.setattr(postprocess, "_AT_ONCE", 1)
    plain = postprocess.semantic_segmentation(logits)
    assert [each.tolist() for each in plain] == logits.argmax(1).tolist()
