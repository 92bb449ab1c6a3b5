"""The same prompt and seed give the same bits: however a cache was filled, alone and in a batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from native.blocks import BLOCKS, random_blocks
from tallow.dtype import by_name
from tallow.generate import SamplingParams, generate
from tallow.generate.step import DecodeStep
from tallow.models import DecoderConfig
from tallow.models.families.llama import Llama
from tallow.nn import Linear
from tallow.weights import fill, open_weights

FLOATS = ("f32", "f16", "bf16", "f8e4m3", "f8e5m2")
FORMS = [(name, "float") for name in (*FLOATS, *BLOCKS)]
FORMS += [(name, "int8") for name in BLOCKS if name != "f8e4m3_128"]
CONFIG = DecoderConfig(
    vocab_size=288,
    hidden_size=256,
    intermediate_size=512,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=64,
    max_position_embeddings=640,
)


def weight(rng, form, shape):
    if form in BLOCKS:
        data = random_blocks(rng, form, shape[0], shape[1] // BLOCKS[form][0])
        return tl.from_buffer(data, by_name(form), shape)
    drawn = tl.tensor(rng.normal(0, 0.1, shape).astype(np.float32))
    return drawn.to(by_name(form))


@pytest.fixture(scope="module", params=FORMS, ids=" ".join)
def drawn(request):
    form, activations = request.param
    rng = np.random.default_rng(3)
    made = Llama(CONFIG)
    tensors = {}
    for name, parameter in made.named_parameters():
        matrix = parameter.ndim == 2
        values = rng.normal(1, 0.3, parameter.shape).astype(np.float32)
        kind = "f16" if "embed" in name and form.startswith("f8") else form  # no look-up in f8
        tensors[name] = weight(rng, kind, parameter.shape) if matrix else tl.tensor(values)
    fill(made, open_weights(tensors))
    for _, module in made.named_modules():
        if isinstance(module, Linear):
            module.exact = activations == "float"
    return made.eval().requires_grad_(False)


IDS = [int(i) for i in np.random.default_rng(1).integers(3, 288, 300)]


def feed(model, state, *pieces):
    """Logits of all ids in the pieces, which go through the model one after the other."""
    batch = state.batch if state is not None else 1
    found = [
        model(tl.tensor([piece] * batch, dtype=tl.i64), state=state).logits.numpy()
        for piece in pieces
        if piece
    ]
    return np.concatenate(found, 1)


def same(got, wanted):
    np.testing.assert_array_equal(got.view(np.uint32), wanted.view(np.uint32))


def test_a_prompt_in_any_pieces(drawn):
    ids = IDS[:41]
    whole = feed(drawn, None, ids)
    assert np.isfinite(whole).all()
    for size in (41, 1, 2, 3, 4, 5, 13, 32):
        pieces = [ids[i : i + size] for i in range(0, len(ids), size)]
        same(feed(drawn, drawn.make_state(capacity=8), *pieces), whole)
    last = drawn(tl.tensor([ids], dtype=tl.i64), logits_to_keep=1).logits.numpy()
    same(last, whole[:, -1:])


def test_a_step_is_a_pass_and_a_batch_its_rows(drawn):
    ids = IDS[:12]
    whole = feed(drawn, None, ids)
    state = drawn.make_state(capacity=5)  # grows on the way
    step = DecodeStep(drawn, state)
    for i, token in enumerate(ids):
        same(step([token])[0].numpy(), whole[0, i])
    rows = [ids, IDS[20:32], IDS[40:52]]
    batch = drawn(tl.tensor(rows, dtype=tl.i64)).logits.numpy()
    for row, logits in zip(rows, batch, strict=True):
        same(logits[None], feed(drawn, None, row))


def test_a_cut_and_a_forked_cache(drawn):
    whole = feed(drawn, None, IDS[:20])
    state = drawn.make_state()
    feed(drawn, state, IDS[:12], IDS[200:209])
    state.trim(12)
    fork = state.fork()
    same(feed(drawn, fork, IDS[12:20]), whole[:, 12:])
    for token, wanted in zip(IDS[12:20], whole[0, 12:], strict=True):
        same(feed(drawn, state, [token])[0, 0], wanted)


def test_a_prompt_longer_than_a_part_of_the_keys():
    rng = np.random.default_rng(3)
    model = Llama(CONFIG)
    shapes = {name: p.shape for name, p in model.named_parameters()}
    tensors = {n: tl.tensor(rng.normal(0, 0.1, s).astype(np.float32)) for n, s in shapes.items()}
    fill(model, open_weights(tensors))
    model.eval().requires_grad_(False)
    whole = feed(model, None, IDS * 2)
    for dtype in (tl.f32, tl.f16):
        options = {"capacity": 16, "dtype": dtype}
        once = feed(model, model.make_state(**options), IDS * 2)
        if dtype is tl.f32:
            same(once, whole)
        pieces = [IDS, IDS[:201], [IDS[201]], IDS[202:]]
        same(feed(model, model.make_state(**options), *pieces), once)
        same(feed(model, model.make_state(2, **options), *pieces)[1:], once)


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(max_tokens=6, ignore_eos=True),
        SamplingParams(max_tokens=6, ignore_eos=True, temperature=1.5, seed=7, top_k=40),
    ],
    ids=["greedy", "seed"],
)
def test_an_answer_does_not_depend_on_what_the_cache_held(drawn, params, tokenizer):
    def answer(prompt, state):
        return list(generate(drawn, prompt, params, tokenizer=tokenizer, state=state))[-1].tokens

    prompt = IDS[:30]
    wanted = answer(prompt, None)
    state = drawn.make_state(capacity=31)
    for other in (prompt, [*prompt[:17], 5, 6], [*prompt, *wanted]):
        answer(other, state)
        assert answer(prompt, state) == wanted


@pytest.mark.skipif(os.environ.get("TALLOW_ISA") == "baseline", reason="is the child")
def test_so_do_the_kernels_for_old_processors():
    here = Path(__file__)
    files = [here, here.parent.parent / "native" / "test_row_bits.py"]
    few = "f32 or (q4_0 and not iq4_0) or q6_k"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", few, *files],
        env={**os.environ, "TALLOW_ISA": "baseline"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert " passed" in done.stdout
