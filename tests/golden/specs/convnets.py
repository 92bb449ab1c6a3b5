"""Goldens of convolutional networks."""

from specs import Spec, images

BASE = ("last_hidden_state", "pooler_output")
CONVNEXT = {"hidden_sizes": [32, 64], "depths": [2, 1], "num_stages": 2, "patch_size": 4}
EFFICIENTNET = {
    "width_coefficient": 0.25,
    "depth_coefficient": 1.1,
    "hidden_dim": 320,
    "kernel_sizes": [3, 5, 3],
    "in_channels": [32, 16, 24],
    "out_channels": [16, 24, 40],
    "strides": [1, 2, 2],
    "num_block_repeats": [1, 2, 1],
    "expand_ratios": [1, 6, 4],
    "depthwise_padding": [1],
}
MOBILENET = {"depth_multiplier": 0.1, "min_depth": 8}
THIN = {"finegrained_output": False}
REGNET = {"embedding_size": 16, "hidden_sizes": [32, 64], "depths": [2, 1], "groups_width": 16}


def hf(prefix, values, base=None, head=None, size=(40, 56)) -> dict[str, Spec]:
    """The model without a head, and the classifier."""
    config, name = f"{prefix}Config", prefix.lower().replace("netv", "net_v")
    return {
        name: Spec(f"{prefix}Model", config, {**values, **(base or {})}, images(size), BASE),
        f"{name}_classification": Spec(
            f"{prefix}ForImageClassification",
            config,
            {**values, "num_labels": 7, **(head or {})},
            images((45, 33)),
            ("logits", "hidden_states"),
            options={"output_hidden_states": True},
        ),
    }


SMALL = {"num_classes": 7, "stem_size": 8, "num_features": 32}
TIMM = {
    f"timm_{case}": Spec(f"timm:{name}", "", values, images((70, 45)), ("logits",))
    for case, name, values in (
        (
            "mobilenetv3",
            "mobilenetv3_small_100",
            {
                **SMALL,
                "block_args": [
                    ["ds_r1_k3_s2_e1_c8_se0.25_nre"],
                    ["ir_r1_k3_s2_e4_c16_nre", "ir_r2_k5_s1_e3_c16_se0.25"],
                    ["cn_r1_k1_s1_c64"],
                ],
            },
        ),
        (
            "mobilenetv4",
            "mobilenetv4_hybrid_medium",
            {
                **SMALL,
                "block_args": [
                    ["er_r1_k3_s2_e4_c16"],
                    ["uir_r1_a3_k5_s2_e2_c32", "uir_r1_a0_k0_s1_e2_c32"],
                    [
                        "mqa_r1_k3_h4_s1_v2_d16_c32",
                        "mqa_r1_k3_h2_s1_d16_c32",
                        "uir_r1_a5_k0_s1_e2_c32",
                    ],
                    ["uir_r1_a5_k0_s2_e2_c32"],
                    ["cn_r1_k1_s1_c64"],
                ],
            },
        ),
        (
            "efficientnet",
            "efficientnet_b0",
            {
                **SMALL,
                "global_pool": "catavgmax",
                "in_chans": 3,
                "block_args": [
                    ["ds_r1_k3_s1_e1_c8_se0.25"],
                    ["ir_r2_k5_s2_e6_c16_se0.25"],
                    ["er_r1_k3_s2_e4_c24"],
                ],
            },
        ),
        (
            "efficientnet_lite",
            "tf_efficientnet_lite0",
            {
                **SMALL,
                "block_args": [
                    ["ds_r1_k3_s1_e1_c8"],
                    ["ir_r2_k5_s2_e6_c16", "ir_r1_k3_s1_e6_c16"],
                    ["ir_r1_k5_s2_e6_c24"],
                ],
            },
        ),
        (
            "mobilenetv1",
            "mobilenetv1_100",
            {
                **SMALL,
                "num_features": 0,
                "global_pool": "avgmax",
                "block_args": [["dsa_r2_k3_s1_c16"], ["dsa_r2_k3_s2_c32"]],
            },
        ),
    )
}
BYOB = {"num_classes": 7, "stem_chs": 8, "depths": [1, 3], "widths": [16, 32]}
EFFICIENTVIT = {
    "num_classes": 7,
    "img_size": 96,
    "embed_dim": [32, 48],
    "key_dim": [8, 8],
    "depth": [1, 1],
    "num_heads": [2, 3],
    "window_size": [3, 3],
    "kernels": [5, 3, 3],
}
FASTVIT = {
    "num_classes": 7,
    "layers": [1, 1],
    "embed_dims": [32, 64],
    "mlp_ratios": [2, 3],
    "token_mixers": ["repmixer", "attention"],
    "pos_embs": [0, 5],
    "se_downsamples": [0, 1],
}
for case, name, values in (
    ("repvgg", "repvgg_b1g4", {**BYOB, "groups": 4, "se_blocks": [0, 0]}),
    ("mobileone", "mobileone_s0", {**BYOB, "num_conv_branches": 2, "se_blocks": [0, 1]}),
    ("vgg", "vgg11_bn", {"num_classes": 7, "cfg": [8, "M", 16, 16, "M"], "mlp_ratio": 0.002}),
    ("convmixer", "convmixer_1536_20", {"num_classes": 7, "dim": 32, "depth": 2, "patch_size": 4}),
    ("fastvit", "fastvit_sa12", FASTVIT),
    ("efficientvit", "efficientvit_m1", EFFICIENTVIT),
):
    TIMM[f"timm_{case}"] = Spec(
        f"timm:{name}",
        "",
        values,
        images((70, 45)),
        ("logits",),
        stds={"*qkv.weight": 0.1, "*token_mixer.proj.weight": 0.1},
    )
TIMM["timm_wrapper"] = Spec(
    "timm_wrapper:mobilenetv3_small_100",
    "",
    TIMM["timm_mobilenetv3"].values,
    images((40, 45)),
    ("logits",),
)
SPECS = {
    **hf("ConvNext", CONVNEXT, head={"layer_scale_init_value": 0.0, "hidden_act": "relu"}),
    **hf("ConvNextV2", CONVNEXT),
    "convnext_backbone": Spec(
        "ConvNextBackbone",
        "ConvNextConfig",
        {**CONVNEXT, "out_features": ["stem", "stage2"]},
        images((40, 56)),
        ("feature_maps",),
    ),
    "convnextv2_backbone": Spec(
        "ConvNextV2Backbone",
        "ConvNextV2Config",
        {**CONVNEXT, "out_indices": [1, 2]},
        images((40, 56)),
        ("feature_maps",),
    ),
    **hf("EfficientNet", EFFICIENTNET, head={"hidden_act": "relu", "pooling_type": "max"}),
    **hf("MobileNetV1", MOBILENET, head={"tf_padding": False, "depth_multiplier": 0.15}),
    **hf(
        "MobileNetV2",
        MOBILENET,
        {"output_stride": 8, **THIN},
        {"tf_padding": False, **THIN},
        (70, 61),
    ),
    "mobilenet_v2_segmentation": Spec(
        "MobileNetV2ForSemanticSegmentation",
        "MobileNetV2Config",
        {**MOBILENET, "output_stride": 16, "num_labels": 5, "first_layer_is_expansion": False},
        images((70, 61)),
        ("logits",),
    ),
    **TIMM,
    **hf("RegNet", REGNET, head={"layer_type": "x", "downsample_in_first_stage": False}),
}
