"""Goldens of vision transformers alone."""

from specs import Spec, images

VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
ANYSIZE = {"interpolate_pos_encoding": True}
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
