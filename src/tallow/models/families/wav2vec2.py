"""wav2vec 2.0: a transformer over frames of raw speech (arXiv 2006.11477)."""

from __future__ import annotations

from tallow.models.base import define_heads
from tallow.models.blocks.speech_encoder import SpeechConfig, SpeechModel
from tallow.models.blocks.speech_heads import (
    CTC,
    AudioFrameClassification,
    SequenceClassification,
    XVector,
)


class Wav2Vec2Config(SpeechConfig):
    """Of Hugging Face's `Wav2Vec2Config`."""

    adapter_attn_dim: int | None = None


class Wav2Vec2Model(SpeechModel):
    """Frames, layers, adapter."""

    config_class, base_model_prefix = Wav2Vec2Config, "wav2vec2"


define_heads(
    globals(), "Wav2Vec2", CTC, SequenceClassification, AudioFrameClassification, XVector,
    config_class=Wav2Vec2Config, base_class=Wav2Vec2Model, base_model_prefix="wav2vec2",
)  # fmt: skip
