"""Arrangements: stored tensors under other names and in other forms, told before they are read."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ModelError
from tallow.weights import NameMap, fill, open_weights
from tallow.weights.arrange import cat, rename, split, stack, transpose, within
from tallow.weights.patterns import Pattern

W = {name: tl.arange(24).reshape(4, 6).to(tl.f32) + i for i, name in enumerate("abcdef")}


def taken(tensors, *rules):
    source = open_weights(tensors).arrange(rules)
    assert source.problems == ()
    found = {}
    for name in source.names():
        found[name] = source.take(name).numpy()
        assert tuple(source.info(name).shape) == found[name].shape, "known before it was read"
        assert source.info(name).dtype == source.take(name).dtype.name
    return found


@pytest.mark.parametrize(
    ("pattern", "name", "want"),
    [
        ("a.{}.b", "a.3.b", (("3",), -1)),
        ("a.{}.b", "a.x.b", None),
        ("a.{}.b.{}.c", "a.1.b.22.c", (("1", "22"), -1)),
        ("a.{}.e.{*}.w", "a.1.e.7.w", (("1",), 7)),
        ("*.gamma", "x.y.gamma", (("x.y",), -1)),
        ("a.*", "a.b.c", (("b.c",), -1)),
        ("a.b", "aXb", None),
        ("a.{}.*", "a.0.weight", (("0", "weight"), -1)),
    ],
)
def test_patterns(pattern, name, want):
    assert Pattern(pattern).match(name) == want
    if want and want[1] < 0:
        assert Pattern(pattern).fill(want[0]) == name


def test_names_with_several_numbers():
    names = NameMap({"blk.{}.ffn.{}.up": "layers.{}.experts.{}.up_proj"})
    assert names("blk.3.ffn.12.up.weight") == "layers.3.experts.12.up_proj.weight"
    assert names.stored("layers.3.experts.12.up_proj.weight") == "blk.3.ffn.12.up.weight"
    assert names("blk.3.other.weight") == "blk.3.other.weight"


def test_rename_keeps_the_bytes():
    tensors = {"h.0.ln.gamma": W["a"], "h.1.ln.gamma": W["b"], "x": W["c"]}
    source = open_weights(tensors).arrange([rename("h.{}.ln.gamma", "layer.{}.norm.weight")])
    assert source.names() == ["x", "layer.0.norm.weight", "layer.1.norm.weight"]
    assert source.take("layer.1.norm.weight").data_ptr() == W["b"].data_ptr()
    assert "h.1.ln.gamma" in source.where("layer.1.norm.weight")


def test_split_is_views():
    qkv = tl.arange(36).reshape(9, 4).to(tl.f32)
    source = open_weights({"l.0.qkv": qkv}).arrange(
        [split("l.{}.qkv", "l.{}.q", "l.{}.k", "l.{}.v")]
    )
    for i, name in enumerate("qkv"):
        part = source.take(f"l.0.{name}")
        assert np.array_equal(part.numpy(), qkv.numpy()[3 * i : 3 * i + 3])
        assert part.data_ptr() == qkv.data_ptr() + 3 * i * 16


def test_split_by_sizes_and_other_axes():
    found = taken({"x": W["a"]}, split("x", "p", "q", dim=1, sizes=(2, 4)))
    assert np.array_equal(found["p"], W["a"].numpy()[:, :2])
    assert np.array_equal(found["q"], W["a"].numpy()[:, 2:])


def test_stack_gathers_layers_and_experts():
    tensors = {
        f"m.{i}.experts.{j}.w": tl.full((2, 3), float(10 * i + j))
        for i in range(2)
        for j in (1, 0, 2)
    }
    found = taken(tensors, stack("m.{}.experts.{*}.w", to="m.{}.experts"))
    assert found.keys() == {"m.0.experts", "m.1.experts"}
    assert found["m.1.experts"].shape == (3, 2, 3)
    assert found["m.1.experts"][:, 0, 0].tolist() == [10, 11, 12]


def test_cat_of_several_names_and_transpose():
    found = taken(
        {"q": W["a"], "k": W["b"], "c": W["c"]},
        cat("q", "k", to="qk", dim=0),
        transpose("c", "c.t"),
    )
    assert np.array_equal(found["qk"], np.concatenate([W["a"].numpy(), W["b"].numpy()]))
    assert np.array_equal(found["c.t"], W["c"].numpy().T)


def test_rules_in_a_row_like_gpt2():
    """A Conv1D with fused queries, keys and values: transposed, then split."""
    fused = tl.arange(4 * 12).reshape(4, 12).to(tl.f32)
    rules = [
        transpose("h.{}.c_attn.weight"),
        split("h.{}.c_attn.weight", "h.{}.q", "h.{}.k", "h.{}.v"),
    ]
    found = taken({"m.h.0.c_attn.weight": fused}, *within("m", rules))
    assert np.array_equal(found["m.h.0.k"], fused.numpy().T[4:8])


@pytest.mark.parametrize("dtype", [tl.q8_0, tl.q4_0])
def test_blocks_join_along_rows_and_are_cut_along_rows(dtype):
    x = tl.randn(6, 64).to(dtype)
    found = open_weights({"x": x}).arrange([split("x", "a", "b")])
    assert np.array_equal(found.take("b").to(tl.f32).numpy(), x.to(tl.f32).numpy()[3:])
    joined = open_weights({"a": x, "b": x}).arrange([cat("a", "b", to="c")])
    assert joined.take("c").dtype is dtype
    assert np.array_equal(joined.take("c").to(tl.f32).numpy()[6:], x.to(tl.f32).numpy())
    turned = open_weights({"a": x}).arrange([transpose("a")])
    assert "float tensor to transpose" in turned.problem("a")


def test_conversion_comes_before_joining():
    source = open_weights({"a": W["a"].to(tl.bf16), "b": W["b"].to(tl.bf16)})
    found = source.arrange([cat("a", "b", to="c")]).take("c", tl.f32)
    assert found.dtype is tl.f32
    assert found.shape == (8, 6)


class Pair(tl.nn.Module):
    def __init__(self):
        self.q = tl.nn.Linear(4, 3, bias=False)
        self.k = tl.nn.Linear(4, 3, bias=False)
        self.norm = tl.nn.BatchNorm1d(3)


def test_mismatches_of_arranging_and_of_filling_in_one_error():
    tensors = {
        "qk": tl.zeros(7, 4),
        "e.0.w": tl.zeros(2, 2),
        "e.2.w": tl.zeros(2, 2),
        "p": tl.zeros(2),
        "norm.weight": tl.zeros(4),
    }
    rules = [split("qk", "q.weight", "k.weight"), stack("e.{*}.w", to="e"), transpose("p")]
    with pytest.raises(ModelError) as caught:
        fill(Pair(), open_weights(tensors).arrange(rules))
    text = str(caught.value)
    for part in (
        "qk: expected axis 0 of 7 to divide into 2 equal parts",
        "e.1.w: expected a tensor to join, found nothing",
        "p: expected a matrix to transpose, found shape (2,)",
        "q.weight: expected a float",
        "norm.weight: expected a float tensor of shape (3,)",
        "norm.running_mean: expected a float tensor of shape (3,), found nothing",
    ):
        assert part in text, part
    assert "num_batches_tracked" not in text, "files may lack it"


def test_two_tensors_for_one_name():
    source = open_weights({"a": W["a"], "b": W["b"]}).arrange([rename("a", "b")])
    assert "expected once, found b and a" in source.problems[0]


def test_buffers_are_filled_and_converted():
    model, other = Pair(), Pair()
    other.norm.running_mean.copy_(tl.tensor([1.0, 2, 3]))
    state = {name: value.to(tl.f16) if value.dtype is tl.f32 else value
             for name, value in other.state_dict().items()}  # fmt: skip
    state["norm.num_batches_tracked"] = tl.tensor(5, dtype=tl.i32)
    fill(model, open_weights(state))
    assert model.norm.running_mean.tolist() == [1, 2, 3]
    assert model.norm.running_mean.dtype is tl.f32
    assert model.norm.num_batches_tracked.item() == 5
    assert model.norm.num_batches_tracked.dtype is tl.i64
    model.norm.train()(tl.ones(4, 3))
    assert other.norm.running_mean.tolist() == [1, 2, 3], "what was loaded is not written to"


@pytest.mark.parametrize("number", ["9" * 5000, "\u0661"], ids=["5000 digits", "arabic"])
def test_a_number_that_is_no_index_is_told_as_a_mismatch(number):
    source = open_weights({"e.0.w": tl.ones(2), f"e.{number}.w": tl.ones(2)})
    found = source.arrange([stack("e.{*}.w", to="e")])
    assert set(found.names()) == {"e", f"e.{number}.w"}
