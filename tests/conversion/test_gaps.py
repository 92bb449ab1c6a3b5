"""Gaps between tensors, against numpy and against what is known of special values."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tallow as tl
from tallow.conversion import Entry, compare


def entries(**arrays) -> dict[str, Entry]:
    made = {}
    for name, array in arrays.items():
        tensor = array if isinstance(array, tl.Tensor) else tl.tensor(array)
        made[name] = Entry(
            name, tensor.dtype.name, tuple(tensor.shape), lambda tensor=tensor: tensor
        )
    return made


def only(a, b, **options):
    (found,) = compare(entries(x=a), entries(x=b), **options)
    return found


@pytest.mark.parametrize("shape", [(7,), (40, 33), (3, 5, 8), ()])
def test_gap_is_numpys(shape, monkeypatch):
    monkeypatch.setattr("tallow.conversion.gaps.CHUNK", 16)
    draw = np.random.default_rng(0)
    a = draw.normal(size=shape).astype(np.float32)
    b = (a + draw.normal(size=shape) * 0.1).astype(np.float32)
    found = only(np.asarray(a), np.asarray(b))
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    assert found.verdict == "different"
    assert found.gap.largest == np.abs(x - y).max()
    assert math.isclose(found.gap.rmse, np.sqrt(np.mean((x - y) ** 2)), rel_tol=1e-12)
    relative = np.linalg.norm(x - y) / np.linalg.norm(x)
    assert math.isclose(found.gap.relative, relative, rel_tol=1e-12)
    cosine = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
    assert math.isclose(found.gap.cosine, cosine, rel_tol=1e-12)


@pytest.mark.parametrize("dtype", [tl.q4_0, tl.q8_0, tl.f16, tl.bf16])
def test_blocks_are_compared_by_what_they_stand_for(dtype, monkeypatch):
    monkeypatch.setattr("tallow.conversion.gaps.CHUNK", 64)
    a = tl.tensor(np.random.default_rng(1).normal(size=(6, 64)).astype(np.float32))
    b = a.to(dtype)
    gap = only(a, b).gap
    assert gap.largest == np.abs(a.numpy() - b.to(tl.f32).numpy()).max()
    same = only(b, b.to(tl.f32))
    assert (same.verdict, same.gap.largest) == ("dtype", 0.0)
    assert only(b, b.to(tl.f32), tolerance=0.0).verdict == "equal"
    assert only(b, b).verdict == "equal"


def test_tolerance():
    a, b = np.float32([1, 2, 3]), np.float32([1, 2.5, 3])
    assert only(a, b, tolerance=0.5).verdict == "close"
    assert only(a, b, tolerance=0.4).verdict == "different"
    assert only(a, b.astype(np.float64), tolerance=0.5).verdict == "close"


@pytest.mark.parametrize(
    ("a", "b", "largest"),
    [
        ([math.nan, 1.0], [math.nan, 1.0], 0.0),
        ([math.inf, 1.0], [math.inf, 1.0], 0.0),
        ([math.inf, 1.0], [-math.inf, 1.0], math.inf),
        ([math.nan, 1.0], [0.0, 1.0], math.inf),
        ([0.0], [-0.0], 0.0),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.0, 0.0], [0.0, 1.0], 1.0),
    ],
)
def test_special_values(a, b, largest):
    found = only(np.float32(a), np.float32(b))
    assert found.gap.largest == largest
    assert found.verdict == ("equal" if largest == 0 else "different")
    assert not any(map(math.isnan, (found.gap.rmse, found.gap.relative, found.gap.cosine)))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64", "float64", "complex64"])
def test_other_dtypes(dtype):
    a = np.array([0, 1, 1, 0]).astype(dtype)
    b = np.array([0, 1, 0, 0]).astype(dtype)
    assert only(a, a).verdict == "equal"
    assert only(a, b).gap.largest == 1


def test_names_and_shapes():
    one, two = np.zeros(3, np.float32), np.zeros((3, 1), np.float32)
    rows = compare(entries(a=one, b=one, c=one), entries(d=one, c=two, a=one))
    assert [(row.name, row.verdict) for row in rows] == [
        ("a", "equal"), ("b", "only in A"), ("c", "shape"), ("d", "only in B"),
    ]  # fmt: skip


def test_nothing_is_compared_before_its_turn():
    def never():
        raise AssertionError("taken too early")

    late = {"z": Entry("z", "f32", (1,), never)}
    rows = compare(entries(a=np.float32([1])) | late, entries(a=np.float32([1])) | late)
    assert next(rows).verdict == "equal"


def test_empty():
    assert list(compare({}, {})) == []
    assert only(np.zeros((0, 5), np.float32), np.zeros((0, 5), np.float32)).verdict == "equal"


def test_equal_bytes_are_not_computed_with(monkeypatch):
    from tallow.conversion import gaps

    monkeypatch.setattr(gaps, "_chunks", None)
    nan = float("nan")
    for value in (tl.tensor([1.0, nan, float("inf")]), tl.quantize(tl.ones(2, 32), "q8_0")):
        found = only(value, value.clone() if value.dtype is tl.f32 else value)
        assert (found.verdict, found.gap.largest, found.gap.cosine) == ("equal", 0.0, 1.0)


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "f64", "i32"])
def test_pieces_add_up(dtype, monkeypatch):
    """Odd values in one piece change nothing of how the others are counted."""
    from tallow.conversion import gaps

    rng = np.random.default_rng(9)
    a = rng.integers(-50, 50, 3000).astype(np.float64)
    b = a + rng.integers(0, 2, 3000)
    if dtype != "i32":
        a[[7, 1500]] = np.nan, np.inf
        b[[7, 1500]] = np.nan, np.inf
    left, right = (tl.from_numpy(x).to(dtype) for x in (a, b))
    whole = only(left, right).gap
    for chunk, piece in ((1000, 64), (64, 7), (1 << 20, 1 << 20)):
        monkeypatch.setattr(gaps, "CHUNK", chunk)
        monkeypatch.setattr(gaps, "PIECE", piece)
        found = only(left, right).gap
        for name in ("largest", "rmse", "relative", "cosine"):
            assert getattr(found, name) == pytest.approx(getattr(whole, name), rel=1e-12)
    assert whole.largest == 1.0
