"""Goldens of Silero's voice activity and resemblyzer's speaker encoder, restated in torch.

The modules have the names of the files that their packages carry; with these they give what the
packages give (tests/tasks/test_voice_activity.py, test_speaker_embedder.py).
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F

from specs import Spec
from specs.ocr_readers import Published


class Silero(Published):
    """From silero_vad/tinygrad_model.py's description of the model."""

    architecture = "SileroVadModel"

    def __init__(self, filters, hop, channels):
        super().__init__()
        self.pad, bins, last = hop // 2, filters // 2 + 1, channels[-1]
        self.stft_conv = nn.Conv1d(1, 2 * bins, filters, hop, bias=False)
        for i, (a, b) in enumerate(zip((bins, *channels[:-1]), channels, strict=True), 1):
            self.add_module(f"conv{i}", nn.Conv1d(a, b, 3, 2 if i in (2, 3) else 1, padding=1))
        self.lstm_cell = nn.LSTMCell(last, last)
        self.final_conv = nn.Conv1d(last, 1, 1)

    def forward(self, input_values, state):
        held, found = tuple(state), []
        for window in input_values.unbind(1):
            x = self.stft_conv(F.pad(window, (0, self.pad), "reflect").unsqueeze(1))
            bins = x.shape[1] // 2
            x = (x[:, :bins] ** 2 + x[:, bins:] ** 2).sqrt()
            for i in range(1, 5):
                x = self.get_submodule(f"conv{i}")(x).relu()
            held = self.lstm_cell(x.squeeze(-1), held)
            found.append(self.final_conv(held[0].relu().unsqueeze(-1)).sigmoid()[:, 0, 0])
        return {"probabilities": torch.stack(found, 1), "state": torch.stack(held)}


class Speaker(Published):
    """From resemblyzer/voice_encoder.py's description of the model."""

    architecture = "Ge2eModel"

    def __init__(self, mels, hidden, size, count):
        super().__init__()
        self.lstm = nn.LSTM(mels, hidden, count, batch_first=True)
        self.linear = nn.Linear(hidden, size)

    def forward(self, input_features):
        raw = self.linear(self.lstm(input_features)[1][0][-1]).relu()
        return {"embeddings": raw / raw.norm(dim=1, keepdim=True)}


def tiny_silero(values):
    model = Silero(values["filter_length"], values["hop_length"], values["channels"])
    model.given = {"model_type": "silero_vad", **values}
    return SimpleNamespace(**values), model


def tiny_speaker(values):
    model = Speaker(*values.values())
    model.given = {"model_type": "ge2e", **values}
    return SimpleNamespace(**values), model


def windows(config, source):
    length = 3 * config.hop_length + config.filter_length - config.hop_length // 2
    samples = torch.randn(2, 5, length, generator=source)
    state = torch.randn(2, 2, config.channels[-1], generator=source)
    return {"input_values": samples, "state": state}


def spectra(config, source):
    return {"input_features": torch.randn(2, 9, config.mel_n_channels, generator=source).abs()}


SPECS = {
    "silero_vad": Spec(
        "SileroVadModel",
        tiny_silero,
        {"filter_length": 16, "hop_length": 8, "channels": [12, 8, 8, 16]},
        windows,
        ("probabilities", "state"),
        stds={"lstm_cell.*": 0.2, "conv*.weight": 0.2, "stft_conv.weight": 0.2},
        singles=False,  # the state has rows along its second axis
    ),
    "ge2e": Spec(
        "Ge2eModel",
        tiny_speaker,
        {
            "mel_n_channels": 10,
            "model_hidden_size": 32,
            "model_embedding_size": 24,
            "model_num_layers": 2,
        },
        spectra,
        ("embeddings",),
    ),
}
