"""Cases of the ops in tallow.ops.quant; test_quant.py and tests/native/test_quantize.py go on."""

import numpy as np

import tallow as tl
from ops.table import Case
from tallow.dtype import by_name
from tallow.tensor import tobytes


def by_gguf(x, dtype, importance=None):
    """`x` through gguf's own blocks and back."""
    from gguf import GGMLQuantizationType, quants

    kind = GGMLQuantizationType[dtype.upper()]
    if not x.size:
        return x.astype(np.float32)
    rows = x.astype(np.float32).reshape(-1, x.shape[-1])
    return quants.dequantize(quants.quantize(rows, kind), kind).reshape(x.shape)


def unpacked(x, dtype="f32"):
    """The values of a tensor of blocks as gguf has them."""
    from gguf import GGMLQuantizationType, quants

    name = by_name(dtype) if isinstance(dtype, str) else dtype
    raw = np.frombuffer(tobytes(x), np.uint8).reshape(x.shape[0], -1)
    values = quants.dequantize(raw, GGMLQuantizationType[x.dtype.name.upper()])
    return values.astype(np.float64 if name is tl.f64 else np.float32)


def blocks(d, dtype, k=256):
    return tl.from_numpy(np.ascontiguousarray(d.floats((3, k)), np.float32)).to(dtype)


CASES = {
    "quantize": Case(
        lambda d: [
            d(d.x((3, 64)), dtype="q8_0"),
            d(d.x((2, 2, 96)), dtype="q4_0"),
            d(d.x((2, 32)), dtype="q5_1"),
            d(d.x((256,)), dtype="tq2_0"),
            d(d.x((0, 32)), dtype="q4_1"),
        ],
        torch=False,
        numpy=by_gguf,
        output=lambda out: out.dequantize(),
        gradient=False,
        hypothesis=False,
    ),
    "dequantize": Case(
        lambda d: [
            d(blocks(d, "q8_0")),
            d(blocks(d, "q4_k"), dtype="f64"),
            d(blocks(d, "iq2_s"), dtype="f32"),
        ],
        dtypes=("f32",),
        torch=False,
        numpy=unpacked,
        gradient=False,
        hypothesis=False,
    ),
}
