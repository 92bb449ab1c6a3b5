"""States: growing, trimming, windows, rows by their own lengths, forking, saving."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ArgumentError, ContextError, FormatError, ModelError, ShapeError
from tallow.formats.safetensors import save_safetensors
from tallow.models.states import Cross, KeyValue, Recurrent, Ring, SelfAndCross, State
from tallow.nn import GRUCell

IDS = [5, 9, 20, 31, 47, 3, 60, 14, 40, 11, 33, 8, 2, 50, 17, 29]


@pytest.fixture(params=["llama3", "mistral"])
def model(request, golden):
    """With keys of all positions, and (mistral) of a window of 6."""
    return golden(request.param).load("hf")


@pytest.fixture
def plain(golden):
    return golden("llama3").load("hf")


@pytest.fixture
def windowed(golden):
    return golden("mistral").load("hf")


def step(model, state, ids, **options):
    rows = ids if isinstance(ids[0], list) else [ids] * state.batch
    return model(tl.tensor(rows, dtype=tl.i64), state=state, **options).logits.numpy()


def filled(model, ids, **options):
    state = model.make_state(**options)
    step(model, state, ids)
    return state


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_grows_by_doubling_up_to_the_context(plain):
    state = plain.make_state(capacity=3)
    assert (state.capacity, state.nbytes) == (0, 0)
    seen = []
    for _ in range(64):
        step(plain, state, [1])
        seen.append(state.capacity)
    assert sorted(set(seen)) == [3, 6, 12, 24, 48, 64]
    cfg = plain.config
    assert state.nbytes == 2 * 2 * cfg.num_key_value_heads * 64 * cfg.head_dim * 4
    with pytest.raises(ContextError, match=r"64 in the cache \+ 1 new"):
        step(plain, state, [1])
    assert "64 of 64 positions" in repr(state)


def test_a_huge_context_takes_no_memory():
    state = State([KeyValue(1, 8)], context=2**31 - 1)
    state.reserve(10)
    assert state.capacity == 256


@pytest.mark.parametrize("pieces", [(16,), (1,) * 16, (5, 1, 1, 9), (7, 2, 7), (1, 14, 1), (13, 3)])
def test_any_pieces_give_the_full_pass(model, pieces):
    whole = model(tl.tensor([IDS] * 2)).logits.numpy()
    state, at, parts = model.make_state(2, capacity=1), 0, []
    for count in pieces:
        parts.append(step(model, state, IDS[at : at + count]))
        at += count
    close(np.concatenate(parts, 1), whole)


def test_memory_of_a_window_is_bounded_by_it(windowed):
    ids = [(7 * i) % 60 for i in range(60)]
    whole = windowed(tl.tensor([ids])).logits.numpy()
    assert windowed.config.sliding_windows == (6, 6)
    state = windowed.make_state(capacity=1)
    for i, token in enumerate(ids):
        close(step(windowed, state, [token])[0, 0], whole[0, i])
        assert state.capacity <= 12
    state = windowed.make_state()
    close(step(windowed, state, ids[:50]), whole[:, :50])
    assert state.capacity == 12  # a long pass gives back what it needed
    close(step(windowed, state, ids[50:]), whole[:, 50:])


def test_trim_and_go_on(plain):
    expected = step(plain, filled(plain, IDS[:6]), IDS[6:])
    state = filled(plain, IDS[:6])
    step(plain, state, [1, 2, 3])
    assert state.trim(6) == [6]
    np.testing.assert_array_equal(step(plain, state, IDS[6:]), expected)
    assert state.trim(99) == [16]
    state.reset()
    assert state.lengths == [0]
    with pytest.raises(ArgumentError):
        state.trim(-1)


def test_a_window_trims_as_far_as_it_knows(windowed):
    whole = windowed(tl.tensor([IDS])).logits.numpy()
    for held, wanted in [(12, 9), (14, 13), (16, 1), (9, 4)]:
        state = windowed.make_state(capacity=1)
        for token in IDS[:held]:
            step(windowed, state, [token])
        kept = state.trim(wanted)[0]
        assert kept in (0, wanted)
        assert (held, wanted) != (14, 13) or kept == 13
        close(step(windowed, state, IDS[kept:]), whole[:, kept:])


@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_of_their_own_lengths(model, side):
    """Padded rows are as if they were alone, in the first pass and all that follow."""
    rows = [IDS[:3], IDS[2:12], IDS[5:6], IDS[:9]]
    width = max(map(len, rows))
    pads = [[0] * (width - len(row)) for row in rows]
    ids, mask = [], []
    for row, pad in zip(rows, pads, strict=True):
        ones = [1] * len(row)
        ids.append(pad + row if side == "left" else row + pad)
        mask.append(pad + ones if side == "left" else ones + pad)
    state = model.make_state(len(rows), capacity=2)
    found = step(model, state, ids, attention_mask=tl.tensor(mask))
    assert state.lengths == [len(row) for row in rows]
    alone = model(tl.tensor(ids), tl.tensor(mask)).logits.numpy()
    singles = [model.make_state() for _ in rows]
    for i, (row, pad, single) in enumerate(zip(rows, pads, singles, strict=True)):
        at = slice(len(pad), width) if side == "left" else slice(0, len(row))
        wanted = step(model, single, row)
        close(found[i, at], wanted[0])
        close(alone[i, at], wanted[0])
    for token in (4, 60, 7, 9, 1, 22, 13):
        found = step(model, state, [[token]] * len(rows))
        for i, single in enumerate(singles):
            close(found[i], step(model, single, [token])[0])


def test_select_orders_repeats_and_drops_rows(model):
    state = filled(model, [IDS[:8], IDS[4:12], IDS[8:]], batch=3)
    memory = [part.keys.data_ptr() for part in state.parts()]
    for rows in ([2, 0, 1], [1, 1, 0], [0, 2], [1, 0, 0, 1]):
        singles = [state.fork() for _ in rows]
        for single, row in zip(singles, rows, strict=True):
            single.select([row])
        state.select(rows)
        if len(rows) == 3:  # plans know the memory
            assert [part.keys.data_ptr() for part in state.parts()] == memory
        found = step(model, state, [[9, 3]] * len(rows))
        for i, single in enumerate(singles):
            close(found[i], step(model, single, [9, 3])[0])
    with pytest.raises(ArgumentError, match="rows from 0 to 3"):
        state.select([4])


def test_fork_is_independent(model):
    state = filled(model, IDS[:6])
    state.tokens = [IDS[:6]]
    fork = state.fork()
    assert fork.tokens == [IDS[:6]]
    expected = step(model, state, IDS[6:])
    step(model, state, [1, 2, 3])
    np.testing.assert_array_equal(step(model, fork, IDS[6:]), expected)
    assert model.make_state().fork().lengths == [0]


@pytest.mark.parametrize("dtype", ["f32", "q8_0"])
def test_fork_of_a_beginning(golden, dtype):
    """As much memory as it needs, the bits of a cut, and the state itself goes on."""
    for case in ("llama3", "mistral"):
        model = golden(case).load("hf")
        if model.config.head_dim % 32 and dtype == "q8_0":
            model = type(model)(replace(model.config, head_dim=32)).requires_grad_(False)
        state = filled(model, IDS[:8], batch=2, capacity=4, dtype=dtype)
        part, whole = state.fork(6), state.fork()
        assert (part.lengths, state.lengths) == ([6, 6], [8, 8])
        assert part.nbytes < whole.nbytes
        assert part.dtype.name == dtype
        wanted = step(model, filled(model, IDS[:6], batch=2, dtype=dtype), IDS[6:])
        np.testing.assert_array_equal(step(model, part, IDS[6:]), wanted)
        np.testing.assert_array_equal(step(model, state, IDS[8:]), step(model, whole, IDS[8:]))
        assert state.fork(99).lengths == [16, 16]
        assert state.fork(0).nbytes == 0


@pytest.mark.parametrize("dtype", [tl.f32, tl.f16])
def test_save_and_load(model, tmp_path, dtype):
    state = model.make_state(2, dtype=dtype)
    mask = tl.tensor([[1] * 8, [1] * 7 + [0]])
    step(model, state, [IDS[:8], IDS[4:12]], attention_mask=mask)
    state.tokens = [IDS[:8], IDS[4:11]]
    state.save(tmp_path / "state")
    loaded = model.make_state().load(tmp_path / "state")
    assert (loaded.lengths, loaded.tokens, loaded.dtype) == ([8, 7], state.tokens, dtype)
    for _ in range(9):
        np.testing.assert_array_equal(step(model, loaded, [9]), step(model, state, [9]))
    model.make_state().save(tmp_path / "empty")
    assert model.make_state().load(tmp_path / "empty").lengths == [0]


def test_a_cache_of_before_is_read(plain, tmp_path):
    state = filled(plain, IDS[:6])
    state.save(tmp_path / "state")
    file = tl.formats.safetensors.open_safetensors(tmp_path / "state")
    tensors = {name: file.tensor(name) for name in file.tensors}
    old = '{"length": 6, "batch": 1, "dtype": "f32"}'
    metadata = {"format": "tallow.kv_cache.1", "state": old, "tokens": "[1, 2]"}
    save_safetensors(tensors, tmp_path / "old", metadata)
    loaded = plain.make_state().load(tmp_path / "old")
    assert (loaded.lengths, loaded.tokens) == ([6], [[1, 2]])
    np.testing.assert_array_equal(step(plain, loaded, [9]), step(plain, state, [9]))


GOOD = '{"lengths": [3], "dtype": "f32", "bases": {}}'


@pytest.mark.parametrize(
    ("state", "tokens"),
    [
        ('{"lengths": [-1], "dtype": "f32", "bases": {}}', "[[]]"),
        ('{"lengths": [], "dtype": "f32", "bases": {}}', "[]"),
        ('{"lengths": [true], "dtype": "f32", "bases": {}}', "[[]]"),
        ('{"lengths": [3], "dtype": "i8", "bases": {}}', "[[]]"),
        ('{"lengths": [3], "dtype": "f32", "bases": {"6": [4]}}', "[[]]"),
        ('{"lengths": [9], "dtype": "f32", "bases": {"6": [5]}}', "[[]]"),
        ('{"lengths": [3], "dtype": "f32", "bases": {"x": [1]}}', "[[]]"),
        ('{"lengths": [3], "dtype": "f32", "bases": []}', "[[]]"),
        (GOOD, "[[1, 2, 3, 4]]"),
        (GOOD, '[["a"]]'),
        (GOOD, "[[], []]"),
        (GOOD, "{"),
        ("[" * 100_000, "[]"),
    ],
)
def test_damaged_files(plain, tmp_path, state, tokens):
    metadata = {"format": "tallow.state.1", "state": state, "tokens": tokens}
    save_safetensors({"a": tl.zeros(1)}, tmp_path / "file", metadata)
    with pytest.raises(FormatError, match="state"):
        plain.make_state().load(tmp_path / "file")


def test_load_refuses_what_does_not_fit(plain, windowed, tmp_path):
    filled(plain, IDS).save(tmp_path / "state")
    for change in ({"num_hidden_layers": 3}, {"head_dim": 8}, {"max_position_embeddings": 4}):
        other = type(plain)(replace(plain.config, **change))
        with pytest.raises(ModelError, match="expected keys and values"):
            other.make_state().load(tmp_path / "state")
    with pytest.raises(ModelError, match="expected keys and values"):
        windowed.make_state().load(tmp_path / "state")
    save_safetensors({"a": tl.zeros(1)}, tmp_path / "other")
    with pytest.raises(ModelError, match="format"):
        plain.make_state().load(tmp_path / "other")


CROSS = {"keys": tl.zeros(2, 3, 5, 4), "values": tl.zeros(2, 3, 5, 4)}


@pytest.mark.parametrize(
    "change",
    [
        {"keys": tl.zeros(2, 3, 5)},
        {"keys": tl.zeros(2, 3, 5, 4, 1), "values": tl.zeros(2, 3, 5, 4, 1)},
        {"keys": tl.zeros(2, 4, 5, 4), "values": tl.zeros(2, 4, 5, 4)},
        {"keys": tl.zeros(2, 3, 5, 8), "values": tl.zeros(2, 3, 5, 8)},
        {"values": tl.zeros(2, 3, 6, 4)},
        {"values": tl.zeros(2, 2, 5, 4)},
        {"keys": tl.zeros(2, 3, 5, 4, dtype=tl.i64)},
        {"values": tl.zeros(2, 3, 5, 4, dtype=tl.f16)},
        {"mask": tl.ones(2, 6)},
        {"mask": tl.ones(2, 5, 1)},
        {"more": tl.zeros(2)},
    ],
)
def test_load_refuses_contexts_that_are_none(tmp_path, change):
    def write(tensors):
        state = '{"lengths": [0, 0], "dtype": "f32", "bases": {}}'
        metadata = {"format": "tallow.state.1", "state": state, "tokens": "[[], []]"}
        named = {f"layers.0.cross_attn.{key}": held for key, held in tensors.items()}
        save_safetensors(named, tmp_path / "state", metadata)
        return State([SelfAndCross(KeyValue(3, 4), Cross())], context=16)

    assert write({**CROSS, "mask": tl.ones(2, 5)}).load(tmp_path / "state").batch == 2
    with pytest.raises(ModelError, match="expected keys and values"):
        write({**CROSS, **change}).load(tmp_path / "state")


def test_arguments(plain):
    for options in ({"batch": 0}, {"capacity": 0}, {"dtype": tl.i8}):
        with pytest.raises(ArgumentError):
            plain.make_state(**options)
    with pytest.raises(ShapeError, match="batch of 2"):
        plain(tl.tensor([[1]]), state=plain.make_state(2))


def test_a_recurrent_state(tmp_path):
    cell = GRUCell(3, 5).requires_grad_(False)
    state = State([Recurrent()], 2, context=100)
    part = state.layers[0]

    def run(state, x):
        held = state.layers[0].get("hidden")
        state.reserve(1)
        hidden = cell(x, tl.zeros(2, 5) if held is None else held)
        state.layers[0].put("hidden", hidden)
        state.commit(1)
        return hidden.numpy().copy()

    xs = tl.randn(4, 2, 3)
    first = [run(state, x) for x in xs[:2]]
    memory = part.tensors["hidden"].data_ptr()
    fork = state.fork()
    rest = [run(state, x) for x in xs[2:]]
    assert part.tensors["hidden"].data_ptr() == memory
    np.testing.assert_array_equal(run(fork, xs[2]), rest[0])
    fork.save(tmp_path / "state")
    loaded = State([Recurrent()], context=100).load(tmp_path / "state")
    np.testing.assert_array_equal(run(loaded, xs[3]), rest[1])
    assert state.trim(2) == [0, 0]  # what it was before is not known
    np.testing.assert_array_equal(run(state, xs[0]), first[0])
    with pytest.raises(ModelError, match="rows of one length"):
        state.reserve([1, 2])


@tl.inference_mode()
def test_a_ring_of_other_sizes_of_values():
    state = State([Ring(2, 4, 3, value_size=5)], context=100, capacity=1)
    keys, values = tl.randn(1, 2, 20, 4), tl.randn(1, 2, 20, 5)
    for i in range(20):
        state.reserve(1)
        k, v, start = state.layers[0].update(keys[:, :, i : i + 1], values[:, :, i : i + 1])
        state.commit(1)
        place, held = start.item(), min(i, 2)
        np.testing.assert_array_equal(
            k[:, :, place - held : place + 1].numpy(), keys[:, :, i - held : i + 1].numpy()
        )
        assert v.shape[2:] == (k.shape[2], 5)


def test_counts_that_do_not_belong_to_the_rows():
    state = State([KeyValue(1, 2)], 3, context=8)
    for method in (state.reserve, state.commit, state.trim):
        for counts in ([1, 1], [1, 1, 1, 1], [1, 1, -1], -1):
            with pytest.raises(ArgumentError, match=f"{method.__name__}: expected a number"):
                method(counts)
