"""ImageProcessor against transformers' processors on Pillow: sizes, resampling, flags, inputs."""

import json
from random import Random

import numpy as np
import pytest
from PIL import Image

import tallow as tl
from tallow.errors import TallowError
from tallow.vision import ImageProcessor
from tallow.vision.processor_types import KINDS
from vision.cases import CASES, SHAPES, picture

pytestmark = pytest.mark.needs_torch
TYPE = "image_processor_type"


def reference(config):
    from vision.reference import reference

    return reference(config)


CROPS = "num_crops"  # of Gemma 3's, whose crops are refused


def agree(theirs, ours, images):
    """Both give the same arrays, or both refuse."""
    try:
        expected = theirs(images, return_tensors="np")
    except (ValueError, TypeError, ZeroDivisionError):
        with pytest.raises(TallowError):
            ours(images)
        return
    found = ours(images)
    for name, array in expected.items():
        if name == CROPS:
            assert not np.any(array)
            continue
        if name in ("original_sizes", "reshaped_input_sizes"):
            assert getattr(found, name) == [tuple(size) for size in array]
            continue
        assert found[name].shape == np.shape(array)
        np.testing.assert_allclose(found[name].numpy(), array, rtol=0, atol=1e-6)


@pytest.mark.parametrize("resample", [None, 0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("case", CASES)
def test_every_case_shape_and_filter(case, resample):
    config = CASES[case] if resample is None else {**CASES[case], "resample": resample}
    theirs, ours = reference(config), ImageProcessor.from_config(config)
    for shape in SHAPES:
        agree(theirs, ours, Image.fromarray(picture(*shape)))


@pytest.mark.parametrize(
    "kind", sorted(KINDS.keys() - {"TimmWrapperImageProcessor", "DINOv3ViTImageProcessor"})
)
def test_defaults(kind):
    config = {"image_processor_type": kind}
    if kind.startswith("LayoutLM"):
        config["apply_ocr"] = False
    theirs, ours = reference(config), ImageProcessor.from_config(config)
    agree(theirs, ours, Image.fromarray(picture(210, 333)))
    # What transformers writes of it is read back to the same settings.
    written = json.loads(json.dumps(theirs.to_dict(), default=str))
    assert ImageProcessor.from_config(written).settings == ours.settings


@pytest.mark.parametrize(
    "case",
    [
        *("ViT-1", "CLIP-0", "Detr-0", "Yolos-0", "Siglip2-0", "Sam-0"),
        *("Pixtral-0", "Qwen2VL-0", "Idefics3-0", "SmolVLM-0"),
    ],
)
def test_batches(case):
    shapes = [shape for shape in SHAPES if min(shape) > 8]
    images = [Image.fromarray(picture(*shape)) for shape in shapes]
    agree(reference(CASES[case]), ImageProcessor.from_config(CASES[case]), images)


@pytest.mark.parametrize("case", ["ViT-1", "ViT-3", "CLIP-0", "ConvNext-0", "Detr-0", "DPT-2"])
@pytest.mark.parametrize(
    "kind", ["u8", "whole", "unit", "f64", "channels first", "i64", "too large", "negative"]
)
def test_arrays(case, kind):
    array = picture(21, 34)
    given = {
        "u8": array,
        "whole": array.astype(np.float32),
        "unit": (array / 255).astype(np.float32),
        "f64": array / 255,
        "channels first": np.moveaxis(array, -1, 0),
        "i64": array.astype(np.int64),
        "too large": array.astype(np.float32) + 0.25,
        "negative": array / 255 - 0.5,
    }[kind]
    agree(reference(CASES[case]), ImageProcessor.from_config(CASES[case]), given)


@pytest.mark.parametrize("mode", ["RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "PA"])
def test_modes_of_pillow(mode):
    """Where the config converts to RGB, transformers lays what is transparent on white."""
    base = Image.fromarray(picture(20, 31)).convert("RGBA")
    base.putalpha(Image.fromarray(picture(20, 31)[..., 0]))
    image = (
        Image.fromarray(picture(20, 31).astype(np.uint16)[..., 0] * 9) if mode == "I;16" else None
    )
    image = image or base.convert(mode)
    assert image.mode == mode
    agree(reference(CASES["CLIP-0"]), ImageProcessor.from_config(CASES["CLIP-0"]), image)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("first", [False, True])
def test_channels_of_arrays(channels, first):
    rng = np.random.default_rng(1)
    array = rng.integers(0, 256, (20, 31, channels), dtype=np.uint8)
    array = np.moveaxis(array, -1, 0) if first else array
    agree(reference(CASES["CLIP-0"]), ImageProcessor.from_config(CASES["CLIP-0"]), array)


@pytest.mark.parametrize("seed", range(40))
def test_random_sizes(seed):
    rng = np.random.default_rng(seed)
    height, width = (int(edge) for edge in 2 ** rng.uniform(3, 8.5, 2))
    a, b = (int(edge) for edge in rng.integers(8, 90, 2))
    short = {"shortest_edge": a, "longest_edge": a + b}
    configs = [
        {"image_processor_type": "DetrImageProcessor", "size": short},
        {"image_processor_type": "YolosImageProcessor", "size": short},
        {"image_processor_type": "CLIPImageProcessor", "size": a, "crop_size": b},
        {"image_processor_type": "ConvNextImageProcessor", "size": a, "crop_pct": 0.9},
        {"image_processor_type": "DonutImageProcessor", "size": [a, b], "do_align_long_axis": True},
        {
            "image_processor_type": "DPTImageProcessor",
            "size": {"height": a, "width": b},
            "keep_aspect_ratio": True,
            "ensure_multiple_of": 14,
        },
        {"image_processor_type": "SamImageProcessor", "size": {"longest_edge": a}, "pad_size": a},
        {"image_processor_type": "Siglip2ImageProcessor", "patch_size": 8, "max_num_patches": b},
    ]
    for config in configs:
        image = Image.fromarray(picture(height, width))
        agree(reference(config), ImageProcessor.from_config(config), image)


def class_map(height, width):
    """Areas of classes, 0 and 255 among them."""
    y, x = np.mgrid[:height, :width]
    return (((x // 7 + y // 5) * 51) % 256).astype(np.uint8)


@pytest.mark.parametrize("case", [case for case in CASES if KINDS[CASES[case][TYPE]].maps])
@pytest.mark.parametrize("reduce", [False, True])
def test_segmentation_maps(case, reduce):
    config = {**CASES[case], "do_reduce_labels": reduce}
    if case.startswith("Sam"):
        config |= {"mask_size": {"longest_edge": 20}, "mask_pad_size": {"height": 22, "width": 24}}
    theirs, ours = reference(config), ImageProcessor.from_config(config)
    for shape in [(13, 13), (20, 31), (48, 17)]:
        image, classes = picture(*shape), class_map(*shape)
        expected = theirs(image, segmentation_maps=classes.copy(), return_tensors="np")["labels"]
        for given in (classes, [tl.asarray(classes.astype(np.int32))], Image.fromarray(classes)):
            found = ours(image, segmentation_maps=given).labels
            assert found.dtype == tl.i64
            np.testing.assert_array_equal(found.numpy(), expected)


def test_points_and_boxes_of_sam():
    from transformers.models.sam.image_processing_pil_sam import _normalize_coordinates

    shapes = [(90, 61), (33, 120)]
    sam = ImageProcessor.from_config({"image_processor_type": "SamImageProcessor"})
    batch = sam([picture(*shape) for shape in shapes])
    points = np.random.default_rng(2).uniform(0, 60, (2, 3, 5, 2))
    boxes = points.reshape(2, 3, 10)[..., :4]
    for given, is_box in ((points, False), (boxes, True)):
        found = batch.scaled(given).numpy()
        for one, other, shape in zip(found, given, shapes, strict=True):
            expected = _normalize_coordinates(1024, other, shape, is_bounding_box=is_box)
            np.testing.assert_allclose(one, expected.reshape(one.shape), rtol=1e-6)


def test_models_without_a_type_get_transformers_one():
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

    # To transformers: the files of two name a type, the third has files of its authors alone.
    unknown = {"dinov2_with_registers", "rt_detr_v2", "mobile_sam"}
    for kind, row in KINDS.items():
        for model_type in {*row.model_types} - unknown:
            theirs = IMAGE_PROCESSOR_MAPPING_NAMES[model_type]
            assert kind in {name.removesuffix("Pil") for name in theirs.values()}


FLAGS = [
    *("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_pad", "do_convert_rgb"),
    *("do_flip_channel_order", "do_thumbnail", "do_align_long_axis", "rescale_offset"),
    *("include_top", "keep_aspect_ratio", "do_reduce_labels", "default_to_square"),
    *("use_square_size", "pad_and_return_pixel_mask"),
]


def random_config(random):
    """A config of any type with some of its keys, nulls among them, set at random."""
    a, b, c, d = (random.randint(1, 70) for _ in range(4))
    high, low = {"height": a, "width": b}, {"shortest_edge": a, "longest_edge": a + b}
    values = {
        "size": [a, [a, b], high, {"shortest_edge": a}, low, {"max_height": a, "max_width": b}],
        "crop_size": [c, [c, d], {"height": c, "width": d}],
        "pad_size": [c, {"height": 40 + c, "width": 40 + d}],
        "resample": [0, 1, 2, 3, 4, 5],
        "rescale_factor": [1 / 127.5, 1.0, 0.01],
        "image_mean": [0.3, [0.1, 0.2, 0.3]],
        "image_std": [0.3, [0.1, 0.2, 0.3]],
        "max_size": [c],
        "crop_pct": [0.5, 0.9, 1.0],
        "ensure_multiple_of": [1, 7, 14],
        "size_divisor": [1, 7, 32],
        "patch_size": [4, 16],
        "max_num_patches": [d],
    }
    kinds = sorted(KINDS.keys() - {"TimmWrapperImageProcessor", "DINOv3ViTImageProcessor"})
    config = {"image_processor_type": random.choice(kinds), "apply_ocr": False}
    config |= {flag: random.choice([True, False, None]) for flag in FLAGS if random.random() < 0.2}
    config |= {name: random.choice(some) for name, some in values.items() if random.random() < 0.3}
    if "Layout" not in config["image_processor_type"]:
        del config["apply_ocr"]
    return config


@pytest.mark.parametrize("seed", range(8))
def test_random_configs(seed):
    """What transformers makes, Tallow makes; what Tallow refuses, so does transformers."""
    random = Random(seed)
    compared = 0
    for _ in range(60):
        config = random_config(random)
        shapes = [(random.randint(5, 70), random.randint(5, 70)) for _ in range(2)]
        images = [Image.fromarray(picture(*shape)) for shape in shapes[: random.randint(1, 2)]]
        try:
            expected = reference(config)(images, return_tensors="np")
        except (ValueError, TypeError, ZeroDivisionError, AttributeError):
            continue
        found = ImageProcessor.from_config(config)(images)
        for name in {*expected} - {"original_sizes", "reshaped_input_sizes", CROPS}:
            assert found[name].shape == np.shape(expected[name]), config
            np.testing.assert_allclose(
                found[name].numpy(), expected[name], rtol=0, atol=1e-6, err_msg=json.dumps(config)
            )
        compared += 1
    assert compared > 20
