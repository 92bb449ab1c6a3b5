"""Goldens of vision transformers and of models of pictures and texts."""

from specs import Spec, images

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
