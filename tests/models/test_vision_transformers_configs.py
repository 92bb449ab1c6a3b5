"""Oddities of vision transformers and of models of pictures and texts: configs, names, sizes."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case, close
from tallow.errors import ArgumentError, ContextError, ModelError, ShapeError
from tallow.models import losses
from tallow.safetensors import save_file


def changed(tmp_path, name, rename=None, add=None, config=None):
    """A copy of a golden's folder with other names and tensors, its config through `config`."""
    case = Case(name)
    folder = tmp_path / "model"
    shutil.copytree(case.folder, folder)
    tensors = dict(tl.load(folder / "model.safetensors"))
    if rename is not None:
        tensors = {rename(key): value for key, value in tensors.items()}
    save_file({**tensors, **(add or {})}, folder / "model.safetensors")
    if config is not None:
        path = folder / "config.json"
        values = json.loads(path.read_text())
        config(values)
        path.write_text(json.dumps(values))
    return case, folder


# What modules are called in memory since transformers 5, for what others write from there.
IN_MEMORY = {
    "swin": (
        (r"attention\.self\.relative", "attention.relative_position_bias.relative"),
        (r"attention\.self\.(q)uery|attention\.self\.(k)ey|attention\.self\.(v)alue", None),
        (r"attention\.output\.dense", "attention.o_proj"),
        (r"intermediate\.dense", "mlp.fc1"),
        (r"(blocks\.\d+)\.output\.dense", r"\1.mlp.fc2"),
    ),
    "dinov2": (
        (r"attention\.attention\.(q)uery|attention\.attention\.(k)ey", None),
        (r"attention\.attention\.(v)alue", None),
        (r"attention\.output\.dense", "attention.o_proj"),
    ),
}


@pytest.mark.parametrize("name", IN_MEMORY)
def test_names_of_modules_in_memory_load_too(name, tmp_path):
    def rename(key):
        for old, new in IN_MEMORY[name]:
            given = new or (lambda m: f"attention.{next(filter(None, m.groups()))}_proj")
            key = re.sub(old, given, key)
        return key

    case, folder = changed(tmp_path, name, rename)
    assert any("q_proj" in key for key in tl.load(folder / "model.safetensors"))
    case.check(case.run(tl.models.load(folder)))


def test_clip_text_files_have_the_model_s_prefix_and_buffers(tmp_path):
    add = {"text_model.embeddings.position_ids": tl.arange(14).reshape(1, 14)}
    case, folder = changed(tmp_path, "clip_text_legacy", "text_model.{}".format, add)
    case.check(case.run(tl.models.load(folder)))


def test_clip_reads_the_old_keys_of_its_parts_before_the_new_ones(tmp_path):
    # As in transformers, whose result is then the class's defaults under what the old key says.
    def config(values):
        values["text_config_dict"] = dict(values["text_config"])
        values["text_config"] |= {"hidden_size": 512, "hidden_act": "relu"}

    case, folder = changed(tmp_path, "clip", config=config)
    case.check(case.run(tl.models.load(folder)))


def test_clip_without_an_end_of_text_pools_the_first_position():
    case = Case("clip_text")
    model = case.load()
    ids = tl.full((2, 5), 7, dtype=tl.i64)
    found = model.text_model(ids)
    assert np.array_equal(found.pooler_output.numpy(), found.last_hidden_state[:, 0].numpy())


def test_scores_of_clip_are_those_of_its_features():
    case = Case("clip")
    model, given = case.load(), case.inputs
    text = model.get_text_features(given["input_ids"], given["attention_mask"]).pooler_output
    image = model.get_image_features(given["pixel_values"], True).pooler_output
    text, image = (x / x.norm(dim=-1, keepdim=True) for x in (text, image))
    close(text.numpy(), case.expected["text_embeds"])
    close(image.numpy(), case.expected["image_embeds"])
    scores = model.logit_scale.exp() * (image @ text.transpose(0, 1))
    close(scores.numpy(), case.expected["logits_per_image"])


def test_too_long_a_text_is_told():
    model = Case("clip_text").load()
    with pytest.raises(ContextError, match="at most 14 positions, got 15"):
        model(tl.zeros(1, 15, dtype=tl.i64))


SIZED = ["clip_vision", "siglip_vision", "sam_vision", "dinov2", "swin", "segformer", "hiera"]


@pytest.mark.parametrize("name", SIZED)
def test_pictures_of_other_channels_are_refused(name):
    model = Case(name).load()
    size = Case(name).inputs["pixel_values"].shape[2:]
    for channels in (1, 4):
        with pytest.raises(ShapeError, match=r"pixel_values: expected \(batch, 3, height, width\)"):
            model(tl.zeros(1, channels, *size))
    with pytest.raises(ShapeError):
        model(tl.zeros(3, *size))


@pytest.mark.parametrize("name", ["clip_vision", "siglip_vision", "hiera"])
def test_other_sizes_need_interpolated_positions(name):
    model = Case(name).load()
    side = Case(name).inputs["pixel_values"].shape[2]
    pixels = tl.zeros(1, 3, 2 * side, 2 * side)
    with pytest.raises(ShapeError, match="interpolate_pos_encoding=True"):
        model(pixels)
    found = model(pixels, interpolate_pos_encoding=True)
    assert found.last_hidden_state.shape[0] == 1


def test_sam_takes_pictures_of_one_size_alone():
    model = Case("sam_vision").load()
    with pytest.raises(ShapeError, match="pictures of 40 × 40"):
        model(tl.zeros(1, 3, 48, 40))


def test_sam_gives_the_same_for_a_picture_s_map():
    case = Case("sam")
    model, given = case.load(), dict(case.inputs)
    image = model.get_image_embeddings(given.pop("pixel_values"))
    found = model(image_embeddings=image, **given)
    case.check({name: found[name] for name in case.expected})
    again = model(image_embeddings=image, input_boxes=tl.tensor([[[2.0, 3, 30, 20]]] * 2))
    assert again.pred_masks.shape[:3] == (2, 1, 3)
    alone = model(image_embeddings=image)
    assert alone.iou_scores.shape == (2, 1, 3)


def test_sam_tells_prompts_that_do_not_fit():
    case = Case("sam")
    model, pixels = case.load(), case.inputs["pixel_values"]
    with pytest.raises(ArgumentError, match="pixel_values or image_embeddings"):
        model(input_points=case.inputs["input_points"])
    with pytest.raises(ShapeError, match=r"input_points: expected \(2, prompts, points, 2\)"):
        model(pixels, tl.zeros(2, 3, 2))
    with pytest.raises(ShapeError, match="input_boxes: expected 2 a picture"):
        model(pixels, case.inputs["input_points"], None, tl.zeros(2, 3, 4))


def test_dinov3_without_registers_runs():
    from tallow.models.families.dinov3_vit import DINOv3ViTConfig, DINOv3ViTModel

    cfg = DINOv3ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    found = DINOv3ViTModel(cfg)(tl.zeros(1, 3, 32, 48))
    assert found.last_hidden_state.shape == (1, 1 + 6, 32)


OLDER = {
    "backbone": "microsoft/resnet-50",
    "backbone_config": None,
    "use_timm_backbone": False,
    "use_pretrained_backbone": True,
}
REFUSED = [
    ("upernet", {"backbone": "resnet50"}, 'backbone_config: {"model_type": …}), found'),
    ("upernet", OLDER, "backbone: expected its config in place of its name (backbone_config: {"),
    (
        "depth_anything",
        OLDER,
        "(backbone_config: {\"model_type\": …}), found 'microsoft/resnet-50'",
    ),
    ("upernet", {"backbone_config": {"model_type": "nothing"}}, "known families"),
    ("upernet", {"backbone_config": {"model_type": "bert"}}, "task: expected"),
    ("depth_anything", {"depth_estimation_type": "other"}, "'relative' or 'metric'"),
    ("depth_anything", {"reassemble_factors": [4, 2, 1, 0]}, "reassemble_factors"),
    ("depth_anything", {"reassemble_factors": [4, 2]}, "reassemble_factors: expected 4"),
    ("segformer", {"sr_ratios": [4]}, "sr_ratios: expected 2 numbers"),
    ("swin", {"num_heads": [3, 5]}, "num_heads: expected divisors"),
    ("swinv2", {"pretrained_window_sizes": [4]}, "pretrained_window_sizes"),
    ("dinov2", {"hidden_act": "nothing"}, "hidden_act: expected one of"),
    ("siglip2_vision", {"num_patches": 15}, "num_patches: expected a square"),
    ("mobilevit", {"num_attention_heads": 3}, "num_attention_heads: expected a divisor"),
    ("mobilevit", {"output_stride": 4}, "output_stride: expected 32 or 16 or 8"),
    ("dinov3_vit", {"num_attention_heads": 16}, "num_attention_heads"),
    ("hiera", {"num_query_pool": 9}, "num_query_pool"),
    ("sam", {"mask_decoder_config": {"hidden_size": 24}}, "one width"),
]


@pytest.mark.parametrize(("name", "values", "text"), REFUSED)
def test_configs_that_cannot_be_are_refused_by_name(name, values, text, tmp_path):
    _, folder = changed(tmp_path, name, config=lambda config: config.update(values))
    with pytest.raises(ModelError, match=re.escape(text)) as caught:
        tl.models.load(folder)
    assert "config.json" in str(caught.value)


def test_upernet_on_a_backbone_of_another_family_is_told_by_its_tensors(tmp_path):
    other = {"model_type": "resnet", "out_features": ["stage1", "stage2", "stage3"]}
    _, folder = changed(tmp_path, "upernet", config=lambda c: c.update(backbone_config=other))
    with pytest.raises(ModelError, match=r"backbone\.embedder"):
        tl.models.load(folder)


@pytest.mark.parametrize("name", ["segformer_segmentation", "upernet", "mobilevit_segmentation"])
def test_segmentation_heads_have_a_loss(name):
    case = Case(name)
    pixels = case.inputs["pixel_values"]
    labels = tl.zeros(pixels.shape[0], *pixels.shape[2:], dtype=tl.i64)
    found = case.load()(pixels, labels)
    own = losses.pixels(found.logits, labels, 255)
    assert np.isfinite(found.loss.item())
    # UPerNet adds 0.4 times the loss of its auxiliary head.
    assert found.loss.item() >= own.item() - 1e-6
    assert (found.loss.item() > own.item() + 1e-3) == (name == "upernet")
