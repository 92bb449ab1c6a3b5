"""Where Silero's own Python finds speech: tests/golden/silero.json (needs torch and onnxruntime).

PYTHONPATH=src:tests python tests/golden/make_silero.py
"""

import importlib.util
import json
import wave
from pathlib import Path

import torch

from speech_made import RULES, probabilities
from tallow.hub import resolve

PACKAGE = "pypi:silero-vad==6.2.3#silero_vad/"
SOUNDS = "pypi:moonshine-voice==0.1.5#moonshine_voice/assets/"


def sound(name: str) -> tuple[torch.Tensor, int]:
    with wave.open(str(resolve(SOUNDS + name)), "rb") as file:
        raw = bytearray(file.readframes(file.getnframes()))
        return torch.frombuffer(raw, dtype=torch.int16) / 32768, file.getframerate()


def main() -> None:
    spec = importlib.util.spec_from_file_location("utils", resolve(PACKAGE + "utils_vad.py"))
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)
    made = {"spans": {}, "sounds": {}}
    for seed in range(12):
        rate, values = (16000, 8000)[seed % 2], probabilities(seed)
        length = len(values) * rate * 32 // 1000 - 77
        made["spans"][seed] = [
            [
                [each["start"], each["end"]]
                for each in utils.get_speech_timestamps_from_probs(
                    values, sampling_rate=rate, audio_length_samples=length, **rules
                )
            ]
            for rules in RULES
        ]
    model = utils.OnnxWrapper(str(resolve(PACKAGE + "data/silero_vad.onnx")), True)
    for name in ("beckett.wav", "two_cities.wav"):
        samples, rate = sound(name)
        step = max(1, rate // 16000)
        for label, x, own in (
            (name, samples, rate),
            (f"{name} at 8000", samples[:: 2 * step], 8000),
        ):
            found = utils.get_speech_timestamps(x, model, sampling_rate=own)
            made["sounds"][label] = [[each["start"] / own, each["end"] / own] for each in found]
    text = json.dumps(made, separators=(",", ":"))
    Path(__file__).with_name("silero.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
