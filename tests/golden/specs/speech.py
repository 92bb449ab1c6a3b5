"""Goldens of models of speech: samples in, padded behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from specs import Spec

Inputs = Callable[[Any, torch.Generator], dict[str, torch.Tensor]]


def sounds(length: int = 400, *, batch: int = 2, short: int | None = 131) -> Inputs:
    """Samples of a normal distribution; the later rows are `short` samples shorter, and masked."""

    def make(config: Any, source: torch.Generator) -> dict[str, torch.Tensor]:
        samples = torch.randn(batch, length, generator=source)
        found = {"input_values": samples}
        if short is not None:
            mask = torch.ones(batch, length, dtype=torch.int64)
            mask[1:, length - short :] = 0
            found = {"input_values": samples * mask, "attention_mask": mask}
        return found

    return make


def spoken(inputs: Inputs, length: int = 6) -> Inputs:
    """The same with ids of a decoder."""

    def make(config: Any, source: torch.Generator) -> dict[str, torch.Tensor]:
        found = inputs(config, source)
        rows = found["input_values"].shape[0]
        ids = torch.randint(3, config.vocab_size, (rows, length), generator=source)
        return {**found, "decoder_input_ids": ids}

    return make


MOONSHINE = {
    "vocab_size": 48,
    "hidden_size": 24,
    "intermediate_size": 64,
    "encoder_num_hidden_layers": 2,
    "decoder_num_hidden_layers": 2,
    "encoder_num_attention_heads": 2,
    "decoder_num_attention_heads": 2,
    "max_position_embeddings": 64,
}
WAV2VEC2 = {
    "vocab_size": 24,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": [16, 16, 24],
    "conv_kernel": [10, 3, 2],
    "conv_stride": [5, 2, 2],
    "num_conv_pos_embeddings": 6,
    "num_conv_pos_embedding_groups": 4,
    "tdnn_dim": [16, 16, 24],
    "tdnn_kernel": [3, 2, 1],
    "tdnn_dilation": [1, 2, 1],
    "xvector_output_dim": 16,
    "classifier_proj_size": 16,
}
LARGE = {
    **WAV2VEC2,
    "feat_extract_norm": "layer",
    "conv_bias": True,
    "do_stable_layer_norm": True,
    "num_conv_pos_embeddings": 5,
}
STDS = {"*.conv.weight": 0.2, "*feature_projection.projection.weight": 0.3}
HIDDEN = {"output_hidden_states": True}
STATES = ("last_hidden_state", "hidden_states", "extract_features")


def spec(family: str, head: str, values: dict, inputs: Inputs, outputs: tuple, **more: Any) -> Spec:
    return Spec(f"{family}{head}", f"{family}Config", values, inputs, outputs, STDS, **more)


SPECS = {
    # Rows depend on their neighbours' padding where it is seen: by a group norm over time, by a
    # batch norm behind which it is no zero, by the second of several convolutions for positions,
    # by x-vectors, whose lengths transformers counts without dilation.
    "wav2vec2": spec(
        "Wav2Vec2", "Model", WAV2VEC2, sounds(), STATES, options=HIDDEN, singles=False
    ),
    "wav2vec2_ctc": spec("Wav2Vec2", "ForCTC", LARGE, sounds(), ("logits",)),
    "wav2vec2_adapters": spec(
        "Wav2Vec2",
        "ForCTC",
        {**LARGE, "add_adapter": True, "output_hidden_size": 24, "num_adapter_layers": 1,
         "adapter_attn_dim": 8},
        sounds(short=None),
        ("logits",),
    ),
    "wav2vec2_classes": spec(
        "Wav2Vec2",
        "ForSequenceClassification",
        {**LARGE, "num_labels": 5, "use_weighted_layer_sum": True},
        sounds(),
        ("logits", "hidden_states"),
        options=HIDDEN,
    ),
    "wav2vec2_frames": spec(
        "Wav2Vec2",
        "ForAudioFrameClassification",
        {**WAV2VEC2, "num_labels": 5},
        sounds(short=None),
        ("logits",),
    ),
    "wav2vec2_xvector": spec(
        "Wav2Vec2",
        "ForXVector",
        {**LARGE, "num_labels": 5},
        sounds(),
        ("logits", "embeddings"),
        singles=False,
    ),
    "hubert": spec(
        "Hubert",
        "Model",
        {**WAV2VEC2, "feat_extract_norm": "layer", "feat_proj_layer_norm": False,
         "conv_pos_batch_norm": True},
        sounds(),
        STATES[:2],
        options=HIDDEN,
        singles=False,
    ),
    "hubert_ctc": spec("Hubert", "ForCTC", LARGE, sounds(), ("logits",)),
    "wavlm": spec(
        "WavLM",
        "Model",
        {**WAV2VEC2, "feat_extract_norm": "layer", "num_buckets": 16, "max_bucket_distance": 12},
        sounds(),
        STATES,
        options=HIDDEN,
    ),
    "wavlm_xvector": spec(
        "WavLM",
        "ForXVector",
        {**LARGE, "num_labels": 5, "use_weighted_layer_sum": True, "tdnn_dilation": [1, 1, 1]},
        sounds(),
        ("logits", "embeddings"),
    ),
    "unispeech_ctc": spec("UniSpeech", "ForCTC", LARGE, sounds(), ("logits",)),
    "unispeech_sat_classes": spec(
        "UniSpeechSat", "ForSequenceClassification", {**LARGE, "num_labels": 5}, sounds(),
        ("logits",),
    ),
    "data2vec_audio": spec(
        "Data2VecAudio",
        "Model",
        {**WAV2VEC2, "conv_pos_kernel_size": 4, "num_conv_pos_embeddings": 2},
        sounds(),
        STATES,
        options=HIDDEN,
        singles=False,
    ),
    "moonshine": Spec(
        "MoonshineModel",
        "MoonshineConfig",
        MOONSHINE,
        spoken(sounds(2300, short=500)),
        ("last_hidden_state", "decoder_hidden_states", "encoder_hidden_states"),
        STDS,
        singles=False,
        options=HIDDEN,
    ),
    "moonshine_generation": Spec(
        "MoonshineForConditionalGeneration",
        "MoonshineConfig",
        {**MOONSHINE, "attention_bias": True, "decoder_num_hidden_layers": 1},
        spoken(sounds(2300, short=None)),
        ("logits",),
        STDS,
        generate={"greedy": {"decoder_input_ids": None, "max_new_tokens": 12}},
    ),
}  # fmt: skip
