"""Configs of processors: odd ones that transformers reads, and what is refused by name."""

import json

import pytest

from tallow.errors import FormatError
from tallow.vision import ImageProcessor
from tallow.vision.processor_types import KINDS


def settings(name="ViT", **config):
    return ImageProcessor.from_config(
        {"image_processor_type": f"{name}ImageProcessor", **config}
    ).settings


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"image_processor_type": "ViTImageProcessorFast"}, "ViTImageProcessor"),
        ({"image_processor_type": "ViTImageProcessorPil"}, "ViTImageProcessor"),
        ({"feature_extractor_type": "DetrFeatureExtractor"}, "DetrImageProcessor"),
        ({"feature_extractor_type": "MobileViTFeatureExtractor"}, "MobileViTImageProcessor"),
        (
            {"image_processor_type": None, "feature_extractor_type": "CLIPFeatureExtractor"},
            "CLIPImageProcessor",
        ),
        ({"pretrained_cfg": {"input_size": [3, 32, 40]}}, "TimmWrapperImageProcessor"),
    ],
    ids=json.dumps,
)
def test_types(config, kind):
    assert ImageProcessor.from_config(config).settings.type == kind


def test_model_types_name_one_processor_each():
    names = [name for kind in KINDS.values() for name in kind.model_types]
    assert len(names) == len({*names})
    assert ImageProcessor.from_config({}, model_type="trocr").settings.type == "ViTImageProcessor"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"size": 20}, {"height": 20, "width": 20}),
        ({"size": [20, 30]}, {"height": 20, "width": 30}),
        ({"size": {"shortest_edge": 20}}, {"shortest_edge": 20}),
        ({"size": None, "do_resize": False}, {}),
        ({"name": "Detr", "size": None}, {"shortest_edge": 800, "longest_edge": 1333}),
        ({"size": 20, "default_to_square": None}, {"shortest_edge": 20}),
        ({"name": "Sam", "size": {"shortest_edge": 3, "longest_edge": 9}}, None),
        ({"size": 20, "default_to_square": False}, {"shortest_edge": 20}),
        ({"name": "CLIP", "size": 20}, {"shortest_edge": 20}),
        ({"name": "CLIP", "use_square_size": True}, {"height": 224, "width": 224}),
        ({"name": "Siglip", "size": 20}, {"shortest_edge": 20}),
        ({"name": "Donut", "size": [20, 30]}, {"height": 30, "width": 20}),
        ({"name": "Detr", "size": 20}, {"shortest_edge": 20, "longest_edge": 1333}),
        ({"name": "Detr", "size": 20, "max_size": 30}, {"shortest_edge": 20, "longest_edge": 30}),
        ({"name": "Detr", "max_size": 30}, {"shortest_edge": 800, "longest_edge": 1333}),
        (
            {"name": "Detr", "size": {"height": 5, "width": 6}, "max_size": 30},
            {"height": 5, "width": 6},
        ),
    ],
    ids=json.dumps,
)
def test_sizes(config, expected):
    assert settings(**config).size == (config["size"] if expected is None else expected)


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [
        ({"resample": "bicubic"}, "resample", 3),
        ({"resample": "PIL.Image.LANCZOS"}, "resample", 1),
        ({"resample": 0}, "resample", 0),
        ({"image_mean": 0.25}, "image_mean", (0.25, 0.25, 0.25)),
        ({"do_normalize": None}, "do_normalize", False),
        ({"do_normalize": False, "image_mean": None}, "image_mean", (0.5, 0.5, 0.5)),
        ({"name": "CLIP", "do_center_crop": None, "crop_size": None}, "do_center_crop", False),
        ({"name": "Detr", "do_pad": None, "pad_and_return_pixel_mask": True}, "do_pad", False),
        ({"rescale_factor": 1}, "rescale_factor", 1.0),
        ({"name": "Detr", "pad_and_return_pixel_mask": False}, "do_pad", False),
        (
            {"name": "Detr", "pad_and_return_pixel_mask": False, "do_pad": True},
            "do_pad",
            True,
        ),
        ({"do_reduce_labels": True, "processor_class": "X", "device": "cpu"}, "do_resize", True),
    ],
    ids=json.dumps,
)
def test_values(config, field, value):
    assert getattr(settings(**config), field) == value


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            {"image_processor_type": "VitImageProcessor"},
            "image_processor_type: expected one such as ViTImageProcessor.*got Vit",
        ),
        ({"image_processor_type": "MyOwn"}, "image_processor_type: expected one such as"),
        ({"image_processor_type": 3}, "image_processor_type: expected"),
        ({}, "image_processor_type: expected a type of processor, got nothing"),
        ({"size": {"height": 3, "shortest_edge": 4}}, "size: expected one of the sets of keys"),
        ({"size": {"height": 3}}, "size: expected one of the sets"),
        ({"size": {"longest_edge": 3}}, "size: expected height.width or shortest_edge"),
        ({"size": {"height": 3, "width": 0}}, "size.width: expected an integer from 1"),
        ({"size": {"height": 3, "width": 1e9}}, "size.width"),
        ({"size": 10**9}, "size.height: expected an integer from 1 to 65536"),
        ({"size": "big"}, "size: expected an integer"),
        ({"size": True}, "size: expected an integer"),
        ({"size": [1, 2, 3]}, "size: expected an integer"),
        ({"name": "RTDetr", "size": 20}, "size: expected height.width or"),
        ({"name": "Sam", "size": 20}, "size: expected longest_edge or"),
        ({"name": "ConvNext", "size": {"height": 3, "width": 3}}, "size: expected shortest_edge"),
        ({"size": None}, "size: expected a value where do_resize is true, got None"),
        ({"resample": None}, "resample: expected a value where do_resize is true"),
        ({"image_mean": None}, "image_mean: expected a value where do_normalize is true"),
        ({"rescale_factor": None}, "rescale_factor: expected a value where do_rescale"),
        ({"name": "DeiT", "crop_size": None}, "crop_size: expected a value where do_center"),
        ({"name": "Detr", "do_center_crop": True}, "crop_size: expected height and width"),
        ({"do_center_crop": True}, "crop_size: expected height and width"),
        ({"do_center_crop": True, "crop_size": {"shortest_edge": 3}}, "crop_size: expected"),
        ({"do_pad": True, "pad_size": {"shortest_edge": 3}}, "pad_size: expected"),
        ({"resample": 6}, "resample: expected 0 to 5"),
        ({"resample": "sharp"}, "resample: expected 0 to 5"),
        ({"resample": [3]}, "resample: expected 0 to 5"),
        ({"resample": True}, "resample: expected 0 to 5"),
        ({"image_mean": [0.5]}, "image_mean: expected 3 numbers"),
        ({"image_mean": [0.5, 0.5, "x"]}, "image_mean: expected a finite number"),
        ({"image_std": [0.5, 0.5, 0]}, "image_std: expected a finite number above 0"),
        ({"rescale_factor": float("nan")}, "rescale_factor: expected a finite number"),
        ({"rescale_factor": 10**400}, "rescale_factor: expected a finite number"),
        ({"image_mean": [0, -(10**400), 0]}, "image_mean: expected a finite number"),
        ({"rescale_factor": "1/255"}, "rescale_factor"),
        ({"do_resize": "yes"}, "do_resize: expected true or false"),
        ({"do_resize": 1}, "do_resize: expected true or false"),
        ({"name": "DINOv3ViT", "resample": 1}, "resample: expected bilinear or bicubic"),
        ({"name": "DINOv3ViT", "do_rescale": False}, "do_rescale: expected true"),
        (
            {"name": "Donut", "do_resize": False, "size": {"shortest_edge": 3}},
            "size: expected height.width",
        ),
        ({"name": "DPT", "ensure_multiple_of": 0}, "ensure_multiple_of: expected an integer"),
        ({"pretrained_cfg": 3}, "pretrained_cfg: expected an object"),
        ({"pretrained_cfg": {"input_size": [1, 9, 9]}}, "pretrained_cfg.input_size: expected 3,"),
        ({"pretrained_cfg": {"crop_mode": "odd"}}, "pretrained_cfg.crop_mode: expected center"),
        ({"pretrained_cfg": {"interpolation": "random"}}, "resample: expected"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_refused_by_name(config, text):
    config = dict(config)
    if "size" in config or config.keys() & {"name", "do_center_crop", "do_pad", "resample"}:
        config["image_processor_type"] = f"{config.pop('name', 'ViT')}ImageProcessor"
    elif config and not config.keys() & {"image_processor_type", "pretrained_cfg"}:
        config["image_processor_type"] = "ViTImageProcessor"
    with pytest.raises(FormatError, match=f"my file: {text}"):
        ImageProcessor.from_config(config, source="my file")


def test_unknown_keys_are_told():
    with pytest.warns(UserWarning, match="no image processor knows: do_magic, zoom"):
        settings(do_magic=True, zoom=2)


def test_a_file_with_other_content(tmp_path):
    file = tmp_path / "preprocessor_config.json"
    for text in ("[]", "{", '{"size": ' + "[" * 100_000):
        file.write_text(text)
        with pytest.raises(FormatError, match=r"preprocessor_config.json: content: expected"):
            ImageProcessor.from_folder(tmp_path)
