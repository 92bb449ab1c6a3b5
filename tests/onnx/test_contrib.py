"""Operators of com.microsoft, compared with onnxruntime where its CPU has them."""

import numpy as np
import pytest

import one_operator as one

pytestmark = pytest.mark.needs_formats
rng = np.random.default_rng(7)
MS = "com.microsoft"


def f(*shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype("f4")


def q(kind, *shape):
    return one.eight_bits(rng, kind, *shape)


def ints(high, *shape, kind="i4"):
    return rng.integers(0, high, shape, kind)


def scale(*shape):
    return np.asarray(rng.uniform(0.01, 0.05, shape).astype("f4"))


def check(op, inputs, attributes=None, rtol=2e-5, atol=2e-5, **how):
    how = {"domain": MS, "opset": 1} | how
    one.compare(op, inputs, attributes, rtol=rtol, atol=atol, **how)


X, GAMMA, BETA = f(2, 5, 8), f(8), f(8)
PLAIN = {
    "Gelu": ([X], {}),
    "FastGelu": ([X, f(8)], {}),
    "BiasGelu": ([X, f(8)], {}),
    "QuickGelu": ([X], {"alpha": 1.3}),
    "Inverse": ([f(2, 4, 4)], {}),
    "Trilu": ([f(2, 4, 5), np.asarray(1)], {"upper": 0}),
    "CDist": ([f(4, 6), f(5, 6)], {"metric": "euclidean"}),
    "ExpandDims": ([X, np.asarray(-1, "i4")], {}),
    "Range": ([np.asarray(1, "f4"), np.asarray(5, "f4"), np.asarray(0.5, "f4")], {}),
    "Pad": ([f(2, 3), np.asarray([0, 2, 1, 0]), np.asarray([1.5], "f4")], {"mode": "constant"}),
    "FusedGemm": (
        [f(4, 3), f(5, 3), f(5)],
        {"transB": 1, "alpha": 0.5, "activation": "LeakyRelu", "activation_alpha": 0.2},
    ),
    "FusedMatMul": ([f(3, 4, 2), f(3, 5, 4)], {"transA": 1, "transB": 1, "alpha": 0.3}),
    "SimplifiedLayerNormalization": ([X, GAMMA], {"epsilon": 1e-5}),
}


@pytest.mark.parametrize("op", PLAIN)
def test_plain_operators(op):
    inputs, attributes = PLAIN[op]
    domain = "" if op == "SimplifiedLayerNormalization" else MS
    check(op, inputs, attributes, domain=domain, opset=17 if not domain else 1)


def test_matrices_with_a_batch_in_the_middle():
    check("FusedMatMul", [f(2, 3, 4), f(3, 5, 2)], {"transBatchA": 1, "transA": 1, "transB": 1})


@pytest.mark.parametrize("mode", ["reflect", "edge"])
def test_pad_modes(mode):
    check("Pad", [f(3, 4), np.asarray([1, 2, 0, 1])], {"mode": mode})


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_crop_and_resize(mode):
    rois = np.array([[0, 0, 1, 1], [0.1, 0.7, 0.8, 0.2], [-0.2, 0.12, 1.3, 0.93]], "f4")
    inputs = [f(2, 3, 7, 6), rois, np.array([0, 1, 0], "i4"), np.array([4, 5], "i4")]
    check("CropAndResize", inputs, {"mode": mode, "extrapolation_value": 0.5}, atol=1e-4)


def test_unique_keeps_the_order():
    check("Unique", [np.array([2, 1, 1, 3, 4, 3], "f4")], outputs=3)


ACTIVATIONS = {
    "Relu": None, "Sigmoid": None, "Tanh": None, "LeakyRelu": [0.3], "Clip": [-0.5, 0.7],
    "HardSigmoid": [0.3, 0.4],
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_convolutions_with_ends(name):
    how = {"activation": name, "pads": [1, 0, 1, 2], "group": 2}
    if ACTIVATIONS[name]:
        how["activation_params"] = ACTIVATIONS[name]
    check("FusedConv", [f(1, 4, 6, 7), f(6, 2, 3, 3), f(6)], how)
    check("FusedConv", [f(1, 4, 6, 7), f(6, 2, 3, 3), f(6), f(1, 6, 6, 7)], how)


def test_skipped_norms():
    check("SkipLayerNormalization", [X, f(2, 5, 8), GAMMA, BETA, f(8)], {"epsilon": 1e-5})
    check("SkipLayerNormalization", [X, f(5, 8), GAMMA, BETA], {"epsilon": 1e-5})
    made = one.model("SkipLayerNormalization", [X, X, GAMMA, BETA], {}, domain=MS, outputs=4)
    feeds = {"x0": X, "x1": X, "x2": GAMMA, "x3": BETA}
    got = one.ours(made, feeds)
    np.testing.assert_allclose(got[3], 2 * X, rtol=1e-6)
    np.testing.assert_allclose(got[1][..., 0], (2 * X).mean(-1), atol=1e-6)
    np.testing.assert_allclose(got[2][..., 0], 1 / (2 * X).std(-1), rtol=1e-4)
    check("SkipSimplifiedLayerNormalization", [X, f(2, 5, 8), GAMMA], {"epsilon": 1e-5})
    check("SkipSimplifiedLayerNormalization", [X, f(2, 5, 8), GAMMA, f(8)], {"epsilon": 1e-5})


def test_norms_of_axes():
    check("SimplifiedLayerNormalization", [X, f(5, 8)], {"axis": 1}, domain="", opset=17)
    check("LayerNormalization", [X, f(5, 8), f(5, 8)], {"axis": 1}, domain="", opset=16)


@pytest.mark.parametrize("masked", [False, True])
def test_embeddings(masked):
    ids, kinds = ints(11, 2, 6), ints(2, 2, 6)
    tables = [f(11, 8), f(9, 8), f(2, 8), GAMMA, BETA]
    mask = [np.array([[1, 1, 1, 0, 0, 0], [1] * 6], "i4")] if masked else []
    check("EmbedLayerNormalization", [ids, kinds, *tables, *mask], outputs=2)
    places = np.array([[3, 2, 1, 0, 4, 5]] * 2, "i4")
    inputs = [ids, None, *tables[:2], None, *tables[3:], None, places]
    check("EmbedLayerNormalization", inputs, outputs=3)


# --- attention ------------------------------------------------------------------------------------

MASKS = {
    "none": None,
    "lengths": np.array([3, 5], "i4"),
    "ends and starts": np.array([5, 4, 1, 0], "i4"),
    "raw": np.array([[1, 1, 0, 1, 1], [1, 1, 1, 1, 0]], "i4"),
    "each query": (rng.random((2, 5, 5)) < 0.8).astype("i4") | np.eye(5, dtype="i4"),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("causal", [0, 1])
def test_attention_layers(mask, causal):
    inputs = [X, f(8, 24, scale=0.3), f(24), MASKS[mask]]
    check("Attention", inputs, {"num_heads": 2, "unidirectional": causal}, atol=1e-4)


def test_attention_goes_on():
    past = f(2, 2, 2, 3, 4)
    inputs = [X, f(8, 24, scale=0.3), f(24), None, past]
    check("Attention", inputs, {"num_heads": 2, "unidirectional": 1}, outputs=2, atol=1e-4)
    bias = f(2, 2, 5, 5)
    inputs = [X, f(8, 20, scale=0.3), f(20), None, None, bias]
    how = {"num_heads": 2, "qkv_hidden_sizes": [8, 8, 4], "scale": 0.7}
    check("Attention", inputs, how, atol=1e-4)


@pytest.mark.parametrize("causal", [0, 1])
def test_many_heads(causal):
    how = {"num_heads": 2, "unidirectional": causal}
    k, v = f(2, 5, 8), f(2, 5, 8)
    check("MultiHeadAttention", [X, k, v], how, atol=1e-4)
    check("MultiHeadAttention", [X, k, v, f(24)], how, atol=1e-4)
    mask = MASKS["raw"]
    check("MultiHeadAttention", [X, k, v, None, mask], how, atol=1e-4)
    past = [f(2, 2, 3, 4), f(2, 2, 3, 4)]
    bias = f(1, 2, 5, 8)
    check("MultiHeadAttention", [X, k, v, None, None, bias, *past], how, outputs=3, atol=1e-4)


def test_heads_of_another_sequence():
    how = {"num_heads": 2}
    check("MultiHeadAttention", [X, f(2, 2, 7, 4), f(2, 2, 7, 4)], how, atol=1e-4)
    # onnxruntime's CPU takes none of the packed forms.
    packed = f(2, 7, 2, 2, 4)
    apart = [X, *(packed[:, :, :, i].reshape(2, 7, 8) for i in range(2))]
    np.testing.assert_allclose(
        ours("MultiHeadAttention", [X, packed], how)[0], ours("MultiHeadAttention", apart, how)[0]
    )
    packed = f(2, 5, 2, 3, 4)
    apart = [packed[:, :, :, i].reshape(2, 5, 8) for i in range(3)]
    np.testing.assert_allclose(
        ours("MultiHeadAttention", [packed], how)[0], ours("MultiHeadAttention", apart, how)[0]
    )


ANGLES = rng.uniform(0, 6, (16, 8))
COS, SIN = np.cos(ANGLES).astype("f4"), np.sin(ANGLES).astype("f4")


@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary_embedding(interleaved):
    how = {"interleaved": interleaved}
    at = ints(16, 2, 5, kind="i8")
    check("RotaryEmbedding", [f(2, 5, 32), at, COS, SIN], how)
    check("RotaryEmbedding", [f(2, 3, 5, 16), at, COS, SIN], how)
    check("RotaryEmbedding", [f(2, 5, 32), np.array([4]), COS, SIN], how)
    part = how | {"rotary_embedding_dim": 8, "num_heads": 2}
    check("RotaryEmbedding", [f(2, 5, 32), at, COS[:, :4], SIN[:, :4]], part)


GROUPED = {"num_heads": 4, "kv_num_heads": 2}
VARIANTS = {
    "plain": {},
    "rotated": {"do_rotary": 1},
    "interleaved": {"do_rotary": 1, "rotary_interleaved": 1},
    "window": {"local_window_size": 3},
    "softcap": {"softcap": 2.0},
    "scale": {"scale": 0.5},
    "smooth": {"smooth_softmax": 1},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_grouped_queries(variant):
    how = GROUPED | VARIANTS[variant]
    angles = [COS, SIN] if "do_rotary" in how else []
    # A first prompt, with nothing before it.
    inputs = [f(2, 5, 64), f(2, 5, 32), f(2, 5, 32), f(2, 2, 0, 16), f(2, 2, 0, 16)]
    inputs += [np.array([4, 4], "i4"), np.asarray(5, "i4")]
    check("GroupQueryAttention", [*inputs, *angles], how, outputs=3, atol=1e-4)
    past = [f(2, 2, 6, 16), f(2, 2, 6, 16)]
    inputs = [f(2, 1, 64), f(2, 1, 32), f(2, 1, 32), *past]
    inputs += [np.array([6, 6], "i4"), np.asarray(7, "i4"), *angles]
    check("GroupQueryAttention", inputs, how, outputs=3, atol=1e-4)
    alone = [f(1, 3, 64), f(1, 3, 32), f(1, 3, 32), *(x[:1] for x in past)]
    alone += [np.array([8], "i4"), np.asarray(9, "i4"), *angles]
    packed = [f(1, 1, 128), None, None, *(x[:1] for x in past)]
    packed += [np.array([6], "i4"), np.asarray(7, "i4"), *angles]
    for given in (alone, packed):
        check("GroupQueryAttention", given, how, outputs=3, atol=1e-4)


# --- weights of few bits --------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("points", ["none", "packed", "floats"])
@pytest.mark.parametrize("k", [64, 80])
def test_products_by_few_bits(bits, points, k):
    if bits == 8 and points == "floats":
        pytest.skip("onnxruntime has no floats as zero points of 8 bits")
    n, block = 6, 32
    blocks = -(-k // block)
    weights = q("u1", n, blocks, block * bits // 8)
    inputs = [f(2, 3, k), weights, scale(n * blocks)]
    if points == "packed":
        inputs.append(q("u1", n * -(-blocks * bits // 8)))
    elif points == "floats":
        inputs.append(rng.uniform(1, 3, n * blocks).astype("f4"))
    how = {"K": k, "N": n, "block_size": block, "bits": bits}
    constant = (1, 2, 3)[: len(inputs) - 1]
    check("MatMulNBits", inputs, how, atol=2e-4, constant=constant)
    inputs += [None] * (5 - len(inputs)) + [f(n)]
    check("MatMulNBits", inputs, how, atol=2e-4, constant=constant)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("points", [False, True])
def test_gathered_blocks(bits, points):
    data, at = q("u1", 9, 64 * bits // 8), ints(9, 2, 3, kind="i8")
    zeros = [q("u1", 9, 2 * bits // 8)] if points else []
    how = {"bits": bits, "block_size": 32, "gather_axis": 0, "quantize_axis": 1}
    inputs = [data, at, scale(9, 2), *zeros]
    check("GatherBlockQuantized", inputs, how, constant=(0, 2, 3)[: len(inputs) - 1])


# --- quantised ------------------------------------------------------------------------------------


def quantised(kind, *shape):
    return [q(kind, *shape), scale(), q(kind)]


@pytest.mark.parametrize("kind", ["u1", "i1"])
@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
def test_quantised_sums_and_products(op, kind):
    for other in ((2, 3, 4), (4,), ()):
        inputs = [*quantised(kind, 2, 3, 4), *quantised(kind, *other)]
        check(op, [*inputs, np.float32(0.04), q(kind)], atol=1, rtol=0)


@pytest.mark.parametrize("kind", ["u1", "i1"])
def test_quantised_functions(kind):
    x, out = quantised(kind, 3, 7), [np.float32(0.02), q(kind)]
    check("QLinearSigmoid", [*x, *out], atol=1, rtol=0)
    check("QLinearLeakyRelu", [*x, *out], {"alpha": 0.2}, atol=1, rtol=0)
    low = [np.float32(1 / 256), np.asarray(np.iinfo(kind).min, kind)]
    for opset in (12, 13):
        how = {"opset": opset, "axis": -1}
        check("QLinearSoftmax", [*x, *low], how, atol=1, rtol=0, constant=(1, 2, 3, 4))
    image = [q(kind, 1, 3, 6, 7), *x[1:]]
    for last in (0, 1):
        check("QLinearGlobalAveragePool", [*image, *out], {"channels_last": last}, atol=1, rtol=0)
        how = {"kernel_shape": [2, 3], "strides": [2, 2], "pads": [1, 0, 0, 1],
               "channels_last": last}  # fmt: skip
        check("QLinearAveragePool", [*image, *out], how, atol=1, rtol=0)
    parts = [*quantised(kind, 2, 3), *quantised(kind, 2, 5)]
    check("QLinearConcat", [*out, *parts], {"axis": 1}, atol=1, rtol=0)
    where = [rng.random((3, 7)) < 0.5, *x, *quantised(kind, 3, 7), *out]
    check("QLinearWhere", where, atol=1, rtol=0, constant=(2, 3, 5, 6, 7, 8))


def test_pools_of_images_with_channels_last():
    how = {"kernel_shape": [2, 2], "strides": [1, 2], "pads": [0, 1, 1, 0]}
    check("NhwcMaxPool", [q("u1", 1, 5, 6, 3)], how)
    check("NhwcMaxPool", [q("i1", 1, 5, 6, 3)], how)


def test_convolutions_of_images_with_channels_last():
    inputs = [*quantised("u1", 1, 6, 7, 4), q("i1", 5, 4, 3, 3), scale(5), np.zeros(5, "i1"),
              np.float32(1.3), q("u1"), rng.integers(-900, 900, 5, "i4")]  # fmt: skip
    how = {"channels_last": 1, "pads": [1, 1, 0, 0]}
    check("QLinearConv", inputs, how, atol=0, rtol=0, constant=(3, 4, 5))


@pytest.mark.parametrize("a", ["u1", "i1"])
@pytest.mark.parametrize("each", [False, True])
def test_products_as_floats(a, each):
    n = (5,) if each else ()
    inputs = [q(a, 3, 4, 20), q("i1", 20, 5), scale(), scale(*n), q(a), q("i1", *n), f(5)]
    check("MatMulIntegerToFloat", inputs, constant=(1,))
    inputs = [f(3, 4, 20), q("i1", 20, 5), scale(*n), q("i1", *n), f(5)]
    check("DynamicQuantizeMatMul", inputs, atol=1e-4, constant=(1,))


@pytest.mark.parametrize("trans", [0, 1])
def test_quantised_gemm(trans):
    b = q("i1", 5, 7) if trans else q("i1", 7, 5)
    inputs = [
        q("u1", 4, 7),
        scale(),
        q("u1"),
        b,
        scale(),
        q("i1"),
        rng.integers(-900, 900, 5, "i4"),
    ]
    how = {"transB": trans, "alpha": 0.8}
    check("QGemm", inputs, how, atol=1e-4)
    check("QGemm", [*inputs, np.float32(0.4), q("u1")], how, atol=0, rtol=0)


def test_quantised_attention():
    inputs = [q("u1", 2, 5, 8), q("i1", 8, 24), f(24), scale(), scale(), MASKS["raw"], q("u1"),
              q("i1")]  # fmt: skip
    check("QAttention", inputs, {"num_heads": 2}, atol=1e-4, constant=(1,))


def test_quantised_embeddings():
    tables = [q("u1", 11, 8), q("u1", 9, 8), q("u1", 2, 8), q("u1", 8), q("u1", 8)]
    ends = [*(scale() for _ in range(5)), *(q("u1") for _ in range(5))]
    inputs = [ints(11, 2, 6), ints(2, 2, 6), *tables, None, *ends]
    check("QEmbedLayerNormalization", inputs, outputs=2, atol=1e-4)


# --- what onnxruntime's CPU has not ---------------------------------------------------------------


def ours(op, inputs, attributes=None, **how):
    inputs = [None if x is None else np.asarray(x) for x in inputs]
    made = one.model(op, inputs, attributes or {}, domain=MS, **how)
    return one.ours(made, {f"x{i}": x for i, x in enumerate(inputs) if x is not None})


def test_transforms_of_pairs():
    x = f(3, 8)
    (found,) = ours("Rfft", [x], {"signal_ndim": 1})
    wanted = np.fft.rfft(x)
    np.testing.assert_allclose(found, np.stack([wanted.real, wanted.imag], -1), atol=1e-5)
    (back,) = ours("Irfft", [found], {"signal_ndim": 1})
    np.testing.assert_allclose(back, x, atol=1e-5)
    a, b = f(4, 2), f(4, 2)
    pair = (a[:, 0] + 1j * a[:, 1]) * (b[:, 0] + 1j * b[:, 1])
    (found,) = ours("ComplexMul", [a, b])
    np.testing.assert_allclose(found, np.stack([pair.real, pair.imag], -1), atol=1e-5)
    pair = (a[:, 0] + 1j * a[:, 1]) * (b[:, 0] - 1j * b[:, 1])
    (found,) = ours("ComplexMulConj", [a, b])
    np.testing.assert_allclose(found, np.stack([pair.real, pair.imag], -1), atol=1e-5)


def test_channels_last():
    x, w = f(1, 6, 7, 4), f(4)
    (found,) = ours("GroupNorm", [x, w, f(4) * 0], {"groups": 2, "activation": 1})
    parts = x.reshape(1, 42, 2, 2)
    normal = (parts - parts.mean((1, 3), keepdims=True)) / np.sqrt(
        parts.var((1, 3), keepdims=True) + 1e-5
    )
    wanted = normal.reshape(x.shape) * w
    np.testing.assert_allclose(found, wanted / (1 + np.exp(-wanted)), atol=1e-4)
    weight, bias = f(5, 4, 1, 1), f(5)
    (found,) = ours("NhwcConv", [x, weight, bias])
    np.testing.assert_allclose(found, x @ weight[:, :, 0, 0].T + bias, atol=1e-4)
    (found,) = ours("BiasAdd", [X, GAMMA, X])
    np.testing.assert_allclose(found, 2 * X + GAMMA, atol=1e-5)


@pytest.mark.parametrize("op", ["BeamSearch", "Sampling", "SparseToDenseMatMul"])
def test_what_is_no_operator_of_inference_is_refused_by_name(op):
    from tallow.errors import TallowError

    with pytest.raises(TallowError, match=op):
        ours(op, [f(2, 2), f(2, 2)])
