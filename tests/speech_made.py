"""Small models with the inputs of Silero's and Piper's, and made-up probabilities of speech."""

from __future__ import annotations

import json
import random

import tallow as tl

RULES = [
    {},
    {"threshold": 0.3},
    {"threshold": 0.05},
    {"neg_threshold": 0.1},
    {"min_speech_duration_ms": 0, "min_silence_duration_ms": 0},
    {"min_silence_duration_ms": 400},
    {"speech_pad_ms": 200},
    {"speech_pad_ms": 0, "min_speech_duration_ms": 64},
    {"max_speech_duration_s": 1.0},
    {"max_speech_duration_s": 0.5, "min_silence_duration_ms": 500},
    {"max_speech_duration_s": 2.5, "min_silence_duration_ms": 300, "speech_pad_ms": 100},
]


def probabilities(seed: int) -> list[float]:
    """Stretches of likely and unlikely speech, of odd lengths, with values between."""
    draw = random.Random(seed)
    found: list[float] = []
    level = draw.choice([0.02, 0.95])
    while len(found) < 300:
        count = draw.choice([1, 2, 3, 4, 6, 12, 40])
        found += [min(1.0, max(0.0, level + draw.uniform(-0.1, 0.1))) for _ in range(count)]
        level = draw.choice([0.02, 0.2, 0.4, 0.48, 0.6, 0.95])
    return [round(value, 4) for value in found]


class Loudness(tl.nn.Module):
    """How loud a window is, with a tenth of what its state remembers."""

    def forward(self, input, state, sr):
        level = (input.abs().mean(1, keepdim=True) * 2).clamp(0, 1)
        out = level * 0.9 + state[0, :, :1] * 0.1 + sr.to(tl.f32) * 0
        return out, state * 0.5 + level * 0.5


class Echo(tl.nn.Module):
    """A sample for each id: its hundredth, slower by length_scale."""

    def forward(self, input, input_lengths, scales):
        out = input.to(tl.f32) / 100 * scales[1] + input_lengths.to(tl.f32)[0] * 0
        return out.reshape(1, 1, 1, -1)


class Speakers(tl.nn.Module):
    """As Echo, with the speaker's number added."""

    def forward(self, input, input_lengths, scales, sid):
        out = input.to(tl.f32) / 100 * scales[1] + input_lengths.to(tl.f32)[0] * 0
        return (out + sid.to(tl.f32)[0]).reshape(1, 1, 1, -1)


def make_vad(path):
    """Write a model of voice activity for 16000 Hz."""
    examples = {
        "input": tl.ones(1, 576),
        "state": tl.zeros(2, 1, 128),
        "sr": tl.tensor(16000, dtype=tl.i64),
    }
    tl.onnx.export(Loudness(), examples, path, output_names=["output", "stateN"])
    return path


CONFIG = {
    "audio": {"sample_rate": 1000},
    "espeak": {"voice": "en-us"},
    "inference": {"noise_scale": 0.5, "length_scale": 2, "noise_w": 0.25},
    "num_speakers": 1,
    "phoneme_map": {"ɡ": ["g"]},
    "phoneme_id_map": {c: [i] for i, c in enumerate("_^$ abdefghijklnoprstuvwz.,?!ˈːəʊɜ")},
}


def make_voice(path, **config):
    """Write a voice with its config beside it."""
    examples = {
        "input": tl.ones(1, 7, dtype=tl.i64),
        "input_lengths": tl.tensor([7], dtype=tl.i64),
        "scales": tl.ones(3),
    }
    several = config.get("num_speakers", 1) > 1
    if several:
        examples["sid"] = tl.tensor([0], dtype=tl.i64)
    module = Speakers() if several else Echo()
    dynamic = {"input": {1: "phonemes"}}
    tl.onnx.export(module, examples, path, output_names=["output"], dynamic=dynamic)
    path.with_name(path.name + ".json").write_text(json.dumps(CONFIG | config))
    return path
