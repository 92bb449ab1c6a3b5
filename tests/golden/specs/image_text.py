"""Goldens of models of pictures beside texts."""

import torch

from specs import Inputs, Spec, images, texts
from specs.vision_transformers import ANYSIZE, STATES, TOWER


def both(text: Inputs, picture: Inputs) -> Inputs:
    """Texts of the one side's config and pictures of the other's."""

    def make(config, source):
        found = text(config.text_config, source)
        pictures = picture(config.vision_config, source)
        return {"input_ids": found.pop("input_ids"), **pictures, **found}

    return make


def ended(end: int, **more) -> Inputs:
    """Texts that end with `end` before their padding."""
    make_texts = texts(low=4, **more)

    def make(config, source):
        found = make_texts(config, source)
        ids = found["input_ids"]
        ids[ids == end] = 4
        last = found["attention_mask"].sum(1) - 1
        ids[torch.arange(len(ids)), last] = end
        return found

    return make


def flexible(config, source):
    """Rows of patches of pictures of different shapes, padded."""
    shapes = torch.tensor([[3, 5], [4, 2], [6, 3]])
    pixels = config.num_channels * config.patch_size**2
    mask = (torch.arange(18) < shapes.prod(1)[:, None]).long()
    return {
        "pixel_values": torch.randn(3, 18, pixels, generator=source) * mask[..., None],
        "pixel_attention_mask": mask,
        "spatial_shapes": shapes,
    }


TEXT = {**TOWER, "vocab_size": 64, "max_position_embeddings": 14, "eos_token_id": 63}
PICTURE = {**TOWER, "image_size": 16, "patch_size": 8}
PAIR = ("logits_per_image", "logits_per_text", "text_embeds", "image_embeds")
CLIP = {
    "text_config": {**TEXT, "projection_dim": 24},
    "vision_config": {**PICTURE, "projection_dim": 24},
    "projection_dim": 24,
}
# Scores are of all pairs, so that a row of them alone is another matrix: singles=False.
SPECS = {
    "clip": Spec(
        "CLIPModel",
        "CLIPConfig",
        CLIP,
        both(ended(63, batch=3), images((24, 16))),
        PAIR,
        singles=False,
        options=ANYSIZE,
    ),
    "clip_text": Spec(
        "CLIPTextModelWithProjection",
        "CLIPTextConfig",
        CLIP["text_config"],
        ended(63),
        ("text_embeds", "last_hidden_state"),
    ),
    "clip_text_legacy": Spec(
        "CLIPTextModel",
        "CLIPTextConfig",
        {**TEXT, "eos_token_id": 2, "hidden_act": "gelu"},
        ended(63),
        ("pooler_output", "last_hidden_state"),
    ),
    "clip_vision": Spec(
        "CLIPVisionModelWithProjection",
        "CLIPVisionConfig",
        CLIP["vision_config"],
        images(16),
        ("image_embeds", "last_hidden_state"),
    ),
    "clip_vision_bare": Spec(
        "CLIPVisionModel", "CLIPVisionConfig", PICTURE, images(16), STATES[::-1]
    ),
    "clip_classification": Spec(
        "CLIPForImageClassification",
        "CLIPConfig",
        {**CLIP, "num_labels": 5},
        lambda config, source: images(16)(config.vision_config, source),
        ("logits",),
    ),
    "chinese_clip": Spec(
        "ChineseCLIPModel",
        "ChineseCLIPConfig",
        {**CLIP, "text_config": TEXT},
        both(texts(batch=3, types=2), images(16, batch=3)),
        (*PAIR, "loss"),
        singles=False,
        options={"return_loss": True},
    ),
    "siglip": Spec(
        "SiglipModel",
        "SiglipConfig",
        {"text_config": TEXT, "vision_config": PICTURE},
        both(texts(pad=None), images((16, 24))),
        (*PAIR, "loss"),
        singles=False,
        options={**ANYSIZE, "return_loss": True},
    ),
    # The pooled position is the last one, be it padding: singles=False.
    "siglip_text": Spec(
        "SiglipTextModel",
        "SiglipTextConfig",
        {**TEXT, "projection_size": 24},
        texts(),
        ("pooler_output", "last_hidden_state"),
        singles=False,
    ),
    "siglip_vision": Spec(
        "SiglipVisionModel", "SiglipVisionConfig", PICTURE, images(16), STATES[::-1]
    ),
    "siglip_classification": Spec(
        "SiglipForImageClassification",
        "SiglipConfig",
        {
            "text_config": TEXT,
            "vision_config": {**PICTURE, "vision_use_head": False},
            "num_labels": 5,
        },
        lambda config, source: images((24, 16))(config.vision_config, source),
        ("logits",),
        options=ANYSIZE,
    ),
    "siglip2": Spec(
        "Siglip2Model",
        "Siglip2Config",
        {"text_config": TEXT, "vision_config": {**TOWER, "patch_size": 4, "num_patches": 16}},
        both(texts(pad=None, batch=3), flexible),
        PAIR,
        singles=False,
    ),
    "siglip2_vision": Spec(
        "Siglip2VisionModel",
        "Siglip2VisionConfig",
        {**TOWER, "patch_size": 4, "num_patches": 16},
        flexible,
        ("pooler_output", "last_hidden_state"),
    ),
    "siglip2_text": Spec(
        "Siglip2TextModel",
        "Siglip2TextConfig",
        TEXT,
        texts(pad=None),
        ("pooler_output", "last_hidden_state"),
    ),
    "siglip2_classification": Spec(
        "Siglip2ForImageClassification",
        "Siglip2Config",
        {
            "text_config": TEXT,
            "vision_config": {**TOWER, "patch_size": 4, "num_patches": 16},
            "num_labels": 5,
        },
        lambda config, source: flexible(config.vision_config, source),
        ("logits",),
    ),
}
