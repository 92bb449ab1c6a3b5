"""Goldens of vision models."""

from specs import Spec, images

RESNET = {
    "embedding_size": 16,
    "hidden_sizes": [16, 32],
    "depths": [2, 1],
    "layer_type": "bottleneck",
}
SPECS = {
    "resnet": Spec(
        "ResNetModel", "ResNetConfig", RESNET, images(40), ("last_hidden_state", "pooler_output")
    ),
    "resnet_classification": Spec(
        "ResNetForImageClassification",
        "ResNetConfig",
        {**RESNET, "layer_type": "basic", "num_labels": 7, "downsample_in_first_stage": True},
        images((33, 47)),
        ("logits",),
    ),
    # Within its layers there is relu, whatever the config's activation.
    "resnet_silu": Spec(
        "ResNetModel",
        "ResNetConfig",
        {**RESNET, "hidden_act": "silu"},
        images((33, 47)),
        ("last_hidden_state", "pooler_output"),
    ),
}
