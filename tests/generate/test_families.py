"""What every decoder can: beginnings kept, guesses checked and keys in blocks, family by family."""

from __future__ import annotations

import json
import re
from math import gcd

import numpy as np
import pytest

import tallow as tl
from models.golden_families import CASES, ROOT, Case
from tallow.generate import Result, SamplingParams, generate
from tallow.models import FAMILIES, build
from tallow.models.family import identify
from tallow.models.states import KeyValue
from tallow.weights import open_weights

ENDLESS = SamplingParams(temperature=0, max_tokens=10, ignore_eos=True)
TEXT = {"input_ids", "attention_mask", "position_ids"}
# Sizes of a config that grow together, so that heads are whole blocks; what counts things stays.
SIZES = re.compile(
    r"(hidden_size|size_per_layer_input|intermediate_size|ffn_dim|ffn_hidden_size|d_model|n_embd"
    r"|n_embed|n_inner|d_ff|head_dim|head_dim_.*|.*_lora_rank|.*_head_dim|kv_channels"
    r"|block_dim|block_ff_dim|lru_width|attention_head_dim|mamba_d_head|d_head)"
)


def decoders() -> list[str]:
    """A golden of each type of model that goes on from ids and has a head."""
    found: dict[str, str] = {}
    for name in CASES:
        config = json.loads((ROOT / name / "config.json").read_text())
        kind, classes = config.get("model_type"), config.get("architectures")
        if kind in found or kind not in FAMILIES or not classes:
            continue
        row = FAMILIES[kind]
        model = row.of(classes[0]) if classes[0] in row.classes else None
        goes_on = all(hasattr(model, each) for each in ("make_state", "decode", "head"))
        if goes_on and {"input_ids"} <= Case(name).inputs.keys() <= TEXT:
            found[kind] = name
    return list(found.values())


OF_BLOCKS = {"gpt_neo": 0.2}  # whose scores are not scaled, so that rounding tips its softmax
every_decoder = pytest.mark.parametrize("name", decoders())


def prompt(model: object, length: int, seed: int = 0) -> list[int]:
    drawn = np.random.default_rng(seed).integers(3, model.vocab_size, length)
    return [int(index) for index in drawn]


def answer(model: object, ids: list[int], **options: object) -> Result:
    *_, last = generate(model, ids, ENDLESS, **options)
    assert isinstance(last, Result)
    return last


@every_decoder
def test_a_beginning_that_is_kept_changes_no_token(name):
    """A prompt goes on from a state's end, leaves it in the middle, or has nothing of it."""
    model = Case(name).load()
    first = prompt(model, 14)
    state = model.make_state(1)
    said = answer(model, first, state=state).tokens
    assert said == answer(model, first).tokens
    further = [*first, *said[:-1], 5]
    held = state.lengths[0]
    assert answer(model, further, state=state).tokens == answer(model, further).tokens
    assert state.lengths[0] > held
    for other in ([*first[:9], *prompt(model, 6, 1)], prompt(model, 7, 2)):
        assert answer(model, other, state=state).tokens == answer(model, other).tokens


@every_decoder
def test_guesses_change_no_token(name):
    """Looked up and by a draft; what a state holds afterwards is good for more."""
    model = Case(name).load()
    ids = prompt(model, 5)
    ids = [*ids, *answer(model, ids).tokens[:6], *ids]  # often there is what to look up
    plain = answer(model, ids).tokens
    for guesses in ("prompt_lookup", Case(name).load(), other_draft(name)):
        state = model.make_state(1)
        found = answer(model, ids, state=state, speculation=guesses)
        assert found.tokens == plain
        assert found.drafted_tokens > 0 or guesses == "prompt_lookup"
        assert state.lengths[0] == len(ids) + len(plain) - 1
        more = [*ids, *plain, 7]
        again = answer(model, more, state=state, speculation=guesses)
        assert again.cached_tokens == len(ids) + len(plain) - 1
        assert again.tokens == answer(model, more).tokens


def other_draft(name: str) -> object:
    """A model whose guesses are right now and then."""
    draft = Case(name).load()
    for tensor in draft.parameters():
        if tensor.ndim > 1:
            tensor.add_(tl.randn(*tensor.shape) * (0.05 * tensor.float().std()))
    return draft


def grown(config: dict, factor: int) -> dict:
    """Sizes times `factor`, in what stands inside, too."""
    return {
        key: grown(value, factor)
        if isinstance(value, dict)
        else value * factor
        if SIZES.fullmatch(key) and type(value) is int
        else value
        for key, value in config.items()
        if "short_factor" not in str(value)  # a number for each frequency
    }


def widened(name: str) -> object | None:
    """The family at sizes at which heads are whole blocks of 32, with drawn weights.

    None where it keeps no keys.
    """
    case = Case(name)
    kept = [part for part in case.load().make_state(1).parts() if isinstance(part, KeyValue)]
    if not kept:
        return None
    sizes = {size for part in kept for size in (part.size, part.value_size)}
    factor = max(32 // gcd(32, size) for size in sizes)
    config = grown(case.config, factor)
    tl.manual_seed(1)
    spec = identify(open_weights({"none": tl.ones(1)}), None, config)
    made = spec.model(spec.config)
    for tensor in made.requires_grad_(False).parameters():
        if tensor.ndim > 1:
            tensor.copy_(tl.randn(*tensor.shape) * (1.5 / tensor.shape[-1] ** 0.5))
    return build(open_weights(made.stored_dict()), config=config)


@pytest.mark.filterwarnings("ignore::tallow.errors.ConfigWarning")
@every_decoder
def test_keys_in_blocks_are_near(name):
    """Logits of a prompt and of steps behind it, with keys and values of q8_0."""
    model = widened(name)
    if model is None:
        assert Case(name).load().make_state(1, dtype="q8_0").dtype is tl.q8_0
        return
    ids = tl.tensor([prompt(model, 24)])
    exact = logits(model, ids, "f32")
    error = np.sqrt(((logits(model, ids, "q8_0") - exact) ** 2).mean(-1)) / exact.std()
    assert error.max() > 0
    # Of most positions: where the choice of an expert tips over, the others of it are far off.
    assert np.median(error) < OF_BLOCKS.get(name, 0.03)


def logits(model: object, ids: tl.Tensor, dtype: str) -> np.ndarray:
    state = model.make_state(1, dtype=dtype)
    parts = [ids[:, :16], *(ids[:, i : i + 1] for i in range(16, 24))]
    return np.concatenate([model(part, state=state).logits.numpy() for part in parts], 1)
