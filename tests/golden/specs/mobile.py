"""Goldens of small vision models: TinyViT, and MobileSAM, which stands on it."""

import json
from pathlib import Path

import transformers
from torch import nn
from transformers.models.sam.modeling_sam import SamVisionEncoderOutput, SamVisionNeck

from specs import Spec, images
from specs.vision_transformers import MASKS, SAM, prompts

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

for case, name, values in (
    ("efficientvit_mit", "efficientvit_b1", {"widths": [8, 8, 16, 16], "expand_ratio": 2}),
    ("efficientvit_large", "efficientvit_l1", {"widths": [4, 4, 4, 8, 16]}),
):
    more = {"depths": [1, 1, 2, 2, 1][: len(values["widths"])], "head_dim": 8}
    SPECS[f"timm_{case}"] = Spec(
        f"timm:{name}",
        "",
        {**values, **more, "head_widths": [32, 32], "num_classes": 7},
        images((40, 35)),
        ("logits",),
    )


class TinyEncoder(nn.Module):
    """MobileSAM's encoder: timm's TinyViT, whose last stage keeps the size, and SAM's neck."""

    def __init__(self, config, values):
        super().__init__()
        from timm.models.tiny_vit import TinyVit

        given = TinyVit(**values, num_classes=0)
        self.patch_embed, self.stages = given.patch_embed, given.stages
        self.stages[-1].downsample.conv2.conv.stride = (1, 1)
        self.neck = SamVisionNeck(config)

    def forward(self, pixel_values, **kwargs):
        for module in self.modules():
            if hasattr(module, "attention_bias_cache"):  # made without a gradient, maybe
                module.attention_bias_cache = {}
        x = self.stages(self.patch_embed(pixel_values)).permute(0, 2, 3, 1)
        return SamVisionEncoderOutput(last_hidden_state=self.neck(x))


class MobileSam(transformers.SamModel):
    """transformers' SAM with the other encoder."""

    given: dict

    def save_pretrained(self, folder: Path) -> None:
        super().save_pretrained(folder)
        values = {"model_type": "mobile_sam", "architectures": ["MobileSamModel"], **self.given}
        (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n")


def mobile_sam(values):
    """A config for inputs, and the model."""
    tiny = {key: values["vision_config"][key] for key in TINY_VIT}
    sizes = {"hidden_size": tiny["embed_dims"][-1], "image_size": 32}
    vision = {**SAM["vision_config"], **sizes}
    config = transformers.SamConfig(**{**values, "vision_config": vision})
    config._attn_implementation = "eager"
    model = MobileSam(config)
    model.vision_encoder = TinyEncoder(config.vision_config, tiny)
    model.given = values
    model.set_attn_implementation("eager")
    return config, model


NARROW = {"embed_dims": [8, 8, 16], "depths": [1, 1, 1], "num_heads": [1, 2, 2]}
MOBILE_SAM = {
    "vision_config": {
        **TINY_VIT,
        **NARROW,
        "image_size": 32,
        "output_channels": 16,
        "num_pos_feats": 8,
    },
    "prompt_encoder_config": {**SAM["prompt_encoder_config"], "image_size": 32},
    "mask_decoder_config": {
        **SAM["mask_decoder_config"],
        "layer_norm_eps": 1e-5,
        "num_multimask_outputs": 1,
        "iou_head_depth": 4,
    },
}
SPECS |= {
    "mobile_sam": Spec(
        "MobileSamModel",
        mobile_sam,
        MOBILE_SAM,
        prompts(True, True, False),
        MASKS,
        stds={"*qkv.weight": 0.1},
    ),
}
