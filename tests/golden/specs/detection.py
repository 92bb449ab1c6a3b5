"""Goldens of detectors."""

import torch

from specs import Spec, images

DETR = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "num_queries": 5,
    "num_labels": 3,
}
RESNET = {
    "use_timm_backbone": False,
    "backbone_config": {
        "model_type": "resnet",
        "embedding_size": 16,
        "hidden_sizes": [16, 32],
        "depths": [1, 2],
        "layer_type": "basic",
        "out_features": ["stage1", "stage2"],
    },
}
DETECTED = ("logits", "pred_boxes", "last_hidden_state", "encoder_last_hidden_state")
HIDDEN = (*DETECTED, "decoder_hidden_states", "encoder_hidden_states")


def timm(name, *indices, **more):
    """A backbone of timm, cut behind the last stage so that the golden stays small."""
    given = {"model_type": "timm_backbone", "backbone": name, "out_indices": list(indices)}
    return {"backbone_config": {**given, **more}}


def padded(size=(48, 64), *, batch=2):
    """Pictures of different sizes, zeros and a mask where they end."""

    def make(config, source):
        found = images(size, batch=batch)(config, source)
        mask = torch.ones(batch, *size, dtype=torch.int64)
        for row in range(1, batch):
            mask[row, size[0] - 14 * row :] = 0
            mask[row, :, size[1] - 20 * row :] = 0
        return {"pixel_values": found["pixel_values"] * mask[:, None], "pixel_mask": mask}

    return make


def with_head(name, prefix, values, inputs, outputs=DETECTED, **more):
    return {
        name: Spec(
            f"{prefix}ForObjectDetection", f"{prefix}Config", values, inputs, outputs, **more
        )
    }


DEEP = {
    "model_type": "rt_detr_resnet",
    "embedding_size": 8,
    "hidden_sizes": [16, 16, 24, 32],
    "depths": [1, 2, 1, 1],
}
RT = {
    "backbone_config": {**DEEP, "layer_type": "bottleneck", "out_indices": [2, 3, 4]},
    "d_model": 32,
    "encoder_hidden_dim": 32,
    "encoder_in_channels": [16, 24, 32],
    "decoder_in_channels": [32, 32, 32],
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "decoder_layers": 2,
    "num_queries": 6,
    "num_labels": 3,
    "hidden_expansion": 0.25,
}
BASIC = {
    **DEEP, "embedding_size": 16, "layer_type": "basic", "out_features": ["stage3", "stage4"],
}  # fmt: skip
FOUND = ("logits", "pred_boxes", "last_hidden_state", "encoder_last_hidden_state")
EVERY = (
    *FOUND, "intermediate_logits", "intermediate_reference_points", "enc_topk_logits",
    "enc_topk_bboxes", "init_reference_points",
)  # fmt: skip

YOLOS = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": [24, 40],
    "patch_size": 8,
    "num_detection_tokens": 5,
    "num_labels": 3,
}


SPECS = {
    **with_head(
        "detr", "Detr", {**DETR, **RESNET}, padded(), HIDDEN,
        singles=False, options={"output_hidden_states": True},
    ),
    **with_head(
        "detr_learned", "Detr",
        {
            **DETR, **RESNET, "position_embedding_type": "learned", "auxiliary_loss": True,
            "activation_function": "gelu",
        },
        images((48, 64)),
    ),
    **with_head(
        "table-transformer", "TableTransformer", {**DETR, **RESNET}, padded(), HIDDEN,
        singles=False, options={"output_hidden_states": True},
    ),
    **with_head(
        "table-transformer_timm", "TableTransformer", {**DETR, **timm("resnet26", 1)},
        images((40, 56)),
    ),
    **with_head(
        "table-transformer_dilated", "TableTransformer",
        {**DETR, **timm("test_resnet", 1, 3, output_stride=8)}, padded(), singles=False,
    ),
    **with_head(
        "conditional_detr", "ConditionalDetr", {**DETR, **RESNET, "decoder_layers": 3}, padded(),
        HIDDEN, singles=False, options={"output_hidden_states": True},
    ),
    **with_head(
        "conditional_detr_auxiliary", "ConditionalDetr",
        {**DETR, **timm("resnet26", 1), "auxiliary_loss": True}, images((40, 56)),
    ),
    **with_head("rt_detr", "RTDetr", {**RT, "encoder_layers": 2}, images((64, 96)), EVERY),
    **with_head(
        "rt_detr_basic", "RTDetr",
        {
            **RT, "backbone_config": BASIC, "encoder_in_channels": [24, 32],
            "decoder_in_channels": [32, 32], "num_feature_levels": 3, "encode_proj_layers": [1, 0],
            "hidden_expansion": 1.0, "num_denoising": 0,
            "freeze_backbone_batch_norms": False, "activation_function": "gelu",
        },
        images((64, 64)), FOUND,
    ),
    "rt_detr_model": Spec(
        "RTDetrModel", "RTDetrConfig", {**RT, "eval_size": 64}, images(64), FOUND[2:],
    ),
    **with_head(
        "rt_detr_v2", "RTDetrV2", {**RT, "decoder_n_points": 3, "decoder_offset_scale": 0.7},
        images((64, 96)), FOUND,
    ),
    "rt_detr_resnet": Spec(
        "RTDetrResNetBackbone", "RTDetrResNetConfig",
        {
            **DEEP, "layer_type": "bottleneck", "downsample_in_bottleneck": True,
            "downsample_in_first_stage": True, "out_features": ["stage4"],
        },
        images((66, 91)), ("feature_maps",),
    ),
    **with_head("yolos", "Yolos", YOLOS, images((35, 58)), FOUND[:3]),
    "yolos_model": Spec(
        "YolosModel", "YolosConfig",
        {**YOLOS, "use_mid_position_embeddings": False, "qkv_bias": False}, images((24, 40)),
        ("last_hidden_state", "pooler_output"),
    ),
    "timm_resnet": Spec(
        "timm:resnet18", "",
        {
            "channels": [8, 16, 16, 32], "num_classes": 7, "output_stride": 16,
            "layers": [2, 1, 1, 2],
        },
        images((70, 45)), ("logits",),
    ),
    "timm_resnext": Spec(
        "timm:resnext50d_32x4d", "",
        {
            "channels": [8, 8, 16, 16], "num_classes": 7, "cardinality": 2, "base_width": 32,
            "layers": [1, 1, 2, 1], "stem_width": 8, "global_pool": "catavgmax",
        },
        images((70, 45)), ("logits",),
    ),
    "timm_backbone": Spec(
        "TimmBackbone", "TimmBackboneConfig",
        {"backbone": "test_resnet", "out_indices": [3]}, images((40, 56)), ("feature_maps",),
    ),
    "detr_segmentation": Spec(
        "DetrForSegmentation", "DetrConfig",
        {
            **DETR, "encoder_attention_heads": 8, "encoder_layers": 1, "use_timm_backbone": False,
            "backbone_config": {
                "model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 24, 32],
                "depths": [1, 1, 1, 1], "layer_type": "basic",
                "out_features": ["stage1", "stage2", "stage3", "stage4"],
            },
        },
        padded((64, 96)), ("pred_masks", "logits", "pred_boxes", "last_hidden_state"),
        singles=False,
    ),
    "detr_model": Spec(
        "DetrModel", "DetrConfig",
        {**DETR, **timm("resnet26", 1), "auxiliary_loss": True}, images((40, 56)),
        ("last_hidden_state", "encoder_last_hidden_state"),
    ),
}  # fmt: skip
