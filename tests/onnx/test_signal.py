"""Fourier transforms and losses compared with onnx's reference evaluator."""

import numpy as np
import pytest

import tallow as tl
from onnx_nodes import check, values
from tallow.errors import TallowError
from tallow.formats.onnx import ValueInfo
from tallow.onnx.graph import Graph, Node
from tallow.onnx.operators import find
from tallow.onnx.program import Program
from tallow.onnx.runner import Runner

i64 = np.int64


@pytest.mark.needs_formats
@pytest.mark.parametrize("length", [None, 5, 12])
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("inverse", [0, 1])
@pytest.mark.parametrize("axis", [1, 2, -2])
def test_dft(axis, inverse, parts, length):
    x = values((2, 7, 8, parts))
    n = None if length is None else np.array(length, dtype=i64)
    options = {"runtime": False, "inverse": inverse, "tolerance": 1e-4}
    if inverse and parts == 1:
        return  # the evaluator's transform of real numbers is not inverted
    check("DFT", [x, n, np.array(axis, dtype=i64)], 20, **options)
    check("DFT", [x, n], 17, axis=axis, **options)


@pytest.mark.needs_formats
@pytest.mark.parametrize("length", [None, 6, 11])
@pytest.mark.parametrize("inverse", [0, 1])
def test_one_side(inverse, length):
    x = values((2, 7, 3, 2 if inverse else 1))
    if inverse:
        x[:, 0, :, 1] = 0
    n = None if length is None else np.array(length, dtype=i64)
    for dtype, tolerance in (("f4", 1e-4), ("f8", 1e-10)):
        given = [x.astype(dtype), n, np.array(1, dtype=i64)]
        check("DFT", given, 20, runtime=False, inverse=inverse, onesided=1, tolerance=tolerance)


@pytest.mark.needs_formats
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_dft_dtypes(dtype):
    x = values((2, 8, 1), dtype)
    tolerance = 1e-12 if dtype == "float64" else 3e-2
    check("DFT", [x, None, np.array(1, dtype=i64)], 20, runtime=False, tolerance=tolerance)
    pairs = values((2, 8, 2), dtype)
    check("DFT", [pairs, None, np.array(1, dtype=i64)], 20, runtime=False, inverse=1,
          tolerance=tolerance)  # fmt: skip


@pytest.mark.needs_formats
@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize("given", ["window", "length", "both"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_stft(dtype, given, onesided):
    signal = values((2, 20, 1), dtype)
    window = None if given == "length" else abs(values((8,), dtype, 1))
    length = None if given == "window" else np.array(8, dtype=i64)
    check("STFT", [signal, np.array(3, dtype=i64), window, length], 17, runtime=False,
          onesided=onesided, tolerance=1e-4)  # fmt: skip


@pytest.mark.needs_formats
def test_stft_of_complex_signals():
    check("STFT", [values((2, 20, 2)), np.array(4, dtype=i64), abs(values((8,), seed=1))], 17,
          runtime=False, onesided=0, tolerance=1e-4)  # fmt: skip


@pytest.mark.needs_formats
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("n", [1, 2, 3, 200, 283, 284, 401, 1024])
def test_lengths_of_products_and_of_numpy(n, parts):
    for half, inverse in ((0, 0), (1, 0), (0, 1)):
        if (inverse and parts == 1) or (half and parts == 2):
            continue
        check("DFT", [values((3, n, parts)), None, np.array(1, dtype=i64)], 20, runtime=False,
              onesided=half, inverse=inverse, tolerance=1e-4)  # fmt: skip


@pytest.mark.parametrize("n", [1, 2, 9, 64, 399, 400, 1024, 1025])
def test_a_half_gives_the_signal_back(n):
    x = tl.tensor(values((2, n, 1)))
    row = find("", "DFT", 20).function
    half = row(x, None, 1, onesided=1)
    assert half.shape == (2, n // 2 + 1, 2)
    assert tl.allclose(row(half, n, 1, inverse=1, onesided=1), x, atol=1e-5)


@pytest.mark.parametrize(("n", "parts", "plans"), [(400, 1, 1), (1024, 1, 0)])
def test_short_transforms_are_parts_of_plans(n, parts, plans):
    row = find("", "DFT", 20)
    x = tl.tensor(values((2, n, parts)))
    names = ["x", "", "axis"]
    node = Node("DFT", "", "", names, ["y"], {"onesided": 1}, row, 20)
    infos = [ValueInfo("x", None)], [ValueInfo("y", None)]
    graph = Graph("g", [node], *infos, {"axis": tl.tensor(1)})
    runner = Runner(Program(graph))
    first, *more = [runner.run([x], [])[0] for _ in range(3)]
    assert all(tl.allclose(first, y) for y in more)
    assert runner.stats.captured == plans


def test_an_inverse_undoes():
    x = tl.tensor(values((2, 9, 2)))
    row = find("", "DFT", 20).function
    assert tl.allclose(row(row(x, None, 1), None, 1, inverse=1), x, atol=1e-5)
    real = tl.tensor(values((2, 9, 1)))
    half = row(real, None, 1, onesided=1)
    assert half.shape == (2, 5, 2)
    assert tl.allclose(row(half, 9, 1, inverse=1, onesided=1), real, atol=1e-5)


@pytest.mark.needs_formats
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weights"])
@pytest.mark.parametrize("ignored", [None, 2, -5])
@pytest.mark.parametrize("spatial", [(), (4,), (3, 2)], ids=str)
def test_losses(spatial, ignored, weighted, reduction):
    x = values((5, 6, *spatial))
    labels = np.random.default_rng(1).integers(0, 6, (5, *spatial)).astype(np.int32)
    if ignored is not None:
        labels[1] = ignored
    weights = abs(values((6,), seed=2)) if weighted else None
    options = {"reduction": reduction} | ({} if ignored is None else {"ignore_index": ignored})
    check("SoftmaxCrossEntropyLoss", [x, labels, weights], 13, runtime=False, **options)
    check("SoftmaxCrossEntropyLoss", [x, labels, weights], 12, (True, True), runtime=False,
          **options)  # fmt: skip
    if len(spatial) != 1:  # what the evaluator makes of three axes has another shape
        labels = labels.astype(i64)
    check("NegativeLogLikelihoodLoss", [x, labels, weights], 13, runtime=False, **options)


@pytest.mark.parametrize("dtype", [tl.f64, tl.f16, tl.bf16])
@pytest.mark.parametrize("op", ["SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"])
def test_loss_dtypes(op, dtype):
    x, labels = tl.tensor(values((5, 6))), tl.tensor([0, 5, 1, 2, 3])
    row = find("", op, 22).function
    got = row(x.to(dtype), labels)
    assert got.dtype is dtype
    assert tl.allclose(got.to(tl.f32), row(x, labels), atol=2e-2)


BAD = {
    "axis": ("DFT", [tl.ones(2, 4, 1), None, 2], "but the last"),
    "parts": ("DFT", [tl.ones(2, 4, 3)], "1 or 2 elements"),
    "step": ("STFT", [tl.ones(2, 8, 1), 0], "frame_step"),
    "long": ("STFT", [tl.ones(2, 8, 1), 2, None, 9], "frame_length"),
    "window": ("STFT", [tl.ones(2, 8, 1), 2, tl.ones(3), 4], "a window of shape"),
    "label": ("NegativeLogLikelihoodLoss", [tl.ones(2, 3), tl.tensor([0, 3])], "label"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_inputs(case):
    op, given, text = BAD[case]
    with pytest.raises(TallowError, match=text):
        find("", op, 22).function(*given)
