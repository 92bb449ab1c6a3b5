"""Goldens of small vision models: TinyViT and what stands on it."""

from specs import Spec, images

TINY_VIT = {
    "embed_dims": [16, 24, 32],
    "depths": [1, 1, 2],
    "num_heads": [1, 2, 4],
    "window_sizes": [3, 3, 4],
    "mlp_ratio": 2.0,
    "mbconv_expand_ratio": 2.0,
}
SPECS = {
    # No stage divides into its windows, and the last is smaller than one.
    "timm_tiny_vit": Spec(
        "timm:tiny_vit_5m_224",
        "",
        {**TINY_VIT, "num_classes": 7, "global_pool": "avgmax"},
        images((40, 27)),
        ("logits",),
        stds={"*qkv.weight": 0.1},
    ),
}
