"""Oddities of published checkpoints of ViT-like encoders: names, missing parts, configs."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

import tallow as tl
from models.golden_families import Case
from tallow.errors import ArgumentError, ConfigWarning, ModelError, ShapeError
from tallow.safetensors import save_file

# What transformers 5 calls modules in memory, for what it and others write.
IN_MEMORY = (
    (r"attention\.attention\.relative_position_bias", "relative_position_bias"),
    (r"encoder\.relative_position_bias", "shared_position_bias"),
    (r"attention\.attention\.(query|key|value)", lambda m: f"attention.{m[1][0]}_proj"),
    (r"attention\.output\.dense", "attention.o_proj"),
    (r"intermediate\.dense", "mlp.fc1"),
    (r"(layer\.\d+)\.output\.dense", r"\1.mlp.fc2"),
    (r"encoder\.layer\.", "layers."),
)


def changed(tmp_path, name, rename=None, drop=(), add=None, **config):
    """A copy of a golden's folder with other names, tensors and keys of its config."""
    case = Case(name)
    folder = tmp_path / "model"
    shutil.copytree(case.folder, folder)
    tensors = dict(tl.load(folder / "model.safetensors"))
    tensors = {k: v for k, v in tensors.items() if not any(re.match(d, k) for d in drop)}
    if rename is not None:
        tensors = {rename(key): value for key, value in tensors.items()}
    save_file({**tensors, **(add or {})}, folder / "model.safetensors")
    path = folder / "config.json"
    values = {**json.loads(path.read_text()), **config}
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not ...}))
    return case, folder


def as_in_memory(name: str) -> str:
    for pattern, other in IN_MEMORY:
        name = re.sub(pattern, other, name)
    return name


@pytest.mark.parametrize(
    "name", ["vit", "vit_classification", "deit", "deit_teacher", "beit", "beit_classification"]
)
def test_names_of_modules_in_memory_load_too(name, tmp_path):
    case, folder = changed(tmp_path, name, as_in_memory)
    names = set(tl.load(folder / "model.safetensors"))
    assert any("layers.0.attention.q_proj" in key for key in names)
    case.check(case.run(tl.models.load(folder)))


@pytest.mark.parametrize("name", ["vit", "deit", "beit"])
def test_a_pooler_may_be_missing(name, tmp_path):
    case, folder = changed(tmp_path, name, drop=[r"pooler\."])
    found = tl.models.load(folder)(**case.inputs, **case.options)
    assert found.pooler_output is None
    want = case.expected["last_hidden_state"]
    np.testing.assert_allclose(found.last_hidden_state.numpy(), want, rtol=1e-3, atol=1e-3)


def test_a_pooler_that_a_head_needs_may_not(tmp_path):
    _, folder = changed(tmp_path, "beit_classification", drop=[r"beit\.pooler"])
    with pytest.raises(ModelError, match=r"beit\.pooler\.layernorm\.weight"):
        tl.models.load(folder)


@pytest.mark.parametrize(
    ("name", "head"),
    [("vit", "ViT"), ("deit", "DeiT"), ("beit", "Beit")],
)
def test_masked_image_modelling_is_refused_by_name(name, head, tmp_path):
    wanted = f"{head}ForMaskedImageModeling"
    _, folder = changed(
        tmp_path,
        name,
        lambda key: f"{name}.{key}",
        add={
            "decoder.0.weight": tl.zeros(4, 4),
            f"{name}.embeddings.mask_token": tl.zeros(1, 1, 32),
        },
        architectures=[wanted],
    )
    with pytest.raises(ModelError, match=wanted):
        tl.models.load(folder)
    assert type(tl.models.load(folder, task="embedding")).__name__ == f"{head}Model"


def test_images_of_another_size_need_interpolated_positions():
    model = Case("vit").load()
    with pytest.raises(ArgumentError, match="24×32 pixels, or interpolate_pos_encoding"):
        model(tl.zeros(1, 3, 32, 24))
    with pytest.raises(ShapeError, match="square"):  # as in the reference
        model(tl.zeros(1, 3, 32, 24), interpolate_pos_encoding=True)
    with pytest.raises(ShapeError, match=r"\(batch, 3, height, width\)"):
        model(tl.zeros(1, 1, 24, 32))
    with pytest.raises(ShapeError, match="at least|larger|kernel"):
        Case("beit").load()(tl.zeros(1, 3, 8, 4))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"hidden_act": "sine"}, "hidden_act: expected one of"),
        ({"num_attention_heads": 5}, "num_attention_heads: expected a divisor"),
        ({"image_size": 4}, "image_size: expected at least"),
        ({"image_size": [1, 2, 3]}, "image_size: expected 2 integers"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads"),
        ({"pooler_output_size": 0}, "pooler_output_size"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_a_config_may_not_say(config, words, tmp_path):
    _, folder = changed(tmp_path, "vit", **config)
    with pytest.raises(ModelError, match=words):
        tl.models.load(folder)


def test_what_a_config_may_leave_out_or_have_besides(tmp_path):
    gone = dict.fromkeys(("num_channels", "hidden_act", "qkv_bias", "layer_norm_eps"), ...)
    case, folder = changed(tmp_path, "vit", **gone, attn_implementation="sdpa", id2label=...)
    case.check(case.run(tl.models.load(folder)))
    _, odd = changed(tmp_path / "odd", "vit", registers=4)
    with pytest.warns(ConfigWarning, match="registers"):
        tl.models.load(odd)


def test_hidden_patches_take_the_mask_token():
    case = Case("beit_classification")
    model = case.load().beit
    pixels = case.inputs["pixel_values"]
    hidden = tl.zeros(2, 12, dtype=tl.bool)
    same = model(pixels, hidden).last_hidden_state
    assert np.array_equal(same.numpy(), model(pixels).last_hidden_state.numpy())
    first, second = (model(p, ~hidden).last_hidden_state for p in (pixels, 2 * pixels))
    assert np.array_equal(first.numpy(), second.numpy())
    with pytest.raises(ShapeError, match="mask token"):
        Case("vit").load()(case.inputs["pixel_values"], hidden)


@pytest.mark.parametrize(("shape", "added"), [("donut", 0), ("base", 1)])
def test_only_donuts_prompts_begin_without_the_start_token(shape, added):
    case = Case(f"vision-encoder-decoder_{shape}")
    options = {"decoder_start_token_id": 2, "eos_token_id": 99, "max_new_tokens": 3}
    prompt = tl.tensor([[5, 6], [7, 8]])
    pixels = case.inputs["pixel_values"]
    rows = case.load().generate(pixels, decoder_input_ids=prompt, **options).tolist()
    assert [row[: 2 + added] for row in rows] == [[2] * added + ids for ids in prompt.tolist()]
    assert len(rows[0]) == 2 + added + 3


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        (
            "donut-swin",
            {"use_absolute_embeddings": True},
            "use_absolute_embeddings: expected False",
        ),
        ("donut-swin", {"num_heads": [3, 4]}, "num_heads: expected divisors"),
        ("mbart_decoder", {"add_final_layer_norm": False}, "add_final_layer_norm: expected True"),
        ("mbart_decoder", {"static_position_embeddings": True}, "static_position_embeddings"),
        ("mbart_decoder", {"architectures": ["MBartForQuestionAnswering"]}, "MBartForCausalLM"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_parts_of_donut_may_not_say(name, config, words, tmp_path):
    _, folder = changed(tmp_path, name, **config)
    with pytest.raises(ModelError, match=words):
        tl.models.load(folder)


def test_mbart_configs_as_published(tmp_path):
    old = {"add_bias_logits": False, "add_final_layer_norm": True, "extra_pos_embeddings": 2,
           "normalize_before": True, "normalize_embedding": True, "save_step": 12,
           "static_position_embeddings": False, "num_hidden_layers": 12}  # fmt: skip
    case, folder = changed(tmp_path, "mbart_decoder", **old)
    case.check(case.run(tl.models.load(folder)))


def test_inputs_of_layoutlmv3():
    case = Case("layoutlmv3")
    model, ids = case.load(), case.inputs["input_ids"]
    pixels, boxes = case.inputs["pixel_values"], case.inputs["bbox"]
    with pytest.raises(ShapeError, match="24×24 pixels"):
        model(ids, boxes, pixel_values=tl.zeros(2, 3, 24, 32))
    with pytest.raises(ShapeError, match=r"bbox: expected shape \(2, 12, 4\)"):
        model(ids, boxes[:, :3])
    with pytest.raises(ArgumentError, match="input_ids, inputs_embeds or pixel_values"):
        model()
    with pytest.raises(ArgumentError, match="input_ids or inputs_embeds"):
        Case("layoutlmv3_tokens").load()(pixel_values=pixels)
    assert model(pixel_values=pixels).last_hidden_state.shape == (2, 10, 64)
    assert np.array_equal(  # no boxes are boxes of zeros
        model(ids).last_hidden_state.numpy(), model(ids, boxes * 0).last_hidden_state.numpy()
    )
    embeds = model.embeddings.word_embeddings(ids)
    found = model(None, boxes, inputs_embeds=embeds, pixel_values=pixels)
    np.testing.assert_allclose(
        found.last_hidden_state.numpy(), case.expected["last_hidden_state"], rtol=1e-3, atol=1e-3
    )


def test_layoutlmv3_without_an_eye(tmp_path):
    seen = ["cls_token", "pos_embed", "patch_embed", "norm", "LayerNorm"]
    case, folder = changed(tmp_path, "layoutlmv3_text", drop=[rf"{n}\b" for n in seen],
                           visual_embed=False)  # fmt: skip
    model = tl.models.load(folder)
    case.check(case.run(model))
    with pytest.raises(ArgumentError, match="visual_embed"):
        model(pixel_values=tl.zeros(2, 3, 24, 24))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"shape_size": 8}, "hidden_size: expected 48"),
        ({"text_embed": False}, "text_embed: expected True"),
        ({"max_rel_pos": 2}, "max_rel_pos: expected more than 2"),
        ({"input_size": 4}, "input_size: expected at least 8"),
        ({"num_attention_heads": 5}, "num_attention_heads"),
    ],
    ids=str,
)
def test_what_a_config_of_layoutlmv3_may_not_say(config, words, tmp_path):
    _, folder = changed(tmp_path, "layoutlmv3", **config)
    with pytest.raises(ModelError, match=words):
        tl.models.load(folder)


def test_beits_that_segment_need_four_layers(tmp_path):
    _, folder = changed(tmp_path, "beit_segmentation")
    path = folder / "config.json"
    values = json.loads(path.read_text())
    chosen = values.pop("out_indices")
    del values["out_features"]
    path.write_text(json.dumps(values | {"segmentation_indices": chosen}))
    x = Case("beit_segmentation").inputs["pixel_values"]
    want = Case("beit_segmentation").load()(x).logits
    assert np.array_equal(tl.models.load(folder)(x).logits.numpy(), want.numpy())
    path.write_text(json.dumps(values | {"out_indices": [1, 2]}))
    with pytest.raises(ModelError, match="4 numbers of layers"):
        tl.models.load(folder)
