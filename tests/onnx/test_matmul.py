"""MatMul, Gemm and Einsum compared with onnxruntime or numpy's rules."""

import numpy as np
import pytest

import tallow as tl
from onnx_nodes import check, values
from tallow.errors import TallowError
from tallow.onnx.operators import find

PAIRS = {
    "matrices": ((3, 4), (4, 5)),
    "batches": ((2, 3, 4), (2, 4, 5)),
    "broadcast": ((2, 1, 3, 4), (3, 4, 5)),
    "weight": ((2, 3, 4), (4, 5)),
    "row": ((4,), (4, 5)),
    "column": ((2, 3, 4), (4,)),
    "vectors": ((4,), (4,)),
    "left broadcast": ((3, 4), (2, 4, 5)),
}
INTEGERS = ["int32", "int64", "uint32", "uint64"]


@pytest.mark.needs_formats
@pytest.mark.parametrize("case", PAIRS)
def test_matmul(case):
    a, b = PAIRS[case]
    check("MatMul", [values(a), values(b, seed=1)], 13)


@pytest.mark.needs_formats
@pytest.mark.parametrize("dtype", [*INTEGERS, "float64", "float16", "bfloat16"])
def test_matmul_dtypes(dtype):
    check("MatMul", [values((2, 3, 4), dtype), values((4, 5), dtype, 1)], 13, runtime=False)


@pytest.mark.needs_formats
@pytest.mark.parametrize("trans", [(0, 0), (0, 1), (1, 0), (1, 1)], ids=str)
@pytest.mark.parametrize("scales", [(1.0, 1.0), (0.5, 2.0), (1.0, 0.5)], ids=str)
@pytest.mark.parametrize("c", [None, (5,), (1,), (), (3, 5), (3, 1), (1, 5)], ids=str)
def test_gemm(c, scales, trans):
    a = values((4, 3) if trans[0] else (3, 4))
    b = values((5, 4) if trans[1] else (4, 5), seed=1)
    given = None if c is None else values(c, seed=2)
    check("Gemm", [a, b, given], 13, alpha=scales[0], beta=scales[1], transA=trans[0],
          transB=trans[1])  # fmt: skip


@pytest.mark.needs_formats
@pytest.mark.parametrize("opset", [7, 9, 11, 13])
def test_gemm_of_every_opset(opset):
    check("Gemm", [values((3, 4)), values((4, 5), seed=1), values((5,), seed=2)], opset)


@pytest.mark.needs_formats
@pytest.mark.parametrize("dtype", [*INTEGERS, "float64", "float16", "bfloat16"])
def test_gemm_dtypes(dtype):
    given = [values((3, 4), dtype), values((4, 5), dtype, 1), values((5,), dtype, 2)]
    check("Gemm", given, 13, runtime=False)


def test_gemm_before_opset_7():
    a, b, c = tl.ones(2, 3), tl.ones(3, 4), tl.ones(4)
    row = find("", "Gemm", 6).function
    assert row(a, b, c, broadcast=1).tolist() == [[4.0] * 4] * 2
    with pytest.raises(TallowError, match="C of shape"):
        row(a, b, c)


EQUATIONS = {
    "product": ("ij,jk->ik", [(2, 3), (3, 4)]),
    "implicit": ("ij,jk", [(2, 3), (3, 4)]),
    "implicit order": ("ba", [(2, 3)]),
    "spaces": (" i j , j k -> i k ", [(2, 3), (3, 4)]),
    "ellipsis": ("...ij,...jk->...ik", [(5, 2, 3), (5, 3, 4)]),
    "ellipsis broadcast": ("...ij,...jk->...ik", [(5, 1, 2, 3), (6, 3, 4)]),
    "ellipsis implicit": ("...ij", [(5, 2, 3)]),
    "ellipsis summed": ("...ij->...i", [(5, 2, 3)]),
    "diagonal": ("ii->i", [(3, 3)]),
    "diagonal of batches": ("...ii->...i", [(2, 3, 3)]),
    "trace": ("ii", [(3, 3)]),
    "sum": ("ij->", [(2, 3)]),
    "transposed": ("abc->cab", [(2, 3, 4)]),
    "three": ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
    "outer": ("i,j->ij", [(2,), (3,)]),
    "scalars": (",->", [(), ()]),
    "upper and lower": ("aB,Bc->ac", [(2, 3), (3, 4)]),
    "heads": ("bqhd,bkhd->bhqk", [(2, 3, 2, 4), (2, 5, 2, 4)]),
}


@pytest.mark.needs_formats
@pytest.mark.parametrize("opset", [12, 28])
@pytest.mark.parametrize("case", EQUATIONS)
def test_einsum(case, opset):
    equation, shapes = EQUATIONS[case]
    given = [values(shape, seed=i) for i, shape in enumerate(shapes)]
    check("Einsum", given, opset, runtime=False, equation=equation)


@pytest.mark.needs_formats
@pytest.mark.parametrize("dtype", [
    "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float64",
    "bfloat16"])  # fmt: skip
def test_einsum_dtypes(dtype):
    given = [values((3, 4), dtype), values((4, 5), dtype, 1)]
    check("Einsum", given, 28, runtime=False, equation="ij,jk->ik")
    check("Einsum", given[:1], 28, runtime=False, equation="ij->j")


def test_products_that_do_not_fit_are_refused():
    with pytest.raises(TallowError, match="matmul"):
        find("", "MatMul", 13).function(tl.ones(2, 3), tl.ones(4, 5))
    with pytest.raises(TallowError, match="two matrices"):
        find("", "Gemm", 13).function(tl.ones(2, 3, 4), tl.ones(4, 5))
    with pytest.raises(TallowError, match="operands for"):
        find("", "Einsum", 12).function(tl.ones(2, 3), equation="ij,jk->ik")
    assert np.isfinite(find("", "MatMul", 13).function(tl.ones(0, 3), tl.ones(3, 2)).numpy()).all()
