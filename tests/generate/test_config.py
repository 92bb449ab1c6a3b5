"""GenerationConfig: read from checkpoints, checked, and honest about what it does not do."""

from __future__ import annotations

import json
import warnings

import pytest

import tallow as tl
from tallow.errors import ArgumentError, ConfigWarning, FormatError
from tallow.generate import GenerationConfig
from tallow.generate.processors import Step

BAD = [
    ("max_length", [0, -1, 2.5, "9", True]),
    ("max_new_tokens", [0, "9"]),
    ("early_stopping", ["yes", 0.5]),
    ("num_beams", [0, 1.0, 10**9]),
    ("num_return_sequences", [0, 2]),
    ("temperature", [-1.0, float("nan"), float("inf"), 10**400, "hot"]),
    ("top_k", [-1, 1.5]),
    ("top_p", [-0.1, 1.1]),
    ("min_p", [2]),
    ("typical_p", [0.0]),
    ("repetition_penalty", [0.0, -2, float("inf")]),
    ("length_penalty", ["long", float("nan")]),
    ("bad_words_ids", [[3], [[]], "word"]),
    ("sequence_bias", [[[1, 2.0]], [[[], 2.0]]]),
    ("forced_decoder_ids", [[[1, 2, 3]], 5]),
    ("suppress_tokens", [[-1], ["a"], 5]),
    ("eos_token_id", [-1, [], "end"]),
    ("do_sample", [1, "yes"]),
]


@pytest.mark.parametrize(("name", "value"), [(name, v) for name, vs in BAD for v in vs])
def test_bad_values(name, value):
    with pytest.raises(ArgumentError, match=rf"GenerationConfig\.{name}: expected"):
        GenerationConfig(**{name: value})
    with pytest.raises(FormatError, match=rf"here: {name}: expected .*, got"):
        GenerationConfig.of({name: value}, "here")


def test_a_temperature_of_zero_stands_beside_greedy_search_alone():
    """As in transformers 5.24, whose `TemperatureLogitsWarper` is made for sampling only."""
    config = GenerationConfig.of({"temperature": 0, "do_sample": False}, "here")
    assert config.processors(3, 4) == []
    with pytest.raises(FormatError, match="here: temperature: expected .*above 0.*, got 0"):
        GenerationConfig.of({"temperature": 0, "do_sample": True}, "here")
    with pytest.raises(ArgumentError, match=r"GenerationConfig\.temperature: expected .*above 0"):
        config.with_options(do_sample=True)


def test_lengths_and_ends():
    assert GenerationConfig().new_tokens(7) == 20
    assert GenerationConfig(max_length=9).new_tokens(7) == 2
    assert GenerationConfig(max_length=9, max_new_tokens=4).new_tokens(7) == 4
    assert GenerationConfig(eos_token_id=3).ends == (3,)
    assert GenerationConfig(eos_token_id=[3, 4]).ends == (3, 4)
    assert GenerationConfig().ends == ()
    changed = GenerationConfig(num_beams=2).with_options(num_return_sequences=2)
    assert changed.num_return_sequences == 2
    with pytest.raises(ArgumentError, match="num_beam'"):
        GenerationConfig().with_options(num_beam=2)


@pytest.mark.parametrize(
    "values",
    [
        {"forced_eos_token_id": 5, "suppress_tokens": [4, 5]},
        {"forced_eos_token_id": [4, 5], "suppress_tokens": [4, 5]},
        {"forced_bos_token_id": 4, "suppress_tokens": [4]},
    ],
)
def test_a_token_cannot_be_forced_and_suppressed(values):
    with pytest.raises(ArgumentError, match="not in suppress_tokens"):
        GenerationConfig(**values)
    GenerationConfig(forced_eos_token_id=[4, 5], suppress_tokens=[4])


def write(folder, name, values):
    (folder / name).write_text(values if isinstance(values, str) else json.dumps(values))


def test_generation_config_goes_before_the_config(tmp_path):
    write(tmp_path, "config.json", {"num_beams": 3, "hidden_size": 8})
    assert GenerationConfig.read(tmp_path).num_beams == 3
    own = {"num_beams": 4, "eos_token_id": [2, 5], "top_k": None, "transformers_version": "5"}
    write(tmp_path, "generation_config.json", own)
    found = GenerationConfig.read(tmp_path)
    assert (found.num_beams, found.ends) == (4, (2, 5))
    assert GenerationConfig.read(tmp_path / "nothing") == GenerationConfig()


def test_what_stands_in_the_config_of_a_decoder(tmp_path):
    """As in TrOCR's checkpoints: outer values first, then those of the decoder."""
    config = {
        "model_type": "vision-encoder-decoder",
        "decoder_start_token_id": 0,
        "max_length": None,
        "length_penalty": 2.0,
        "encoder": {"num_beams": 9},
        "decoder": {
            "decoder_start_token_id": 2,
            "max_length": 64,
            "no_repeat_ngram_size": 3,
            "forced_eos_token_id": 2,
            "length_penalty": 1.0,
            "bad_words_ids": None,
        },
    }
    write(tmp_path, "config.json", config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = GenerationConfig.read(tmp_path)
    assert found == GenerationConfig(
        decoder_start_token_id=0,
        max_length=64,
        no_repeat_ngram_size=3,
        forced_eos_token_id=2,
        length_penalty=2.0,
    )


def test_unknown_keys_are_told_and_unsupported_ones_refused(tmp_path):
    write(tmp_path, "generation_config.json", {"num_beems": 3, "use_cache": True})
    with pytest.warns(ConfigWarning, match=r"generation_config\.json: .*not used: num_beems$"):
        GenerationConfig.read(tmp_path)
    for key, neutral, value in [
        ("num_beam_groups", 1, 2),
        ("diversity_penalty", 0.0, 0.5),
        ("penalty_alpha", None, 0.6),
        ("encoder_no_repeat_ngram_size", 0, 3),
        ("stop_strings", None, ["x"]),
        ("constraints", None, [1]),
    ]:
        GenerationConfig.of({key: neutral})
        with pytest.raises(FormatError, match=f"{key}: expected .*not supported"):
            GenerationConfig.of({key: value})


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"', "[" * 100_000, "\xff"])
def test_damaged_files(text, tmp_path):
    write(tmp_path, "generation_config.json", text)
    with pytest.raises(FormatError, match="expected (a JSON object|JSON)"):
        GenerationConfig.read(tmp_path)


@pytest.mark.parametrize("value", [["a", 1.0], [1, None], [1, 2, 3], 5, "ab"])
def test_an_exponential_decay_of_two_numbers(value):
    with pytest.raises(FormatError, match="exponential_decay_length_penalty: expected a start"):
        GenerationConfig.of({"exponential_decay_length_penalty": value})


def test_an_end_beyond_the_vocabulary_changes_no_other_row():
    config = GenerationConfig(eos_token_id=[1, 9], exponential_decay_length_penalty=(0, 2.0))
    scores = tl.ones(2, 4)
    for process in config.processors(1, 5):
        scores = process(Step([[0, 1], [0, 2]], 1), scores)
    assert scores.tolist() == [[1.0, 2.0, 1.0, 1.0]] * 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("length_penalty", 1e308), ("length_penalty", -1e308), ("early_stopping", 1)],
)
def test_values_that_a_beam_search_cannot_follow(name, value):
    with pytest.raises(ArgumentError, match=name):
        GenerationConfig(**{name: value})


@pytest.mark.parametrize("bias", [float("nan"), float("inf")])
def test_a_bias_is_a_number_that_can_be_added(bias):
    with pytest.raises(ArgumentError, match="sequence_bias"):
        GenerationConfig(sequence_bias=[([1], bias)])
