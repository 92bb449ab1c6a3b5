"""Texts for CLIP, SigLIP and their relatives, which put texts and pictures into one space."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.models.base import Model
from tallow.tasks.base import inputs_of, longest, text_inputs
from tallow.tensor import Tensor


def is_siglip(model: Model) -> bool:
    """Whether it is SigLIP or SigLIP 2, which read texts of one length and score each alone."""
    return str(model.config_values.get("model_type", "")).startswith("siglip")


def scores_alone(model: Model) -> bool:
    """Whether each score stands for itself, by a sigmoid, and not for its share of all."""
    return is_siglip(model) or model.config_values.get("init_logit_bias") is not None


def texts_for(model: Model, texts: Sequence[str]) -> dict[str, Tensor]:
    """What the model takes of texts, cut to its positions."""
    limit = longest(model.tokenizer, model.config)
    siglip, zeros = is_siglip(model), model.config_values.get("model_type") == "open_clip"
    found = model.tokenizer.batch(
        list(texts),
        padding="max_length" if siglip or zeros else True,
        truncation=True,
        max_length=limit,
    )
    inputs = text_inputs(found)
    if siglip:  # was trained with padding that counts
        inputs["attention_mask"] = None
    if zeros:  # OpenCLIP fills texts up with them, and looks at them
        inputs["input_ids"] = found.input_ids * found.attention_mask
    return inputs_of(model, inputs)
