"""Tasks: a model with what stands before and after it, behind one object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.packages import names_of

if TYPE_CHECKING:
    from tallow.tasks.audio_codec import AudioCodec
    from tallow.tasks.batches import BatchError, Outcome
    from tallow.tasks.embedder import Embedder
    from tallow.tasks.image_tasks import (
        Detector,
        ImageClassifier,
        ImageEmbedder,
        Segmenter,
        ZeroShotImageClassifier,
    )
    from tallow.tasks.line_reader import LineReader
    from tallow.tasks.llm import LLM
    from tallow.tasks.reranker import Reranker
    from tallow.tasks.speaker_embedder import SpeakerEmbedder
    from tallow.tasks.speech_synthesizer import SpeechSynthesizer
    from tallow.tasks.stream import Stream
    from tallow.tasks.summarizer import Summarizer
    from tallow.tasks.text_classifier import TextClassifier
    from tallow.tasks.token_classifier import TokenClassifier
    from tallow.tasks.transcriber import Transcriber
    from tallow.tasks.transcript import Transcription
    from tallow.tasks.translator import Translator
    from tallow.tasks.voice_activity import VoiceActivity

__all__ = [
    "LLM",
    "Stream",
    "Embedder",
    "Reranker",
    "TextClassifier",
    "TokenClassifier",
    "Translator",
    "Summarizer",
    "ImageClassifier",
    "ImageEmbedder",
    "Detector",
    "Segmenter",
    "ZeroShotImageClassifier",
    "LineReader",
    "VoiceActivity",
    "AudioCodec",
    "SpeakerEmbedder",
    "SpeechSynthesizer",
    "Transcriber",
    "Transcription",
    "BatchError",
    "Outcome",
]

_HOMES = {
    "LLM": "llm",
    "Stream": "llm",
    "Embedder": "embedder",
    "Reranker": "reranker",
    "TextClassifier": "text_classifier",
    "TokenClassifier": "token_classifier",
    "Translator": "translator",
    "Summarizer": "summarizer",
    "ImageClassifier": "image_tasks",
    "ImageEmbedder": "image_tasks",
    "Detector": "image_tasks",
    "Segmenter": "image_tasks",
    "ZeroShotImageClassifier": "image_tasks",
    "LineReader": "line_reader",
    "VoiceActivity": "voice_activity",
    "AudioCodec": "audio_codec",
    "SpeakerEmbedder": "speaker_embedder",
    "SpeechSynthesizer": "speech_synthesizer",
    "Transcriber": "transcriber",
    "Transcription": "transcript",
    "BatchError": "batches",
    "Outcome": "batches",
}

__getattr__, __dir__ = names_of(globals(), _HOMES)
