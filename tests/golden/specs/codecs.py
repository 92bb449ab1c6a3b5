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
SPECS = {
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
