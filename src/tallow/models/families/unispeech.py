"""UniSpeech and UniSpeech-SAT: wav2vec 2.0's layers (arXiv 2101.07597, 2110.05752)."""

from __future__ import annotations

from tallow.models.base import define_heads
from tallow.models.blocks.speech_encoder import SpeechConfig, SpeechModel
from tallow.models.blocks.speech_heads import (
    CTC,
    AudioFrameClassification,
    SequenceClassification,
    XVector,
)
from tallow.models.configs import choice


class UniSpeechConfig(SpeechConfig):
    """Of Hugging Face's `UniSpeechConfig` and `UniSpeechSatConfig`."""

    ctc_loss_reduction: str = choice("mean", "sum", "none")
    add_adapter: bool = choice(False)


class UniSpeechModel(SpeechModel):
    """Frames and layers."""

    config_class, base_model_prefix = UniSpeechConfig, "unispeech"


class UniSpeechSatModel(SpeechModel):
    """Frames and layers."""

    config_class, base_model_prefix = UniSpeechConfig, "unispeech_sat"


define_heads(
    globals(), "UniSpeech", CTC, SequenceClassification,
    config_class=UniSpeechConfig, base_class=UniSpeechModel, base_model_prefix="unispeech",
)  # fmt: skip
define_heads(
    globals(), "UniSpeechSat", CTC, SequenceClassification, AudioFrameClassification, XVector,
    config_class=UniSpeechConfig, base_class=UniSpeechSatModel, base_model_prefix="unispeech_sat",
)  # fmt: skip
