"""Goldens of models that say something of every pixel: labels, depths, masks."""

import torch

from specs import Inputs, Spec, images
from specs.vision_transformers import DINOV2, SWIN

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
SPECS = {
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
