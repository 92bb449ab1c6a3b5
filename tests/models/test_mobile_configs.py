"""Names that authors gave what TinyViT and SAM call otherwise here, and refused configs."""

from __future__ import annotations

import json
import re
import shutil

import pytest

import tallow as tl
from models.golden_families import Case
from tallow.errors import ContextError, FormatError, ModelError, ShapeError
from tallow.safetensors import save_file

# From timm's names to those of wkcn's TinyViT-model-zoo, in which a stage ends in what narrows it.
TINY_VIT = (
    (r"patch_embed\.conv(\d)\.", lambda m: f"patch_embed.seq.{2 * int(m[1]) - 2}."),
    (r"stages\.(\d+)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample"),
    (r"stages\.", "layers."),
    (r"head\.norm\.", "norm_head."),
    (r"head\.fc\.", "head."),
    (r"\.conv\.weight", ".c.weight"),
)

# From transformers' names to those of segment-anything's files, which MobileSAM's share.
SAM = (
    (r"^shared_image_embedding\.positional_embedding$",
     "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
    (r"^prompt_encoder\.point_embed\.", "prompt_encoder.point_embeddings."),
    (r"mask_embed\.conv1", "mask_downscaling.0"),
    (r"mask_embed\.layer_norm1", "mask_downscaling.1"),
    (r"mask_embed\.conv2", "mask_downscaling.3"),
    (r"mask_embed\.layer_norm2", "mask_downscaling.4"),
    (r"mask_embed\.conv3", "mask_downscaling.6"),
    (r"layer_norm_final_attn", "norm_final_attn"),
    (r"(transformer\.layers\.\d+)\.layer_norm", r"\1.norm"),
    (r"upscale_conv1", "output_upscaling.0"),
    (r"upscale_layer_norm", "output_upscaling.1"),
    (r"upscale_conv2", "output_upscaling.3"),
    (r"((mlps\.\d+|iou_prediction_head)\.layers)\.(\d+)",
     lambda m: f"{m[1]}.{int(m[3]) + 1}"),
    (r"proj_in", "layers.0"),
    (r"mlps\.(\d+)\.proj_out", r"mlps.\1.layers.2"),
    (r"iou_prediction_head\.proj_out", "iou_prediction_head.layers.{last}"),
    (r"neck\.conv1", "neck.0"),
    (r"neck\.layer_norm1", "neck.1"),
    (r"neck\.conv2", "neck.2"),
    (r"neck\.layer_norm2", "neck.3"),
    (r"^vision_encoder\.layers\.(\d+)\.layer_norm", r"vision_encoder.blocks.\1.norm"),
    (r"^vision_encoder\.layers\.", "vision_encoder.blocks."),
    (r"patch_embed\.projection", "patch_embed.proj"),
    (r"^vision_encoder\.", "image_encoder."),
)  # fmt: skip


def renamed(key, table):
    for old, new in table:
        key = re.sub(old, new, key)
    return key


def copied(case, tmp_path, change=lambda tensors: tensors, **values):
    """A copy of a golden with other tensors and with other values in its config."""
    folder = tmp_path / "model"
    shutil.copytree(case.folder, folder)
    save_file(change(dict(tl.load(folder / "model.safetensors"))), folder / "model.safetensors")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return folder


def test_tiny_vit_by_its_authors_names(tmp_path):
    case = Case("timm_tiny_vit")

    def change(tensors):
        made = {renamed(key, TINY_VIT): value for key, value in tensors.items()}
        assert "layers.0.downsample.conv2.c.weight" in made
        assert not made.keys() & {key for key in tensors if "head" in key or "stages" in key}
        return made | {"layers.1.blocks.0.attn.attention_bias_idxs": tl.zeros(9, 9)}

    case.check(case.run(tl.models.load(copied(case, tmp_path, change))))


def authors_sam(case):
    """The tensors of a golden by the authors' names."""
    tensors = dict(tl.load(case.folder / "model.safetensors"))
    tied = "prompt_encoder.shared_embedding.positional_embedding"
    tensors.setdefault("shared_image_embedding.positional_embedding", tensors.pop(tied, None))
    last = case.load().config.mask_decoder_config.iou_head_depth - 1
    table = (*SAM, *TINY_VIT) if "mobile" in case.name else SAM
    return {renamed(k, table).replace("{last}", str(last)): v for k, v in tensors.items()}


@pytest.mark.parametrize("name", ["mobile_sam", "sam"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_sam_by_its_authors_names(name, prefix, tmp_path):
    case = Case(name)
    made = authors_sam(case)
    tops = {key.split(".")[0] for key in made}
    assert tops == {"image_encoder", "prompt_encoder", "mask_decoder"}
    assert "mask_decoder.output_hypernetworks_mlps.0.layers.2.weight" in made
    if name == "mobile_sam":
        assert "image_encoder.patch_embed.seq.0.c.weight" in made
        made |= {  # of its training as a classifier
            "image_encoder.norm_head.weight": tl.ones(16),
            "image_encoder.head.bias": tl.ones(5),
        }
    path = tmp_path / "published.safetensors"
    save_file({prefix + key: value for key, value in made.items()}, path)
    config = json.loads((case.folder / "config.json").read_text())
    model = tl.models.load(path, config=config)
    case.check(case.run(model))
    model.save_pretrained(tmp_path / "saved")
    case.check(case.run(tl.models.load(tmp_path / "saved")))


def test_a_tensor_that_the_authors_have_not_is_told_by_its_name(tmp_path):
    made = authors_sam(Case("mobile_sam"))
    made["image_encoder.layers.7.blocks.0.attn.qkv.weight"] = tl.ones(3)
    del made["image_encoder.neck.0.weight"]
    save_file(made, tmp_path / "published.safetensors")
    config = json.loads((Case("mobile_sam").folder / "config.json").read_text())
    with pytest.raises(ModelError) as caught:
        tl.models.load(tmp_path / "published.safetensors", config=config)
    text = str(caught.value)
    assert "image_encoder.layers.7.blocks.0.attn.qkv.weight" in text
    assert "vision_encoder.neck.conv1.weight" in text


def test_a_picture_of_another_size_is_refused():
    model = Case("mobile_sam").load()
    with pytest.raises(ShapeError, match="pictures of 32 × 32"):
        model(tl.ones(1, 3, 40, 32), input_points=tl.ones(1, 1, 1, 2))


def test_mobile_sam_is_a_generator_of_masks():
    assert type(Case("mobile_sam").load(task="mask-generation")).__name__ == "MobileSamModel"


def as_open_clip_has_it(tmp_path, change=lambda tensors: tensors, **values):
    """A folder of open_clip's own files."""
    case = Case("open_clip")
    folder = tmp_path / "model"
    folder.mkdir()
    tensors = change(dict(tl.load(case.folder / "model.safetensors")))
    save_file(tensors, folder / "open_clip_model.safetensors")
    config = json.loads((case.folder / "config.json").read_text()) | values
    del config["model_type"]
    given = {"model_cfg": config, "preprocess_cfg": {"mean": [0, 0, 0], "std": [1, 1, 1]}}
    (folder / "open_clip_config.json").write_text(json.dumps(given))
    return case, folder


@pytest.mark.parametrize("apart", [True, False])  # where the text's side stands
def test_open_clips_own_files(apart, tmp_path):
    def change(tensors):
        return tensors if apart else {k.removeprefix("text."): v for k, v in tensors.items()}

    case, folder = as_open_clip_has_it(tmp_path, change, custom_text=apart)
    model = tl.models.load(folder)
    case.check(case.run(model))
    model.save_pretrained(tmp_path / "saved")
    case.check(case.run(tl.models.load(tmp_path / "saved")))


def test_open_clip_fuses_its_picture_side(tmp_path):
    case = Case("open_clip")
    model = case.load(dtype=tl.f32)
    model.visual.trunk.reparameterize()
    case.check(case.run(model), 5e-4)
    model.save_pretrained(tmp_path / "fused")
    again = tl.models.load(tmp_path / "fused")
    assert any("reparam_conv" in name for name in again.state_dict())
    case.check(case.run(again), 5e-4)


def test_open_clip_takes_texts_of_its_length():
    model = Case("open_clip").load()
    with pytest.raises(ContextError, match="at most 9 positions"):
        model.get_text_features(tl.ones(1, 10, dtype=tl.i64))


TRUNK = {"timm_model_name": "fastvit_mci0", "timm_proj": None}
REFUSED_OPEN_CLIP = [
    ({"vision_cfg": {"layers": 12, "width": 768}}, "timm_model_name"),
    ({"vision_cfg": {**TRUNK, "timm_model_name": "vit_base_mci_224"}}, "vit_base_mci_224"),
    ({"vision_cfg": {"timm_model_name": "fastvit_mci0"}}, "timm_proj"),
    ({"vision_cfg": {**TRUNK, "timm_proj": "linear"}}, "timm_proj"),
    ({"vision_cfg": {**TRUNK, "timm_pool": "abs_attn"}}, "global_pool"),
    ({"vision_cfg": {**TRUNK, "attentional_pool": True}}, "attentional_pool"),
    ({"vision_cfg": {**TRUNK, "model_args": [1]}}, "model_args"),
    ({"vision_cfg": 3}, "vision_cfg"),
    ({"embed_dim": 0}, "embed_dim"),
    ({"text_cfg": {"hf_model_name": "roberta-base"}}, "hf_model_name"),
    ({"text_cfg": {"qk_norm": True}}, "qk_norm"),
    ({"text_cfg": {"pool_type": "eos"}}, "pool_type"),
    ({"text_cfg": {"norm_kwargs": {"elementwise_affine": False}}}, "norm_kwargs"),
    ({"text_cfg": {"norm_kwargs": {"eps": 0}}}, "eps"),
    ({"text_cfg": {"act_kwargs": {"approximate": "none"}}}, "act_kwargs"),
    ({"text_cfg": {"heads": 7}}, "heads"),
    ({"nonscalar_logit_scale": True}, "nonscalar_logit_scale"),
]


@pytest.mark.parametrize(("values", "told"), REFUSED_OPEN_CLIP)
def test_what_open_clip_has_beyond_this_is_refused(values, told, tmp_path):
    _, folder = as_open_clip_has_it(tmp_path, **values)
    with pytest.raises(ModelError, match=rf"open_clip_config\.json.*{told}"):
        tl.models.load(folder)


def test_an_open_clip_config_without_a_model(tmp_path):
    _, folder = as_open_clip_has_it(tmp_path)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": [1]}))
    with pytest.raises(FormatError, match=r"open_clip_config\.json: model_cfg: expected an object"):
        tl.models.load(folder)


REFUSED = [
    ("timm_tiny_vit", {"num_heads": [1, 5, 4]}, "num_heads"),
    ("timm_tiny_vit", {"depths": [1, 1]}, "depths"),
    ("timm_tiny_vit", {"window_sizes": [3, 3, 33]}, "window_sizes"),
    ("timm_tiny_vit", {"window_sizes": []}, "window_sizes"),
    ("timm_tiny_vit", {"embed_dims": []}, "depths"),
    ("timm_tiny_vit", {"local_conv_size": 4}, "local_conv_size"),
    ("timm_tiny_vit", {"mlp_ratio": 0.0}, "mlp_ratio"),
    ("timm_tiny_vit", {"mbconv_expand_ratio": 1e9}, "mbconv_expand_ratio"),
    ("timm_tiny_vit", {"global_pool": "catavgmax"}, "global_pool"),
    ("timm_convnext", {"kernel_sizes": [7, 7, 6, 7]}, "kernel_sizes"),
    ("timm_convnext", {"dims": [8, 8]}, "dims"),
    ("timm_convnext", {"norm_layer": "rmsnorm2d"}, "norm_layer"),
    ("timm_convnext", {"stem_type": "overlap_act"}, "stem_type"),
    ("timm_convnext_hnf", {"head_hidden_size": 8}, "head_hidden_size"),
    ("timm_vit", {"num_heads": 5}, "num_heads"),
    ("timm_vit", {"class_token": False}, "global_pool"),
    ("timm_vit", {"img_size": 4}, "img_size"),
    ("timm_vit", {"mlp_ratio": 0.0}, "mlp_ratio"),
    ("timm_vit", {"dynamic_img_size": True}, "dynamic_img_size"),
    ("timm_vit", {"global_pool": "prr"}, "global_pool"),
    ("timm_efficientvit_mit", {"depths": [1, 1]}, "depths"),
    ("timm_efficientvit_mit", {"widths": []}, "depths"),
    ("timm_efficientvit_mit", {"head_dim": 17}, "widths"),
    ("timm_efficientvit_mit", {"expand_ratio": 0.0}, "expand_ratio"),
    ("timm_efficientvit_mit", {"head_widths": [8]}, "head_widths"),
    ("timm_efficientvit_mit", {"norm_eps": 1e-5}, "norm_eps"),
    ("timm_efficientvit_large", {"expand_ratio": 4.0}, "expand_ratio"),
    ("timm_efficientvit_large", {"global_pool": "catavgmax"}, "global_pool"),
]


OTHERS = [
    "vit_relpos_base_patch16_224",
    "vit_base_patch16_siglip_gap_224",
    "deit_base_patch16_dinov2",
    "vit_base_patch16_gap_224",
    "vit_base_distilled_patch16_224",
    "vit_base_patch16",
]


@pytest.mark.parametrize("name", OTHERS)
def test_other_transformers_of_timm_are_refused(name, tmp_path):
    folder = copied(Case("timm_vit"), tmp_path, architecture=name)
    with pytest.raises(ModelError, match=f"architecture: .*{name}"):
        tl.models.load(folder)


@pytest.mark.parametrize(("name", "args", "told"), REFUSED)
def test_refused_by_name(name, args, told, tmp_path):
    case = Case(name)
    given = json.loads((case.folder / "config.json").read_text())["model_args"]
    folder = copied(case, tmp_path, model_args={**given, **args})
    with pytest.raises(ModelError, match=told):
        tl.models.load(folder)
