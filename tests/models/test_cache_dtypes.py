"""States in f16, bf16 and q8_0: the same bits by every way, near f32, in files and programs."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ArgumentError, ModelError
from tallow.generate.step import DecodeStep
from tallow.models import DecoderConfig
from tallow.models.cache_dtypes import CACHE_DTYPES
from tallow.models.families.llama import Llama
from tallow.models.families.mistral import Mistral
from tallow.models.states import KeyValue, State
from tallow.programs import Entry, Size, Traced, load_program, save_program
from tallow.weights import fill, open_weights

DTYPES = ["f16", "bf16", "q8_0"]
CONFIG = DecoderConfig(
    vocab_size=96,
    hidden_size=128,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
    max_position_embeddings=512,
)
IDS = [int(i) for i in np.random.default_rng(1).integers(3, 96, 300)]


def made(family=Llama, **changes):
    rng = np.random.default_rng(3)
    model = family(DecoderConfig(**{**CONFIG.__dict__, **changes}))
    shapes = {name: p.shape for name, p in model.named_parameters()}
    drawn = {name: rng.normal(len(s) == 1, 0.2, s).astype(np.float32) for name, s in shapes.items()}
    fill(model, open_weights({name: tl.tensor(array) for name, array in drawn.items()}))
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["full", "window"])
def model(request):
    return made() if request.param == "full" else made(Mistral, sliding_windows=(6, 0))


def feed(model, state, ids):
    rows = ids if isinstance(ids[0], list) else [ids] * state.batch
    return model(tl.tensor(rows, dtype=tl.i64), state=state).logits.numpy()


def same(got, wanted):
    np.testing.assert_array_equal(got.view(np.uint32), wanted.view(np.uint32))


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_pieces_and_steps_give_one_pass(model, dtype):
    whole = feed(model, model.make_state(capacity=3, dtype=dtype), IDS[:41])
    for size in (1, 3, 13, 40):
        state = model.make_state(capacity=3, dtype=dtype)
        parts = [feed(model, state, IDS[i : min(i + size, 41)]) for i in range(0, 41, size)]
        same(np.concatenate(parts, 1), whole)
    step = DecodeStep(model, model.make_state(capacity=3, dtype=dtype))
    for i, token in enumerate(IDS[:41]):
        same(step([token])[0].numpy(), whole[0, i])


@pytest.mark.parametrize("dtype", DTYPES)
def test_near_f32(model, dtype):
    """Over several parts of the keys; the random weights make few keys count."""
    exact = feed(model, model.make_state(dtype="f32"), IDS)
    error = np.abs(feed(model, model.make_state(dtype=dtype), IDS) - exact)
    limits = {"f16": 0.003, "bf16": 0.02, "q8_0": 0.05}  # of attention as sharp as this
    assert 0 < error.mean() < limits[dtype] * exact.std()


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_a_batch_are_as_alone(model, dtype):
    rows = [IDS[:12], IDS[20:32], IDS[40:52]]
    state = model.make_state(3, capacity=5, dtype=dtype)
    found = feed(model, state, rows)
    for row, logits in zip(rows, found, strict=True):
        same(logits[None], feed(model, model.make_state(dtype=dtype), row))
    state.select([2, 0, 0])
    again = feed(model, state, [[7], [8], [9]])
    assert state.batch == 3
    state = model.make_state(dtype=dtype)
    feed(model, state, rows[2])
    same(again[:1], feed(model, state, [7]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_cut_forked_selected_and_kept_in_a_file(model, dtype, tmp_path):
    state = model.make_state(2, dtype=dtype)
    feed(model, state, IDS[:12])
    state.save(tmp_path / "state")
    loaded = model.make_state().load(tmp_path / "state")
    assert loaded.dtype.name == dtype
    fork = state.fork()
    fork.select([1])
    wanted = feed(model, state, IDS[12:20])
    same(feed(model, loaded, IDS[12:20]), wanted)
    same(feed(model, fork, IDS[12:20]), wanted[:1])
    kept = state.trim(19)[0]
    assert kept in (0, 19)
    same(feed(model, state, IDS[kept:20])[:, -1], wanted[:, -1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_answers_go_on(model, dtype):
    from tallow.generate import SamplingParams, generate

    def answer(prompt, state):
        params = SamplingParams(max_tokens=9, ignore_eos=True)
        return list(generate(model, prompt, params, state=state))[-1]

    state = model.make_state(dtype=dtype)
    first = answer(IDS[:20], state)
    second = answer([*IDS[:20], *first.tokens, 5, 6], state)
    alone = answer([*IDS[:20], *first.tokens, 5, 6], model.make_state(dtype=dtype))
    assert second.tokens == alone.tokens
    assert second.cached_tokens >= 20


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_program_keeps_the_dtype(dtype, tmp_path):
    model = made()

    def trace(point):
        state = model.make_state(1, point["context"], dtype)
        start = state.reserve(1)
        run = lambda ids, _: model.head(model.decode(ids, state)).squeeze(1)  # noqa: E731
        inputs = {"input_ids": tl.zeros(1, 1, dtype="i64"), "start": start}
        return Traced(run, inputs, ["logits"], state.memory())

    with tl.inference_mode():
        sizes = {"context": Size(32, 64, (32, 48), 56)}
        weights = dict([*model.named_parameters(), *model.named_buffers()])
        save_program(tmp_path / "a.tlw", [Entry("decode", trace, sizes)], weights)
        program, state = load_program(tmp_path / "a.tlw"), model.make_state(dtype=dtype)
        for at, token in enumerate(IDS[:9]):
            given = {"input_ids": tl.tensor([[token]]), "start": tl.tensor([at])}
            got = program("decode", given, context=40)["logits"].numpy()
            same(got, feed(model, state, [token])[:, 0])


def test_what_a_cache_takes():
    model = made()
    sizes = {dtype: model.make_state(dtype=dtype, capacity=64) for dtype in ("f32", "f16", "q8_0")}
    for state in sizes.values():
        feed(model, state, IDS[:2])
    assert sizes["f32"].nbytes == 2 * sizes["f16"].nbytes == 2 * 2 * 2 * 64 * 32 * 4
    assert sizes["q8_0"].nbytes * 64 == sizes["f16"].nbytes * 34


def test_other_dtypes_and_sizes_are_refused_by_name():
    model = made()
    assert [model.make_state(dtype=d).dtype for d in CACHE_DTYPES] == list(CACHE_DTYPES)
    for dtype in ("q4_0", "f64", tl.i8):
        with pytest.raises(ArgumentError, match="f32, f16, bf16 or q8_0"):
            model.make_state(dtype=dtype)
    with pytest.raises(ArgumentError, match="multiple of 32 for q8_0, got 80"):
        State([KeyValue(1, 64, 80)], context=8, dtype="q8_0")


def test_a_file_of_blocks_that_other_heads_cannot_hold(tmp_path):
    state = made().make_state(dtype="q8_0")
    feed(made(), state, IDS[:3])
    state.save(tmp_path / "state")
    other = made(head_dim=16, hidden_size=64)
    with pytest.raises(ModelError, match="expected keys and values"):
        other.make_state().load(tmp_path / "state")
