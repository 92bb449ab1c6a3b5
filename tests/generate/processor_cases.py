"""What logits processors are tried with: ids of rows, how many of them are new, and settings."""

from __future__ import annotations

SIZE = 40
ROWS = [
    [3, 7, 3, 7, 9, 3, 7],
    [5, 5, 5, 5, 5, 5, 5],
    [1, 2, 3, 4, 5, 6, 39],
    [9, 8, 7, 30, 31, 9, 8],
]
NEW = 3  # of the seven
ENDS = [2, 13]

# The config's fields, and the classes of transformers with their arguments.
CASES: dict[str, tuple[dict, list[tuple[str, list]]]] = {
    "repetition": (
        {"repetition_penalty": 1.7},
        [("RepetitionPenaltyLogitsProcessor", [1.7])],
    ),
    "less repetition": (
        {"repetition_penalty": 0.6},
        [("RepetitionPenaltyLogitsProcessor", [0.6])],
    ),
    **{
        f"{n}-grams": ({"no_repeat_ngram_size": n}, [("NoRepeatNGramLogitsProcessor", [n])])
        for n in (1, 2, 3, 4, 7, 9)
    },
    "bad words": (
        {"bad_words_ids": [[4], [2], [3, 7, 11], [9, 8, 30], [5, 5]], "eos_token_id": ENDS},
        [("NoBadWordsLogitsProcessor", [[[4], [2], [3, 7, 11], [9, 8, 30], [5, 5]], ENDS])],
    ),
    "bias": (
        {"sequence_bias": [[[4], 2.5], [[3, 7, 11], -3.0], [[7, 11], 1.0], [[5] * 9, 4.0]]},
        [
            (
                "SequenceBiasLogitsProcessor",
                [[[[4], 2.5], [[3, 7, 11], -3.0], [[7, 11], 1.0], [[5] * 9, 4.0]]],
            )
        ],
    ),
    "min length": (
        {"min_length": 8, "eos_token_id": ENDS},
        [("MinLengthLogitsProcessor", [8, ENDS])],
    ),
    "min length reached": (
        {"min_length": 7, "eos_token_id": ENDS},
        [("MinLengthLogitsProcessor", [7, ENDS])],
    ),
    "min new tokens": (
        {"min_new_tokens": 4, "eos_token_id": ENDS},
        [("MinNewTokensLengthLogitsProcessor", [4, 4, ENDS])],
    ),
    "min new tokens reached": (
        {"min_new_tokens": 3, "eos_token_id": ENDS},
        [("MinNewTokensLengthLogitsProcessor", [4, 3, ENDS])],
    ),
    "forced end": (
        {"forced_eos_token_id": ENDS, "max_length": 8},
        [("ForcedEOSTokenLogitsProcessor", [8, ENDS])],
    ),
    "no forced end yet": (
        {"forced_eos_token_id": 2, "max_length": 9},
        [("ForcedEOSTokenLogitsProcessor", [9, 2])],
    ),
    "no forced beginning": (
        {"forced_bos_token_id": 6},
        [("ForcedBOSTokenLogitsProcessor", [6])],
    ),
    "decay": (
        {"exponential_decay_length_penalty": [1, 1.4], "eos_token_id": ENDS},
        [("ExponentialDecayLengthPenalty", [(1, 1.4), ENDS, 4])],
    ),
    "no decay yet": (
        {"exponential_decay_length_penalty": [3, 1.4], "eos_token_id": ENDS},
        [("ExponentialDecayLengthPenalty", [(3, 1.4), ENDS, 4])],
    ),
    "suppressed": (
        {"suppress_tokens": [0, 5, 39]},
        [("SuppressTokensLogitsProcessor", [[0, 5, 39]])],
    ),
    "normal again": ({"renormalize_logits": True}, [("LogitNormalization", [])]),
    "numbers": ({"remove_invalid_values": True}, [("InfNanRemoveLogitsProcessor", [])]),
    "temperature": ({"temperature": 0.3}, [("TemperatureLogitsWarper", [0.3])]),
    **{f"top {k}": ({"top_k": k}, [("TopKLogitsWarper", [k])] if k else []) for k in (0, 1, 5, 99)},
    **{f"top {p}": ({"top_p": p}, [("TopPLogitsWarper", [p])]) for p in (0.0, 0.1, 0.5, 0.9, 0.99)},
    **{f"min {p}": ({"min_p": p}, [("MinPLogitsWarper", [p])]) for p in (0.0, 0.05, 0.5, 1.0)},
    **{
        f"typical {p}": ({"typical_p": p}, [("TypicalLogitsWarper", [p])])
        for p in (0.05, 0.4, 0.8, 0.99)
    },
    **{
        f"at least {e}": ({"epsilon_cutoff": e}, [("EpsilonLogitsWarper", [e])])
        for e in (0.001, 0.03, 0.9)
    },
    **{f"eta {e}": ({"eta_cutoff": e}, [("EtaLogitsWarper", [e])]) for e in (0.001, 0.03, 0.9)},
    "all in their order": (
        {
            "top_p": 0.8,
            "suppress_tokens": [1],
            "repetition_penalty": 1.3,
            "temperature": 1.5,
            "min_p": 0.02,
            "typical_p": 0.9,
            "top_k": 12,
            "no_repeat_ngram_size": 3,
            "bad_words_ids": [[3]],
            "min_length": 20,
            "eos_token_id": 13,
        },
        [
            ("RepetitionPenaltyLogitsProcessor", [1.3]),
            ("NoRepeatNGramLogitsProcessor", [3]),
            ("NoBadWordsLogitsProcessor", [[[3]], [13]]),
            ("MinLengthLogitsProcessor", [20, [13]]),
            ("SuppressTokensLogitsProcessor", [[1]]),
            ("TemperatureLogitsWarper", [1.5]),
            ("TopKLogitsWarper", [12]),
            ("TopPLogitsWarper", [0.8]),
            ("MinPLogitsWarper", [0.02]),
            ("TypicalLogitsWarper", [0.9]),
        ],
    ),
}
