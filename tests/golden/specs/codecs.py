"""Goldens of audio codecs."""

from __future__ import annotations

from typing import Any

import torch
import transformers

from specs import Spec

ENCODEC = {
    "target_bandwidths": [8.0, 16.0, 24.0],
    "sampling_rate": 8000,
    "hidden_size": 12,
    "num_filters": 4,
    "upsampling_ratios": [4, 2],
    "num_residual_layers": 2,
    "kernel_size": 5,
    "codebook_size": 16,
    "num_lstm_layers": 1,
}
STDS = {"*original0": 1.0, "*.conv.weight": 0.3, "*.lstm.*": 0.3}


def drawn_codebooks(name: str):
    """Make a model whose codebooks, which are buffers of zeros, are drawn."""

    def make(values: dict) -> tuple[Any, torch.nn.Module]:
        config = getattr(transformers, f"{name}Config")(**values)
        model = getattr(transformers, f"{name}Model")(config)
        source = torch.Generator().manual_seed(5)
        for key, value in model.named_buffers():
            if key.endswith((".embed", ".embed_sum")):
                value.copy_(torch.randn(value.shape, generator=source).bfloat16().float())
            if key.endswith(".cluster_usage"):
                drawn = torch.randint(1, 4, value.shape, generator=source)
                value.copy_(drawn.float())
        return config, model

    return make


def divided(book: Any) -> torch.Tensor:
    return book.embed_sum / book.cluster_usage.clamp(min=book.epsilon)[:, None]


# Kept from the first call on in transformers, and so of its dtype.
transformers.models.mimi.modeling_mimi.MimiEuclideanCodebook.embed = property(divided)


def waves(length: int, channels: int = 1):
    def make(config: Any, source: torch.Generator) -> dict[str, torch.Tensor]:
        return {"input_values": torch.randn(2, channels, length, generator=source)}

    return make


DAC = {
    "encoder_hidden_size": 8,
    "downsampling_ratios": [2, 3],
    "decoder_hidden_size": 32,
    "n_codebooks": 3,
    "codebook_size": 16,
    "codebook_dim": 4,
}
MIMI = {
    "sampling_rate": 8000,
    "hidden_size": 16,
    "num_filters": 4,
    "upsampling_ratios": [4, 2],
    "kernel_size": 5,
    "codebook_size": 16,
    "codebook_dim": 12,
    "vector_quantization_hidden_dimension": 12,
    "num_quantizers": 3,
    "upsample_groups": 16,
    "num_hidden_layers": 2,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "sliding_window": 4,
}
SPECS = {
    "mimi": Spec(
        "MimiModel",
        drawn_codebooks("Mimi"),
        MIMI,
        waves(261),
        ("audio_values", "audio_codes"),
        STDS,
    ),
    "mimi_fine": Spec(
        "MimiModel",
        drawn_codebooks("Mimi"),
        {
            **MIMI,
            "frame_rate": 250.0,
            "use_conv_shortcut": True,
            "num_residual_layers": 2,
            "attention_bias": True,
            "head_dim": 4,
            "num_semantic_quantizers": 2,
            "codebook_dim": 16,
            "vector_quantization_hidden_dimension": 16,
            "pad_mode": "replicate",
        },
        waves(133),
        ("audio_values", "audio_codes"),
        STDS,
        options={"num_quantizers": 2},
    ),
    "dac": Spec(
        "DacModel",
        "DacConfig",
        DAC,
        waves(131),
        ("audio_values", "quantized_representation", "audio_codes", "projected_latents", "loss"),
        {
            "*_proj.weight": 0.3,
            "*conv*.weight": 0.08,
            "*.bias": 0.1,
            "*.codebook.weight": 1.0,
            "*.alpha": 1.0,
        },
        singles=False,  # the loss is of the batch
    ),
    "encodec": Spec(
        "EncodecModel",
        drawn_codebooks("Encodec"),
        ENCODEC,
        waves(133),
        ("audio_values", "audio_codes"),
        STDS,
        options={"bandwidth": 16.0},
        singles=False,  # the batch is the second axis of codes; tests/models/test_codecs.py
    ),
    "encodec_stereo": Spec(
        "EncodecModel",
        drawn_codebooks("Encodec"),
        {
            **ENCODEC,
            "audio_channels": 2,
            "normalize": True,
            "norm_type": "time_group_norm",
            "chunk_length_s": 0.01,
            "overlap": 0.1,
            "use_causal_conv": False,
            "use_conv_shortcut": False,
            "pad_mode": "constant",
        },
        waves(190, 2),
        ("audio_values", "audio_codes"),
        STDS,
        singles=False,
    ),
}
