"""Make tests/golden/speaker.json: embeddings of real speech by resemblyzer's own weights.

    python tests/golden/make_speaker.py pretrained.pt beckett.wav two_cities.wav

needs torch, librosa, soxr and soundfile. What resemblyzer's package does is restated here, without
the cut of silences, for which it has a detector of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import librosa
import numpy as np
import torch
from torch import nn

SECONDS = 12
KEPT = 16  # elements of an embedding


def loud(wave: np.ndarray) -> np.ndarray:
    level = 20 * np.log10(np.sqrt(np.mean(wave**2)))
    return wave * 10 ** (max(-30 - level, 0) / 20)


def pieces(length: int) -> list[int]:
    step = round(16000 / 1.3 / 160)
    frames = int(np.ceil((length + 1) / 160))
    starts = list(range(0, max(1, frames - 160 + step + 1), step))
    if len(starts) > 1 and (length - starts[-1] * 160) / 25600 < 0.75:
        starts.pop()
    return starts


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, x):
        raw = self.linear(self.lstm(x)[1][0][-1]).relu()
        return raw / raw.norm(dim=1, keepdim=True)


def main() -> None:
    model = Encoder()
    weights = torch.load(sys.argv[1], map_location="cpu", weights_only=False)["model_state"]
    model.load_state_dict(weights, strict=False)
    made, vectors = {}, []
    for path in map(Path, sys.argv[2:]):
        wave = loud(librosa.load(path, sr=16000)[0][: SECONDS * 16000])
        starts = pieces(len(wave))
        wave = np.pad(wave, (0, max(0, (starts[-1] + 160) * 160 - len(wave))))
        mel = librosa.feature.melspectrogram(
            y=wave, sr=16000, n_fft=400, hop_length=160, n_mels=40
        ).T.astype(np.float32)
        parts = np.stack([mel[start : start + 160] for start in starts])
        with torch.no_grad():
            whole = model(torch.from_numpy(parts)).mean(0)
        vectors.append(whole / whole.norm())
        made[path.name] = {"pieces": len(starts), "first": vectors[-1][:KEPT].tolist()}
    made["cosine"] = float(vectors[0] @ vectors[1])
    target = Path(__file__).parent / "speaker.json"
    target.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
