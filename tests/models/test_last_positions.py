"""The last layer of a prompt computes the positions alone that are asked for."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl

IDS = [5, 9, 20, 31, 47, 3, 60, 14, 40, 11, 33, 8, 2, 50, 17, 29]


@pytest.fixture(params=["llama3", "mistral"])
def model(request, golden):
    """With keys of all positions, and (mistral) of a window of 6."""
    return golden(request.param).load("hf")


def step(model, state, ids, **options):
    rows = ids if isinstance(ids[0], list) else [ids] * state.batch
    return model(tl.tensor(rows, dtype=tl.i64), state=state, **options).logits.numpy()


def test_last_positions_alone_have_the_bits_of_all(model):
    for kept in (1, 3):
        for batch in (1, 2):
            whole, alone = model.make_state(batch), model.make_state(batch)
            for ids in (IDS[:9], IDS[9:11], IDS[11:]):
                wanted = step(model, whole, ids)[:, -kept:]
                found = step(model, alone, ids, logits_to_keep=kept)
                np.testing.assert_array_equal(found, wanted)
            np.testing.assert_array_equal(step(model, alone, [7]), step(model, whole, [7]))


def test_last_positions_of_padded_rows(model):
    rows, mask = [IDS[:6], [0, 0, *IDS[:4]]], tl.tensor([[1] * 6, [0, 0, 1, 1, 1, 1]])
    found = [
        step(model, model.make_state(2), rows, attention_mask=mask, logits_to_keep=kept)
        for kept in (0, 1)
    ]
    np.testing.assert_array_equal(found[1], found[0][:, -1:])


def test_a_prompt_goes_through_decode_as_a_subclass_has_it(model):
    class Doubled(type(model)):
        def decode(self, ids, state, *, embeds=None):
            return super().decode(ids, state, embeds=embeds) * 2

    @tl.inference_mode()
    def last(model):
        state, ids = model.make_state(), tl.tensor([IDS], dtype=tl.i64)
        state.reserve(len(IDS))
        return model.decode_last(ids, state).numpy()

    once = last(model)
    model.__class__ = Doubled
    np.testing.assert_array_equal(last(model), once * 2)


def lengths_seen(model, hook):
    """The lengths of what a prompt's pass gives at a module, which `hook` makes report them."""
    seen = []
    hook(lambda x: seen.append(x.shape[1]))
    state, ids = model.make_state(), tl.tensor([IDS], dtype=tl.i64)
    with tl.inference_mode():
        state.reserve(len(IDS))
        last = model.decode_last(ids, state)
        state.commit(len(IDS))
    assert last.shape[1] == 1
    whole = model.make_state()
    with tl.inference_mode():
        whole.reserve(len(IDS))
        np.testing.assert_array_equal(last.numpy(), model.decode(ids, whole).numpy()[:, -1:])
    return seen


@pytest.mark.parametrize("place", ["", ".self_attn", ".self_attn.q_proj", ".mlp", "norm"])
def test_hooks_see_all_positions(model, place):
    path = f"model.layers.{len(model.model.layers) - 1}{place}" if place != "norm" else "model.norm"
    module = model.get_submodule(path)
    given = lambda see: module.register_forward_hook(lambda m, args, out: see(out))  # noqa: E731
    assert set(lengths_seen(model, given)) == {len(IDS)}


def test_a_replaced_forward_or_attention_sees_all_positions(model):
    layer = model.model.layers[-1]

    def patch(see):
        inner = layer.forward

        def forward(x, *, positions=None, mask=None, state=None):
            out = inner(x, positions=positions, mask=mask, state=state)
            see(out)
            return out

        layer.forward = forward

    assert set(lengths_seen(model, patch)) == {len(IDS)}
    del layer.forward

    class Wrapped(tl.nn.Module):
        def __init__(self, inner, see):
            self.inner, self.see = inner, see

        def forward(self, x, *, positions=None, mask=None, state=None):
            self.see(x)
            return self.inner(x, positions=positions, mask=mask, state=state)

    def wrap(see):
        layer.self_attn = Wrapped(layer.self_attn, see)

    assert set(lengths_seen(model, wrap)) == {len(IDS)}


def test_a_decoder_of_another_class_needs_to_know_nothing_of_last_positions(model):
    class Older(type(model.model)):
        def forward(
            self,
            input_ids=None,
            attention_mask=None,
            position_ids=None,
            state=None,
            inputs_embeds=None,
            *,
            output_hidden_states=False,
        ):
            return super().forward(input_ids, attention_mask, position_ids, state, inputs_embeds)

        def decode(self, ids, state, *, embeds=None, seen=None):
            return super().decode(ids, state, embeds=embeds, seen=seen)

    wanted = step(model, model.make_state(), IDS)[:, -1:]
    model.model.__class__ = Older
    found = step(model, model.make_state(), IDS, logits_to_keep=1)
    np.testing.assert_array_equal(found, wanted)
    assert lengths_seen(model, lambda see: None) == []


def test_hooks_of_the_decoder_see_all_positions(model):
    seen = []
    model.model.register_forward_hook(
        lambda m, args, out: seen.append(out.last_hidden_state.shape[1])
    )
    step(model, model.make_state(), IDS, logits_to_keep=1)
    assert seen == [len(IDS)]
