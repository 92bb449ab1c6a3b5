"""Goldens of document models: ViT-like encoders, TrOCR, Donut, LayoutLMv3."""

from specs import Spec, images

VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": [24, 32],
    "patch_size": 8,
    "num_labels": 5,
}
BEIT = {**VIT, "layer_scale_init_value": 0.3}
HIDDEN = {"output_hidden_states": True}
SQUARE = {"image_size": 32}
RESIZE = {"interpolate_pos_encoding": True}
POOLED = ("last_hidden_state", "pooler_output", "hidden_states")
# Positions are the size of the patches, not of a matrix that they go through.
STDS = {"*position_bias_table": 1.0}


def vit(model, config, values, outputs, image=(24, 32), **more) -> Spec:
    return Spec(model, config, values, images(image), outputs, stds=STDS, **more)


SPECS = {
    "vit": vit("ViTModel", "ViTConfig", VIT, POOLED, options=HIDDEN),
    "vit_classification": vit(
        "ViTForImageClassification",
        "ViTConfig",
        {**VIT, **SQUARE, "qkv_bias": False, "hidden_act": "gelu_new"},
        ("logits",),
        (40, 24),
        options=RESIZE,
    ),
    "deit": vit(
        "DeiTModel",
        "DeiTConfig",
        {**VIT, **SQUARE, "pooler_output_size": 16, "pooler_act": "relu"},
        POOLED,
        (40, 24),
        options={**HIDDEN, **RESIZE},
    ),
    "deit_classification": vit("DeiTForImageClassification", "DeiTConfig", VIT, ("logits",)),
    "deit_teacher": vit(
        "DeiTForImageClassificationWithTeacher",
        "DeiTConfig",
        VIT,
        ("logits", "cls_logits", "distillation_logits"),
    ),
    "beit": vit(
        "BeitModel",
        "BeitConfig",
        {**BEIT, "use_relative_position_bias": True, "use_shared_relative_position_bias": True},
        POOLED,
        (40, 24),
        options=HIDDEN,
    ),
    "beit_first": vit(
        "BeitModel",
        "BeitConfig",
        {
            **BEIT,
            **SQUARE,
            "use_mean_pooling": False,
            "use_absolute_position_embeddings": True,
            "layer_scale_init_value": 0.0,
        },
        POOLED,
        (40, 24),
        options=HIDDEN,
    ),
    "beit_classification": vit(
        "BeitForImageClassification",
        "BeitConfig",
        {**BEIT, "use_relative_position_bias": True, "use_mask_token": True},
        ("logits",),
    ),
}
