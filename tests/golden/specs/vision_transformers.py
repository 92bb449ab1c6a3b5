"""Goldens of vision transformers and of models of pictures and texts."""

import torch

from specs import Inputs, Spec, images, texts

VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
STATES = ("last_hidden_state", "pooler_output")


def heads(name, prefix, values, base=32, other=(40, 24), **more) -> dict[str, Spec]:
    """The model without a head and the classifier, on pictures of two sizes."""
    config = f"{prefix}Config"
    return {
        name: Spec(f"{prefix}Model", config, values, images(base), STATES, **more),
        f"{name}_classification": Spec(
            f"{prefix}ForImageClassification",
            config,
            {**values, "num_labels": 5},
            images(other),
            ("logits",),
            **more,
        ),
    }


DINOV2 = {**VIT, "mlp_ratio": 2}
SPECS = {
    **heads("dinov2", "Dinov2", DINOV2),
    "dinov2_backbone": Spec(
        "Dinov2Backbone",
        "Dinov2Config",
        {**DINOV2, "use_swiglu_ffn": True, "out_indices": [1, 2], "qkv_bias": False},
        images((24, 40)),
        ("feature_maps",),
    ),
    **heads("dinov2_with_registers", "Dinov2WithRegisters", DINOV2, (40, 24)),
    "dinov2_with_registers_backbone": Spec(
        "Dinov2WithRegistersBackbone",
        "Dinov2WithRegistersConfig",
        {**DINOV2, "out_features": ["stage1", "stage2"], "apply_layernorm": False},
        images((24, 40)),
        ("feature_maps",),
    ),
}


def both(text: Inputs, picture: Inputs) -> Inputs:
    """Texts of the one side's config and pictures of the other's."""

    def make(config, source):
        found = text(config.text_config, source)
        pictures = picture(config.vision_config, source)
        return {"input_ids": found.pop("input_ids"), **pictures, **found}

    return make


def ended(end: int, **more) -> Inputs:
    """Texts that end with `end` before their padding."""
    make_texts = texts(low=4, **more)

    def make(config, source):
        found = make_texts(config, source)
        ids = found["input_ids"]
        ids[ids == end] = 4
        last = found["attention_mask"].sum(1) - 1
        ids[torch.arange(len(ids)), last] = end
        return found

    return make


def flexible(config, source):
    """Rows of patches of pictures of different shapes, padded."""
    shapes = torch.tensor([[3, 5], [4, 2], [6, 3]])
    pixels = config.num_channels * config.patch_size**2
    mask = (torch.arange(18) < shapes.prod(1)[:, None]).long()
    return {
        "pixel_values": torch.randn(3, 18, pixels, generator=source) * mask[..., None],
        "pixel_attention_mask": mask,
        "spatial_shapes": shapes,
    }


TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
TEXT = {**TOWER, "vocab_size": 64, "max_position_embeddings": 14, "eos_token_id": 63}
PICTURE = {**TOWER, "image_size": 16, "patch_size": 8}
PAIR = ("logits_per_image", "logits_per_text", "text_embeds", "image_embeds")
ANYSIZE = {"interpolate_pos_encoding": True}
CLIP = {
    "text_config": {**TEXT, "projection_dim": 24},
    "vision_config": {**PICTURE, "projection_dim": 24},
    "projection_dim": 24,
}
# Scores are of all pairs, so that a row of them alone is another matrix: singles=False.
SPECS |= {
    "clip": Spec(
        "CLIPModel",
        "CLIPConfig",
        CLIP,
        both(ended(63, batch=3), images((24, 16))),
        PAIR,
        singles=False,
        options=ANYSIZE,
    ),
    "clip_text": Spec(
        "CLIPTextModelWithProjection",
        "CLIPTextConfig",
        CLIP["text_config"],
        ended(63),
        ("text_embeds", "last_hidden_state"),
    ),
    "clip_text_legacy": Spec(
        "CLIPTextModel",
        "CLIPTextConfig",
        {**TEXT, "eos_token_id": 2, "hidden_act": "gelu"},
        ended(63),
        ("pooler_output", "last_hidden_state"),
    ),
    "clip_vision": Spec(
        "CLIPVisionModelWithProjection",
        "CLIPVisionConfig",
        CLIP["vision_config"],
        images(16),
        ("image_embeds", "last_hidden_state"),
    ),
    "clip_vision_bare": Spec(
        "CLIPVisionModel", "CLIPVisionConfig", PICTURE, images(16), STATES[::-1]
    ),
    "clip_classification": Spec(
        "CLIPForImageClassification",
        "CLIPConfig",
        {**CLIP, "num_labels": 5},
        lambda config, source: images(16)(config.vision_config, source),
        ("logits",),
    ),
    "chinese_clip": Spec(
        "ChineseCLIPModel",
        "ChineseCLIPConfig",
        {**CLIP, "text_config": TEXT},
        both(texts(batch=3, types=2), images(16, batch=3)),
        (*PAIR, "loss"),
        singles=False,
        options={"return_loss": True},
    ),
    "siglip": Spec(
        "SiglipModel",
        "SiglipConfig",
        {"text_config": TEXT, "vision_config": PICTURE},
        both(texts(pad=None), images((16, 24))),
        (*PAIR, "loss"),
        singles=False,
        options={**ANYSIZE, "return_loss": True},
    ),
    # The pooled position is the last one, be it padding: singles=False.
    "siglip_text": Spec(
        "SiglipTextModel",
        "SiglipTextConfig",
        {**TEXT, "projection_size": 24},
        texts(),
        ("pooler_output", "last_hidden_state"),
        singles=False,
    ),
    "siglip_vision": Spec(
        "SiglipVisionModel", "SiglipVisionConfig", PICTURE, images(16), STATES[::-1]
    ),
    "siglip_classification": Spec(
        "SiglipForImageClassification",
        "SiglipConfig",
        {
            "text_config": TEXT,
            "vision_config": {**PICTURE, "vision_use_head": False},
            "num_labels": 5,
        },
        lambda config, source: images((24, 16))(config.vision_config, source),
        ("logits",),
        options=ANYSIZE,
    ),
    "siglip2": Spec(
        "Siglip2Model",
        "Siglip2Config",
        {"text_config": TEXT, "vision_config": {**TOWER, "patch_size": 4, "num_patches": 16}},
        both(texts(pad=None, batch=3), flexible),
        PAIR,
        singles=False,
    ),
    "siglip2_vision": Spec(
        "Siglip2VisionModel",
        "Siglip2VisionConfig",
        {**TOWER, "patch_size": 4, "num_patches": 16},
        flexible,
        ("pooler_output", "last_hidden_state"),
    ),
    "siglip2_text": Spec(
        "Siglip2TextModel",
        "Siglip2TextConfig",
        TEXT,
        texts(pad=None),
        ("pooler_output", "last_hidden_state"),
    ),
    "siglip2_classification": Spec(
        "Siglip2ForImageClassification",
        "Siglip2Config",
        {
            "text_config": TEXT,
            "vision_config": {**TOWER, "patch_size": 4, "num_patches": 16},
            "num_labels": 5,
        },
        lambda config, source: flexible(config.vision_config, source),
        ("logits",),
    ),
}

SWIN = {
    "image_size": 32,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 4,
    "mlp_ratio": 2.0,
}
SPECS |= {
    **heads("swin", "Swin", {**SWIN, "window_size": 3}, (30, 41), (32, 32)),
    "swin_backbone": Spec(
        "SwinBackbone",
        "SwinConfig",
        {**SWIN, "out_indices": [0, 1, 2], "qkv_bias": False, "depths": [1, 2]},
        images((28, 40)),
        ("feature_maps",),
    ),
    "swin_absolute": Spec(
        "SwinModel",
        "SwinConfig",
        {**SWIN, "use_absolute_embeddings": True, "hidden_act": "gelu_pytorch_tanh"},
        images((40, 32)),
        (*STATES, "reshaped_hidden_states", "hidden_states"),
        options={**ANYSIZE, "output_hidden_states": True},
    ),
    **heads("swinv2", "Swinv2", {**SWIN, "pretrained_window_sizes": [0, 2]}, (30, 41)),
    "swinv2_backbone": Spec(
        "Swinv2Backbone",
        "Swinv2Config",
        {**SWIN, "out_features": ["stage1", "stage2"], "window_size": 3},
        images((28, 40)),
        ("feature_maps",),
    ),
}


SEGFORMER = {
    "num_encoder_blocks": 2,
    "depths": [2, 1],
    "sr_ratios": [4, 1],
    "hidden_sizes": [16, 32],
    "patch_sizes": [7, 3],
    "strides": [4, 2],
    "num_attention_heads": [1, 2],
    "mlp_ratios": [2, 2],
    "decoder_hidden_size": 32,
}
UPERNET = {"hidden_size": 16, "auxiliary_channels": 16, "pool_scales": [1, 2], "num_labels": 5}
SPECS |= {
    "segformer": Spec(
        "SegformerModel",
        "SegformerConfig",
        SEGFORMER,
        images((32, 48)),
        ("last_hidden_state", "hidden_states"),
        options={"output_hidden_states": True},
    ),
    "segformer_classification": Spec(
        "SegformerForImageClassification",
        "SegformerConfig",
        {**SEGFORMER, "num_labels": 5, "reshape_last_stage": False, "hidden_act": "relu"},
        images((36, 44)),
        ("logits",),
    ),
    "segformer_segmentation": Spec(
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        {**SEGFORMER, "num_labels": 5},
        images((32, 48)),
        ("logits",),
    ),
    "upernet": Spec(
        "UperNetForSemanticSegmentation",
        "UperNetConfig",
        {
            **UPERNET,
            "backbone_config": {
                "model_type": "swin",
                **SWIN,
                "embed_dim": 8,
                "depths": [1, 2, 1],
                "num_heads": [1, 2, 4],
                "out_features": ["stage1", "stage2", "stage3"],
            },
        },
        images((24, 40)),
        ("logits",),
    ),
    "upernet_convnext": Spec(
        "UperNetForSemanticSegmentation",
        "UperNetConfig",
        {
            **UPERNET,
            "use_auxiliary_head": False,
            "backbone_config": {
                "model_type": "convnext",
                "num_stages": 2,
                "hidden_sizes": [8, 32],
                "depths": [1, 2],
                "out_indices": [1, 2],
            },
        },
        images((24, 40)),
        ("logits",),
    ),
}

DINOV3 = {**TOWER, "image_size": 32, "patch_size": 8, "num_register_tokens": 3}
SPECS |= {
    "dinov3_vit": Spec(
        "DINOv3ViTModel",
        "DINOv3ViTConfig",
        DINOV3,
        images((40, 24)),
        STATES,
    ),
    "dinov3_vit_backbone": Spec(
        "DINOv3ViTBackbone",
        "DINOv3ViTConfig",
        {
            **DINOV3,
            "use_gated_mlp": True,
            "hidden_act": "silu",
            "key_bias": True,
            "mlp_bias": False,
            "query_bias": False,
            "apply_layernorm": False,
            "out_indices": [1, 2],
        },
        images((24, 40)),
        ("feature_maps",),
    ),
}
TOKENS = {**DINOV2, "model_type": "dinov2", "reshape_hidden_states": False, "patch_size": 14}
DEPTH = {
    "patch_size": 14,
    "reassemble_hidden_size": 32,
    "neck_hidden_sizes": [8, 8, 16, 16],
    "fusion_hidden_size": 16,
    "head_hidden_size": 8,
    "backbone_config": {**TOKENS, "image_size": 42},
}
DEPTH["backbone_config"] |= {"num_hidden_layers": 4, "out_indices": [1, 2, 3, 4]}
SPECS |= {
    "depth_anything": Spec(
        "DepthAnythingForDepthEstimation",
        "DepthAnythingConfig",
        DEPTH,
        images((28, 42)),
        ("predicted_depth",),
        stds={"neck.*.bias": 0.2},
    ),
    "depth_anything_metric": Spec(
        "DepthAnythingForDepthEstimation",
        "DepthAnythingConfig",
        {
            **DEPTH,
            "neck_hidden_sizes": [8, 16],
            "reassemble_factors": [2, 0.5],
            "depth_estimation_type": "metric",
            "max_depth": 20,
            "head_in_index": 0,
            "backbone_config": {**TOKENS, "image_size": 42, "out_indices": [1, 2]},
        },
        images((42, 42)),
        ("predicted_depth",),
    ),
}
MOBILEVIT = {
    "hidden_sizes": [16, 32, 32],
    "neck_hidden_sizes": [8, 8, 16, 16, 24, 24, 48],
    "num_attention_heads": 2,
    "expand_ratio": 2.0,
    "aspp_out_channels": 16,
    "atrous_rates": [2, 3, 4],
    "image_size": 64,
}
V2 = {
    "width_multiplier": 0.125,
    "base_attn_unit_dims": [128, 192, 256],
    "n_attn_blocks": [1, 2, 1],
    "aspp_out_channels": 16,
    "atrous_rates": [2, 3, 4],
}
SPECS |= {
    "mobilevit": Spec(
        "MobileViTModel", "MobileViTConfig", MOBILEVIT, images((64, 96)), STATES[::-1]
    ),
    "mobilevit_classification": Spec(
        "MobileViTForImageClassification",
        "MobileViTConfig",
        {**MOBILEVIT, "num_labels": 5, "output_stride": 16, "hidden_act": "relu"},
        images((70, 50)),
        ("logits",),
    ),
    "mobilevit_segmentation": Spec(
        "MobileViTForSemanticSegmentation",
        "MobileViTConfig",
        {**MOBILEVIT, "num_labels": 5, "output_stride": 8},
        images((48, 64)),
        ("logits",),
    ),
    "mobilevitv2": Spec(
        "MobileViTV2Model", "MobileViTV2Config", V2, images((64, 96)), STATES[::-1]
    ),
    "mobilevitv2_classification": Spec(
        "MobileViTV2ForImageClassification",
        "MobileViTV2Config",
        {**V2, "num_labels": 5, "output_stride": 16},
        images((70, 50)),
        ("logits",),
    ),
    "mobilevitv2_segmentation": Spec(
        "MobileViTV2ForSemanticSegmentation",
        "MobileViTV2Config",
        {**V2, "num_labels": 5},
        images((64, 96)),
        ("logits",),
    ),
}


def prompts(points: bool, boxes: bool, masks: bool, *, embedded: bool = False) -> Inputs:
    """A picture (or its map) and what points at things in it."""

    def make(config, source):
        side = config.vision_config.image_size
        width, grid = (
            config.mask_decoder_config.hidden_size,
            side // config.vision_config.patch_size,
        )
        found = {}
        if not embedded:
            found["pixel_values"] = torch.randn(2, 3, side, side, generator=source)
        if points:
            found["input_points"] = torch.rand(2, 2, 3, 2, generator=source) * side
            found["input_labels"] = torch.tensor([[[1, 0, -1], [1, 1, -10]]]).repeat(2, 1, 1)
        if boxes:
            found["input_boxes"] = torch.rand(2, 2, 4, generator=source) * side
        if masks:
            found["input_masks"] = torch.randn(2, 1, 4 * grid, 4 * grid, generator=source)
        if embedded:
            found["image_embeddings"] = torch.randn(2, width, grid, grid, generator=source)
        return found

    return make


SAM = {
    "vision_config": {
        "hidden_size": 32,
        "output_channels": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 40,
        "patch_size": 8,
        "window_size": 3,
        "global_attn_indexes": [1],
        "num_pos_feats": 8,
        "mlp_dim": 64,
    },
    "prompt_encoder_config": {
        "hidden_size": 16,
        "image_size": 40,
        "patch_size": 8,
        "mask_input_channels": 8,
    },
    "mask_decoder_config": {
        "hidden_size": 16,
        "mlp_dim": 32,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 16,
    },
}
MASKS = ("pred_masks", "iou_scores")
SPECS |= {
    "sam": Spec("SamModel", "SamConfig", SAM, prompts(True, False, False), MASKS),
    "sam_boxes": Spec(
        "SamModel",
        "SamConfig",
        SAM,
        prompts(True, True, True, embedded=True),
        MASKS[::-1],
        options={"multimask_output": False},
    ),
    "sam_vision": Spec(
        "SamVisionModel",
        "SamVisionConfig",
        {**SAM["vision_config"], "use_abs_pos": False, "qkv_bias": False},
        images(40),
        ("last_hidden_state",),
    ),
}

HIERA = {
    "embed_dim": 16,
    "image_size": [32, 32],
    "depths": [2, 1, 2],
    "num_heads": [1, 2, 4],
    "masked_unit_size": [4, 4],
    "masked_unit_attention": [True, True, False],
    "num_query_pool": 2,
    "mlp_ratio": 2.0,
}
SPECS |= {
    "hiera": Spec(
        "HieraModel",
        "HieraConfig",
        HIERA,
        images(32),
        (*STATES, "reshaped_hidden_states", "hidden_states"),
        options={"output_hidden_states": True},
    ),
    "hiera_classification": Spec(
        "HieraForImageClassification",
        "HieraConfig",
        {**HIERA, "num_query_pool": 1, "num_labels": 5},
        images((48, 32)),
        ("logits",),
        options=ANYSIZE,
    ),
    "hiera_backbone": Spec(
        "HieraBackbone",
        "HieraConfig",
        {**HIERA, "out_indices": [0, 2, 3]},
        images(32),
        ("feature_maps",),
    ),
}

EVA = {"embed_dim": 32, "depth": 4, "num_heads": 2, "img_size": 28, "num_classes": 7}
SPECS |= {
    f"timm_{case}": Spec(f"timm:{name}", "", {**EVA, **more}, images(28), ("logits",))
    for case, name, more in (
        ("eva02_tiny", "eva02_tiny_patch14_224", {}),
        ("eva02_base", "eva02_base_patch14_224", {"global_pool": "token"}),
        ("eva_giant", "eva_giant_patch14_224", {"mlp_ratio": 2.0, "global_pool": "avgmax"}),
    )
}
