"""Searches by random configs on random rows, padded at the left, against transformers itself."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import tallow as tl
from tallow.generate import GenerationConfig, search
from tallow.models import build
from tallow.weights import open_weights

pytestmark = pytest.mark.needs_torch
MODELS = Path(__file__).parent.parent / "golden" / "models"


@pytest.fixture(scope="module", params=["llama3", "mistral", "qwen2"])
def pair(request):
    """The same model, theirs and ours."""
    import torch
    import transformers

    folder = MODELS / request.param
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    theirs.generation_config = transformers.GenerationConfig()  # the options say all
    return theirs, build(open_weights(folder))


def drawn(source, padded):
    """Options of a search; those that count padding only where there is none."""
    beams = source.choice([1, 2, 3, 5])
    ends = source.choice([2, [2, 5], [2, 5, 9, 11, 30, 31, 40, 41]])
    options = {"num_beams": beams, "max_new_tokens": source.randint(1, 18), "eos_token_id": ends}
    options["pad_token_id"] = source.choice([0, 1])
    if beams > 1:
        options["early_stopping"] = source.choice([True, False, "never"])
        options["length_penalty"] = source.choice([1.0, 0.0, 2.0, -1.0, 0.5])
        options["num_return_sequences"] = source.randint(1, beams)
    some = {
        "suppress_tokens": [source.randrange(6, 64) for _ in range(5)],
        "forced_eos_token_id": 2,
        "renormalize_logits": True,
    }
    if not padded:
        words = [[source.randrange(64)], [source.randrange(64), source.randrange(64)]]
        some["no_repeat_ngram_size"] = source.choice([1, 2, 3])
        some["repetition_penalty"] = source.choice([0.8, 1.3, 2.0])
        some["min_new_tokens"] = source.randint(1, 8)
        some["bad_words_ids"] = words
    return options | {name: value for name, value in some.items() if source.random() < 0.3}


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_ids_are_transformers_s(pair, seed, padded):
    import torch
    from transformers import GenerationConfig as Theirs

    source = random.Random(f"{seed} {padded}")
    width, count = source.randint(2, 8), source.randint(1, 3)
    lengths = [source.randint(1, width) if padded else width for _ in range(count)]
    mask = [[0] * (width - length) + [1] * length for length in lengths]
    ids = [[source.randrange(3, 64) if keep else 1 for keep in row] for row in mask]
    options = drawn(source, padded)
    theirs, ours = pair
    wanted = theirs.generate(
        torch.tensor(ids),
        attention_mask=torch.tensor(mask),
        generation_config=Theirs(**options, do_sample=False),
        return_dict_in_generate=True,
        output_scores=True,
    )
    found = search(
        ours, tl.tensor(ids), GenerationConfig(**options), attention_mask=tl.tensor(mask)
    )
    assert found.sequences.tolist() == wanted.sequences.tolist()
    if options["num_beams"] > 1:
        scores = wanted.sequences_scores.tolist()
        assert found.sequences_scores.tolist() == pytest.approx(scores, rel=1e-4, abs=1e-4)
