"""Texts for CLIP, SigLIP and their relatives, which put texts and pictures into one space."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.models.base import Model
from tallow.tasks.base import inputs_of, longest, text_inputs
from tallow.tensor import Tensor


def is_siglip(model: Model) -> bool:
    """Whether it is SigLIP or SigLIP 2, which read texts of one length and score each alone."""
    return str(model.config_values.get("model_type", "")).startswith("siglip")


def texts_for(model: Model, texts: Sequence[str]) -> dict[str, Tensor]:
    """What the model takes of texts, cut to its positions."""
    limit = longest(model.tokenizer, model.config)
    siglip = is_siglip(model)
    found = model.tokenizer.batch(
        list(texts), padding="max_length" if siglip else True, truncation=True, max_length=limit
    )
    inputs = text_inputs(found)
    if siglip:  # was trained with padding that counts
        inputs["attention_mask"] = None
    return inputs_of(model, inputs)
