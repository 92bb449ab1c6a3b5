"""Tasks on OpenCLIP's own folders: how texts are filled up, and pictures prepared."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import tallow as tl
from models.golden_families import Case
from tallow.errors import FormatError
from tallow.safetensors import save_file
from tallow.vision import ImageProcessor

WORDS = ["!", "<pad>", "a", "photo", "of", "cat", "dog", "<start>", "<end>"]  # the end is largest
PREPROCESS = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bilinear"}


def write(folder, name="open_clip", side=48, **preprocess):
    """A folder as OpenCLIP writes it, of a golden."""
    case = Case(name)
    folder.mkdir()
    tensors = dict(tl.load(case.folder / "model.safetensors"))
    save_file(tensors, folder / "open_clip_model.safetensors")
    model = json.loads((case.folder / "config.json").read_text())
    del model["model_type"]
    model["vision_cfg"]["image_size"] = side
    config = {"model_cfg": model, "preprocess_cfg": {**PREPROCESS, **preprocess}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="!"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 7), ("<end>", 8)]
    )
    words.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def picture(width, height):
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def prepared(image, side, resample, mode="shortest"):
    """By Pillow, as torchvision's Resize and CenterCrop cut."""
    w, h = image.size
    size = (side, side)
    if mode == "shortest":
        size = (side, int(side * h / w)) if w <= h else (int(side * w / h), side)
    image = image.resize(size, resample)
    left, top = (round((n - side) / 2) for n in image.size)
    cut = np.asarray(image.crop((left, top, left + side, top + side)), dtype=np.float32) / 255
    mean, std = (np.array(PREPROCESS[name], dtype=np.float32) for name in ("mean", "std"))
    return ((cut - mean) / std).transpose(2, 0, 1)


@pytest.mark.parametrize("mode", ["shortest", "squash"])
@pytest.mark.parametrize("size", [(61, 83), (83, 61), (48, 48), (30, 31), (47, 97)])
def test_pictures_are_cut_as_torchvision_does(size, mode, tmp_path):
    processor = ImageProcessor.from_folder(write(tmp_path / "model", resize_mode=mode))
    image = picture(*size)
    found = processor(image).pixel_values.numpy()[0]
    want = prepared(image, 48, Image.Resampling.BILINEAR, mode)
    np.testing.assert_allclose(found, want, atol=1e-6)


@pytest.mark.parametrize("name", ["open_clip", "open_clip_sigmoid"])
def test_zero_shot(name, tmp_path):
    """Texts end in zeros up to the context, whatever the tokenizer pads with."""
    folder = write(tmp_path / "model", name)
    made, image = tl.ZeroShotImageClassifier(folder), picture(61, 83)
    found = {x.label: x.score for x in made(image, ["cat", "dog"], hypothesis_template="a {}")}
    model = tl.models.load(folder)
    rest = model.config.text_cfg.context_length - 4
    ids = tl.tensor([[7, 2, 5, 8] + [0] * rest, [7, 2, 6, 8] + [0] * rest])
    pixels = tl.tensor(prepared(image, 48, Image.Resampling.BILINEAR)[None])
    logits = model(ids, pixels).logits_per_image[0]
    want = logits.sigmoid() if name == "open_clip_sigmoid" else logits.softmax(-1)
    np.testing.assert_allclose([found["cat"], found["dog"]], want.numpy(), rtol=1e-4)
    vectors = tl.ImageEmbedder(folder).encode([image])
    wanted = model.get_image_features(pixels).pooler_output.numpy()
    np.testing.assert_allclose(vectors.numpy(), wanted, rtol=1e-4, atol=1e-5)
    model.save_pretrained(tmp_path / "saved")
    again = tl.ZeroShotImageClassifier(tmp_path / "saved")
    assert {
        x.label: x.score for x in again(image, ["cat", "dog"], hypothesis_template="a {}")
    } == found


def test_a_tokenizer_of_its_own_pads_as_it_does(tmp_path):
    """SigLIP's texts are also made plain before."""
    folder = write(tmp_path / "model", "open_clip_siglip", 32)
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"]["vision_cfg"]["model_args"]["img_size"] = [32, 32]
    text = config["model_cfg"]["text_cfg"]
    text |= {"hf_tokenizer_name": "x", "tokenizer_kwargs": {"clean": "canonicalize"}}
    path.write_text(json.dumps(config))
    tensors = dict(tl.load(folder / "open_clip_model.safetensors"))
    name = "visual.trunk.pos_embed"
    tensors[name] = tl.cat([tensors[name], tensors[name][:, :4]], 1)
    save_file(tensors, folder / "open_clip_model.safetensors")
    made, image = tl.ZeroShotImageClassifier(folder), picture(40, 40)
    found = made(image, ["DOG!"], hypothesis_template="A  photo_of {}")
    model = tl.models.load(folder)
    ids = tl.tensor([[7, 2, 3, 4, 6, 8, 1, 1, 1]])
    pixels = tl.tensor(prepared(image, 32, Image.Resampling.BILINEAR)[None])
    want = model(ids, pixels).logits_per_image.sigmoid().item()
    assert found[0].score == pytest.approx(want, rel=1e-4)


BAD = [
    ({"resize_mode": "longest"}, "resize_mode"),
    ({"interpolation": "random"}, "resample"),
    ({"size": "big"}, "size"),
    ({"mean": "x"}, "image_mean"),
]


@pytest.mark.parametrize(("values", "told"), BAD)
def test_what_cannot_be_done_is_told(values, told, tmp_path):
    folder = write(tmp_path / "model", **values)
    with pytest.raises(FormatError, match=rf"open_clip_config\.json.*{told}"):
        ImageProcessor.from_folder(folder)
