"""Goldens of small vision models: TinyViT, and MobileSAM, which stands on it."""

import json
from pathlib import Path
from types import SimpleNamespace

import torch
import transformers
from safetensors.torch import save_file
from torch import nn
from transformers.models.sam.modeling_sam import SamVisionEncoderOutput, SamVisionNeck

from specs import Spec, images, texts
from specs.dense import MASKS, SAM, prompts
from specs.image_text import both

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

CONVNEXT = {"dims": [8, 8, 16, 32], "depths": [1, 1, 2, 1], "num_classes": 7}
for case, name, more in (
    ("convnext", "convnext_large_mlp", {"head_hidden_size": 16, "global_pool": "max"}),
    ("convnextv2", "convnextv2_atto", {}),
    (
        "convnext_hnf",
        "convnext_tiny_hnf",
        {"stem_type": "overlap_tiered", "kernel_sizes": [7, 5, 5, 3], "conv_bias": False},
    ),
):
    size = images((45, 40))
    SPECS[f"timm_{case}"] = Spec(f"timm:{name}", "", {**CONVNEXT, **more}, size, ("logits",))
VIT = {"img_size": [24, 40], "patch_size": 8, "embed_dim": 32, "depth": 2, "mlp_ratio": 2.0}
for case, name, more in (
    ("vit", "vit_base_patch16_clip_quickgelu_224", {"num_heads": 2}),
    (
        "vit_registers",
        "vit_small_patch14_reg4_dinov2",
        {"num_heads": 4, "global_pool": "avg", "qkv_bias": False},
    ),
    ("deit3", "deit3_small_patch16_224", {"num_heads": 4, "patch_size": [8, 10]}),
    ("deit_distilled", "deit_tiny_distilled_patch16_224", {"num_heads": 2}),
):
    SPECS[f"timm_{case}"] = Spec(
        f"timm:{name}",
        "",
        {**VIT, **more, "num_classes": 7},
        images((24, 40)),
        ("logits",),
        stds={"*qkv.weight": 0.2},
    )
# The variants of five stages have other norms before attention, and a stem of fewer branches.
SPECS["timm_fastvit_mci3"] = Spec(
    "timm:fastvit_mci3",
    "",
    {
        "num_classes": 7,
        "layers": [1, 1],
        "embed_dims": [8, 32],
        "mlp_ratios": [2, 1],
        "token_mixers": ["repmixer", "attention"],
        "pos_embs": [0, 3],
        "se_downsamples": [0, 0],
    },
    images((40, 29)),
    ("logits",),
    stds={"*qkv.weight": 0.1, "*token_mixer.proj.weight": 0.1},
)
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


class ResBlock(nn.Module):
    """A layer of OpenCLIP's text side, by PyTorch's own attention."""

    def __init__(self, width, heads, eps):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Module()
        self.mlp.c_fc, self.mlp.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, mask, act):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, attn_mask=mask, need_weights=False)[0]
        return x + self.mlp.c_proj(act(self.mlp.c_fc(self.ln_2(x))))


class OpenClip(nn.Module):
    """OpenCLIP's pair of towers, restated from its documentation, over a model of timm."""

    def __init__(self, values):
        super().__init__()
        import timm_oracle

        vision, text, out = values["vision_cfg"], values["text_cfg"], values["embed_dim"]
        width = text["width"]
        labels = 0 if vision["timm_proj"] == "none" else out
        given = {**vision["model_args"], "num_classes": labels, "global_pool": vision["timm_pool"]}
        eps = text.get("norm_kwargs", {}).get("eps", 1e-5)
        self.visual, self.text = nn.Module(), nn.Module()
        self.visual.trunk = timm_oracle.timm_model(vision["timm_model_name"], given)
        self.text.token_embedding = nn.Embedding(text["vocab_size"], width)
        self.text.positional_embedding = nn.Parameter(torch.zeros(text["context_length"], width))
        self.text.transformer = nn.Module()
        self.text.transformer.resblocks = nn.ModuleList(
            ResBlock(width, text["heads"], eps) for _ in range(text["layers"])
        )
        self.text.ln_final = nn.LayerNorm(width, eps)
        if text.get("proj_bias"):
            self.text.text_projection = nn.Linear(width, out)
        else:
            self.text.text_projection = nn.Parameter(torch.zeros(width, out))
        self.logit_scale = nn.Parameter(torch.zeros(()))
        if values.get("init_logit_bias") is not None:
            self.logit_bias = nn.Parameter(torch.zeros(()))
        self.given = values

    def forward(self, input_ids, pixel_values):
        text, act = self.given["text_cfg"], nn.functional.gelu
        if self.given.get("quick_gelu"):
            act = transformers.activations.ACT2FN["quick_gelu"]
        elif text.get("act_kwargs"):
            act = transformers.activations.ACT2FN["gelu_pytorch_tanh"]
        n = input_ids.shape[1]
        mask = None if text.get("no_causal_mask") else torch.ones(n, n).triu(1) > 0
        x = self.text.token_embedding(input_ids) + self.text.positional_embedding[:n]
        for block in self.text.transformer.resblocks:
            x = block(x, mask, act)
        places = {"argmax": input_ids.argmax(1), "last": n - 1, "first": 0}
        pooled = self.text.ln_final(x)[
            torch.arange(len(x)), places[text.get("pool_type", "argmax")]
        ]
        project = self.text.text_projection
        pooled = project(pooled) if text.get("proj_bias") else pooled @ project
        texts = nn.functional.normalize(pooled, dim=-1)
        found = self.visual.trunk(pixel_values)["logits"]
        pictures = nn.functional.normalize(found, dim=-1)
        scores = texts @ pictures.T * self.logit_scale.exp() + getattr(self, "logit_bias", 0.0)
        return {"logits_per_text": scores, "text_embeds": texts, "image_embeds": pictures}

    def tie_weights(self):
        pass

    def save_pretrained(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.state_dict(), folder / "model.safetensors")
        values = {"model_type": "open_clip", **self.given}
        (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n")


def open_clip(values):
    """Values for inputs, and the model."""
    text = SimpleNamespace(vocab_size=values["text_cfg"]["vocab_size"])
    return SimpleNamespace(text_config=text, vision_config=None), OpenClip(values)


OPEN_CLIP = {
    "embed_dim": 32,
    "vision_cfg": {
        "timm_model_name": "fastvit_mci0",
        "timm_pool": "avg",
        "timm_proj": None,
        "image_size": 64,
        "model_args": {
            "layers": [1, 1],
            "embed_dims": [8, 32],
            "mlp_ratios": [1, 2],
            "token_mixers": ["repmixer", "attention"],
            "pos_embs": [0, 3],
            "se_downsamples": [0, 1],
        },
    },
    "text_cfg": {
        "context_length": 9,
        "vocab_size": 40,
        "width": 32,
        "heads": 4,
        "layers": 2,
        "no_causal_mask": True,
    },
    "custom_text": True,
}
# A trunk of another family, texts that see what was before, and a bias of scores.
SIGMOID = {
    **OPEN_CLIP,
    "quick_gelu": True,
    "init_logit_bias": -10.0,
    "vision_cfg": {
        "timm_model_name": "convmixer_1536_20",
        "timm_pool": "max",
        "timm_proj": "",
        "model_args": {"dim": 32, "depth": 1, "patch_size": 8},
    },
    "text_cfg": {
        "context_length": 12,
        "vocab_size": 40,
        "width": 32,
        "heads": 2,
        "layers": 2,
        "pool_type": "last",
    },
}
# As SigLIP stands there: a learned query pools, nothing projects, norms and GELU of other kinds.
SIGLIP = {
    "embed_dim": 32,
    "init_logit_bias": -10.0,
    "vision_cfg": {
        "timm_model_name": "vit_base_patch16_siglip_224",
        "timm_pool": "map",
        "timm_proj": "none",
        "model_args": {**VIT, "num_heads": 4, "img_size": [32, 24]},
    },
    "text_cfg": {
        "context_length": 9,
        "vocab_size": 40,
        "width": 32,
        "heads": 4,
        "layers": 1,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
        "norm_kwargs": {"eps": 1e-3},
        "act_kwargs": {"approximate": "tanh"},
    },
}
CASES = {"open_clip": OPEN_CLIP, "open_clip_sigmoid": SIGMOID, "open_clip_siglip": SIGLIP}
for case, values in CASES.items():
    SPECS[case] = Spec(
        "OpenCLIPModel",
        open_clip,
        values,
        both(texts(length=8, batch=3, pad=None), images((32, 24))),
        ("logits_per_text", "text_embeds", "image_embeds"),
        stds={"*in_proj_weight": 0.2, "*qkv.weight": 0.1, "*logit_scale": 0.5},
        singles=False,  # scores are of all pairs
    )
