"""Texts for CLIP, SigLIP and their relatives, which put texts and pictures into one space."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from tallow.models.base import Model
from tallow.tasks.base import inputs_of, longest, text_inputs
from tallow.tensor import Tensor

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def is_siglip(model: Model) -> bool:
    """Whether it is SigLIP or SigLIP 2, which read texts of one length and score each alone."""
    return str(model.config_values.get("model_type", "")).startswith("siglip")


def scores_alone(model: Model) -> bool:
    """Whether each score stands for itself, by a sigmoid, and not for its share of all."""
    return is_siglip(model) or model.config_values.get("init_logit_bias") is not None


def texts_for(model: Model, texts: Sequence[str]) -> dict[str, Tensor]:
    """What the model takes of texts, cut to its positions."""
    limit = longest(model.tokenizer, model.config)
    siglip, other = is_siglip(model), model.config_values.get("model_type") == "open_clip"
    side: Any = model.config_values.get("text_cfg") if other else None
    side = side or {}
    if (side.get("tokenizer_kwargs") or {}).get("clean") == "canonicalize":
        texts = [canonical(text) for text in texts]
    found = model.tokenizer.batch(
        list(texts),
        padding="max_length" if siglip or other else True,
        truncation=True,
        max_length=limit,
    )
    inputs = text_inputs(found)
    if siglip:  # was trained with padding that counts
        inputs["attention_mask"] = None
    if other and not side.get("hf_tokenizer_name"):  # OpenCLIP's own fills up with zeros
        inputs["input_ids"] = found.input_ids * found.attention_mask
    return inputs_of(model, inputs)


def canonical(text: str) -> str:
    """Small letters without punctuation, one space between words (big_vision's `canonicalize`)."""
    return " ".join(text.replace("_", " ").translate(_PUNCTUATION).lower().split())
