"""Operations and bytes of kernel calls, against counts made by hand."""

import pytest

import tallow as tl
from tallow import _native
from tallow.profiling import record
from tallow.profiling.formulas import BYTES, FLOPS


def only(run, kernel):
    """The work of the one call of a kernel."""
    with record() as found:
        run()
    (call,) = [call for call in found.calls if call.what.kernel == kernel]
    return call.what.work


def test_formulas_are_of_kernels_that_there_are():
    known = dict(_native.kernel_names())
    assert {*FLOPS, *BYTES} - {"conv_transformed"} <= known.keys()


def test_what_multiplies_has_a_formula():
    begins = ("linear", "matmul", "conv", "attention", "vecdot", "expert")
    products = {name for name in dict(_native.kernel_names()) if name.startswith(begins)}
    assert products - FLOPS.keys() == {"linear_attention", "linear_scan", "conv_last_weight"}


def test_linear():
    x, w = tl.ones(3, 32), tl.ones(5, 32)
    assert only(lambda: tl.nn.functional.linear(x, w), "linear").flops == 2 * 3 * 5 * 32
    assert only(lambda: tl.nn.functional.linear(x, w), "linear").bytes == 4 * (96 + 160 + 15)
    packed = w.to(tl.q8_0)
    assert only(lambda: tl.nn.functional.linear(x, packed), "linear").bytes == 4 * 111 + 5 * 34


def test_matmul_of_batches_and_of_what_is_repeated():
    a, b = tl.ones(2, 3, 4), tl.ones(2, 4, 5)
    assert only(lambda: a @ b, "matmul").flops == 2 * 2 * 3 * 5 * 4
    row = tl.ones(1, 7).expand(6, 7)
    work = only(lambda: row.contiguous(), "copy")
    assert (work.flops, work.bytes) == (None, 4 * (7 + 42))


def test_experts_that_are_not_chosen_are_not_read():
    x, w = tl.ones(1, 32), tl.ones(8, 5, 32)
    run = lambda ids: only(  # noqa: E731
        lambda: tl.ops.expert_linear(x.expand(len(ids), 32).contiguous(), w, tl.tensor(ids)),
        "expert_linear",
    )
    work = run([[3, 5]])
    assert work.flops == 2 * 2 * 5 * 32
    assert work.bytes == 4 * (2 * 5 + 32 + 2 * 5 * 32) + 8 * 2
    many = run([[0, 1]] * 6)
    assert many.bytes == 4 * (12 * 5 + 6 * 32 + 8 * 5 * 32) + 8 * 12


def test_convolution_of_a_packed_weight():
    out, x, weight = tl.zeros(1, 24, 1, 1), tl.ones(1, 8, 3, 3), tl.ones(2, 72, 16)
    arrays = [t._array for t in (out, x, weight)]
    numbers = (1, 1, 0, 0, 1, 1, 3, 3)
    work = only(lambda: _native.call("conv_last", *arrays, None, None, 0, *numbers), "conv_last")
    assert work.flops == 2 * 24 * 8 * 9


def test_the_most_likely_of_classes():
    index, x, weight = tl.zeros(2, 3, dtype=tl.i64), tl.ones(2, 3, 8), tl.ones(2, 8, 16)
    arrays = [t._array for t in (index, tl.zeros(2, 3), x, weight)]
    kernel = "linear_most_likely"
    work = only(lambda: _native.call(kernel, *arrays, None, 20), kernel)
    assert work.flops == 2 * 6 * 8 * 20


def test_convolution_of_groups():
    x, w = tl.ones(2, 4, 8, 8), tl.ones(6, 2, 3, 3)
    work = only(lambda: tl.nn.functional.conv2d(x, w, groups=2), "conv")
    assert work.flops == 2 * (2 * 6 * 6 * 6) * (2 * 9)
    assert work.bytes == 4 * (2 * 4 * 64 + 6 * 2 * 9 + 2 * 6 * 36)


def attention(queries, keys, start=None, **how):
    q, k = tl.ones(1, 4, queries, 8), tl.ones(1, 2, keys, 8)
    given = None if start is None else tl.tensor([start])
    return only(lambda: tl.ops.attention(q, k, k, start=given, **how), "attention")


@pytest.mark.parametrize(
    ("queries", "keys", "how", "pairs", "read"),
    [
        (3, 5, {"causal": False}, 15, 5),
        (3, 5, {"causal": True}, 1 + 2 + 3, 3),
        (1, 100, {"start": 9, "causal": True}, 10, 10),
        (4, 100, {"start": 0, "causal": True}, 1 + 2 + 3 + 4, 4),
        (2, 100, {"start": 8, "causal": True}, 9 + 10, 10),
        (1, 100, {"start": 9, "causal": True, "window": 4}, 4, 4),
        (2, 100, {"start": 9, "causal": True, "window": 4}, 4 + 4, 5),
        (1, 100, {"start": 9, "causal": False}, 10, 10),
    ],
)
def test_attention_counts_the_keys_that_are_seen(queries, keys, how, pairs, read):
    work = attention(queries, keys, **how)
    assert work.flops == 2 * 4 * pairs * (8 + 8)
    assert work.bytes == 4 * (2 * 4 * queries * 8 + 2 * 2 * read * 8)


def test_embedding_reads_the_rows_that_it_is_asked_for():
    table, ids = tl.ones(1000, 8), tl.tensor([[3, 4, 3]])
    work = only(lambda: tl.nn.functional.embedding(ids, table), "embedding")
    assert work.bytes == 3 * 8 + 2 * 3 * 8 * 4
    assert work.flops is None


def test_what_is_written_in_place_is_read_too():
    state, x = tl.ones(4), tl.ones(4)
    with record() as found:
        state.add_(x)
    (call,) = [call for call in found.calls if call.what.kernel == "add"]
    assert call.what.work.bytes == 3 * 16
