"""What a decoder keeps of a context: projected once, shared by rows, in the dtype of the state."""

import numpy as np
import pytest

import tallow as tl
from tallow.models.blocks import Attention
from tallow.models.states import Cross, KeyValue, SelfAndCross, State


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_a_context_is_projected_once(tmp_path):
    """Keys, values and mask of a context stay through steps, rows and files."""
    attention = Attention(12, 3, kv_size=7).eval().requires_grad_(False)
    x, context = tl.randn(2, 4, 12), tl.randn(2, 5, 7)
    mask = tl.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    wanted = attention(x, context=context, mask=mask).numpy()
    state = State([SelfAndCross(KeyValue(3, 4), Cross())], 2, context=16)
    cross = state.layers[0].cross_attn
    close(attention(x, context=context, mask=mask, state=cross).numpy(), wanted)
    close(attention(x[:, 1:2], state=cross).numpy(), wanted[:, 1:2])
    state.select([1, 0, 1])
    found = attention(tl.stack([x[1], x[0], x[1]]), state=cross).numpy()
    close(found, wanted[[1, 0, 1]])
    state.save(tmp_path / "state")
    loaded = State([SelfAndCross(KeyValue(3, 4), Cross())], context=16).load(tmp_path / "state")
    close(attention(tl.stack([x[1], x[0], x[1]]), state=loaded.layers[0].cross_attn).numpy(), found)
    state.trim(0)
    assert cross.filled
    state.reset()
    assert not cross.filled


def test_rows_beside_each_other_share_a_context(tmp_path):
    """Contexts are repeated where rows of one do not stand together, or are not equally many."""
    attention = Attention(12, 3, kv_size=7).eval().requires_grad_(False)
    x, context = tl.randn(2, 4, 12), tl.randn(2, 5, 7)
    mask = tl.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    make = lambda batch: State([SelfAndCross(KeyValue(3, 4), Cross())], batch, context=16)  # noqa: E731
    state = make(2)
    cross = state.layers[0].cross_attn
    attention(x, context=context, mask=mask, state=cross)
    of = [0, 1]  # the context of each row
    held = []
    for rows in ([0, 0, 0, 1, 1, 1], [2, 0, 1, 5, 3, 3], [3, 5, 3, 0, 0, 0], [0, 1, 3, 4],
                 [0, 2, 3], [1, 0, 2, 1]):  # fmt: skip
        state.select(rows)
        of = [of[row] for row in rows]
        h = tl.randn(len(rows), 2, 12)
        picked = tl.tensor(of)
        given = context.index_select(0, picked), mask.index_select(0, picked)
        wanted = attention(h, context=given[0], mask=given[1]).numpy()
        close(attention(h, state=cross).numpy(), wanted)
        held.append(cross.tensors["keys"].shape[0])
        state.save(tmp_path / "state")
        loaded = make(len(rows)).load(tmp_path / "state").layers[0].cross_attn
        close(attention(h, state=loaded).numpy(), wanted)
    assert held == [2, 2, 2, 2, 3, 4]


@pytest.mark.parametrize(
    ("dtype", "kept", "bound"),
    [("f16", tl.f16, 2e-3), ("bf16", tl.bf16, 2e-2), ("q8_0", tl.f16, 2e-3)],
)
def test_a_context_is_kept_in_the_dtype_of_the_state(tmp_path, dtype, kept, bound):
    attention = Attention(96, 3, kv_size=7).eval().requires_grad_(False)
    x, context = tl.randn(2, 4, 96), tl.randn(2, 5, 7)
    make = lambda: State([SelfAndCross(KeyValue(3, 32), Cross())], 2, context=16, dtype=dtype)  # noqa: E731
    state = make()
    cross = state.layers[0].cross_attn
    found = attention(x, context=context, state=cross).numpy()
    np.testing.assert_allclose(found, attention(x, context=context).numpy(), atol=bound)
    assert cross.tensors["keys"].dtype is kept
    state.save(tmp_path / "state")
    loaded = make().load(tmp_path / "state").layers[0].cross_attn
    assert np.array_equal(attention(x, state=loaded).numpy(), found)
    attention.fill(loaded, context, None)  # what is loaded goes on in its dtype
    assert loaded.tensors["values"].dtype is kept
