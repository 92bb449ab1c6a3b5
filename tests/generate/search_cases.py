"""Searches that transformers and Tallow have to answer alike: the model, its rows, the config."""

from __future__ import annotations

# Rows of ids for the tiny models of tests/golden/models; short ones are padded at the left with 0.
ROWS = [
    [5, 9, 20, 31, 47, 3, 60, 14, 40, 11],
    [7, 7, 8, 9, 7, 7],
    [33],
    [12, 50, 41, 6, 30, 22, 19],
]
ENDS = [2, 13, 44]  # several, so that rows end at different times
BEAMS = {"num_beams": 4, "max_new_tokens": 14, "eos_token_id": ENDS, "pad_token_id": 1}

CASES: dict[str, tuple[str, dict]] = {
    "greedy": ("llama3", {"max_new_tokens": 20}),
    "greedy to a length": ("qwen3", {"max_length": 24, "eos_token_id": ENDS, "pad_token_id": 1}),
    "greedy by default": ("qwen2", {"eos_token_id": 2}),
    "greedy with processors": (
        "mistral",
        {
            "max_new_tokens": 24,
            "eos_token_id": ENDS,
            "pad_token_id": 1,
            "repetition_penalty": 1.3,
            "min_new_tokens": 9,
            "bad_words_ids": [[5], [9, 20], [7, 7, 8]],
            "suppress_tokens": [3, 4],
            "begin_suppress_tokens": [60, 61],
            "sequence_bias": [[[17], 3.0], [[31, 8], -4.0]],
            "forced_eos_token_id": 44,
            "exponential_decay_length_penalty": [4, 1.2],
        },
    ),
    "beams": ("llama3", BEAMS),
    "beams with windows": ("mistral", {**BEAMS, "max_new_tokens": 24}),
    "several of the beams": ("llama3", {**BEAMS, "num_return_sequences": 3}),
    "early stopping": ("llama3", {**BEAMS, "early_stopping": True, "num_return_sequences": 4}),
    "never early": ("llama3", {**BEAMS, "early_stopping": "never"}),
    "never early for long ones": (
        "qwen2",
        {**BEAMS, "early_stopping": "never", "length_penalty": 2.0, "num_return_sequences": 2},
    ),
    "short ones preferred": ("qwen3", {**BEAMS, "length_penalty": -1.5}),
    "long ones preferred": ("qwen3", {**BEAMS, "length_penalty": 3.0, "num_return_sequences": 4}),
    "no length penalty": ("qwen2", {**BEAMS, "length_penalty": 0.0}),
    "beams without an end": ("qwen2", {"num_beams": 3, "max_new_tokens": 9}),
    "one end of two beams": (
        "mistral",
        {"num_beams": 2, "max_length": 20, "eos_token_id": 44, "pad_token_id": 0},
    ),
    "beams with processors": (
        "llama3",
        {
            **BEAMS,
            "num_return_sequences": 2,
            "no_repeat_ngram_size": 2,
            "repetition_penalty": 1.2,
            "min_length": 16,
            "forced_eos_token_id": 44,
            "bad_words_ids": [[2], [31, 8], [47]],
            "renormalize_logits": True,
            "remove_invalid_values": True,
        },
    ),
}
