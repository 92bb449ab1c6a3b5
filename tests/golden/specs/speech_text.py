"""Goldens of models that write down speech: Whisper."""

from __future__ import annotations

import torch

from specs import Spec
from specs.documents import WORDS

WHISPER = {
    "vocab_size": 72,
    "num_mel_bins": 8,
    "d_model": 32,
    "encoder_layers": 3,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 48,
    "max_source_positions": 10,
    "max_target_positions": 40,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 3,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}
STDS = {**WORDS, "*conv*.weight": 0.2}
HIDDEN = {"output_hidden_states": True}
SEQ2SEQ = ("encoder_last_hidden_state", "decoder_hidden_states", "encoder_hidden_states")


def spectra(ids=True):
    """Spectra of two sounds, and the beginning of what is said."""

    def make(config, source):
        frames = 2 * config.max_source_positions
        found = {"input_features": torch.randn(2, config.num_mel_bins, frames, generator=source)}
        if ids:
            drawn = torch.randint(4, config.vocab_size, (2, 6), generator=source)
            drawn[:, 0] = 3
            found["decoder_input_ids"] = drawn
        return found

    return make


SPECS = {
    "whisper": Spec(
        "WhisperModel", "WhisperConfig", WHISPER, spectra(), ("last_hidden_state", *SEQ2SEQ),
        stds=STDS, options=HIDDEN,
    ),
    "whisper_generation": Spec(
        "WhisperForConditionalGeneration", "WhisperConfig", WHISPER, spectra(),
        ("logits", *SEQ2SEQ), stds=STDS, options=HIDDEN,
    ),
    # Fewer layers of the decoder, and words of its own: Distil-Whisper, and what is trained so.
    "whisper_distil": Spec(
        "WhisperForConditionalGeneration", "WhisperConfig",
        {**WHISPER, "decoder_layers": 1, "tie_word_embeddings": False}, spectra(), ("logits",),
        stds=STDS,
    ),
    "whisper_classification": Spec(
        "WhisperForAudioClassification", "WhisperConfig",
        {**WHISPER, "use_weighted_layer_sum": True, "classifier_proj_size": 16, "num_labels": 5},
        spectra(ids=False), ("logits",), stds=STDS,
    ),
}  # fmt: skip
