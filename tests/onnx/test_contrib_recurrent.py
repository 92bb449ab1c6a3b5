"""LSTMs with 8-bit weights, compared with onnxruntime."""

import numpy as np
import pytest

import one_operator as one

pytestmark = pytest.mark.needs_formats
rng = np.random.default_rng(3)
SIZE, INPUT, BATCH, TIME = 5, 7, 2, 4


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", ["i1", "u1"])
@pytest.mark.parametrize("more", [False, True])
def test_dynamically_quantised_lstms(direction, kind, more):
    ways = 2 if direction == "bidirectional" else 1

    def f(*shape):
        return rng.standard_normal(shape).astype("f4")

    def q(*shape):
        return one.eight_bits(rng, kind, *shape)

    w, r = q(ways, INPUT, 4 * SIZE), q(ways, SIZE, 4 * SIZE)
    extra = [None] * 5
    if more:
        extra = [f(ways, 8 * SIZE), np.array([4, 3], "i4"), f(ways, BATCH, SIZE),
                 f(ways, BATCH, SIZE), f(ways, 3 * SIZE)]  # fmt: skip
    zero = [np.zeros(ways, kind)] * 2 if kind == "i1" else [np.full(ways, 120, kind)] * 2
    scale = [rng.uniform(0.002, 0.005, ways).astype("f4") for _ in range(2)]
    inputs = [f(TIME, BATCH, INPUT), w, r, *extra, scale[0], zero[0], scale[1], zero[1]]
    how = {"direction": direction, "hidden_size": SIZE}
    constant = (1, 2, 8, 9, 10, 11)
    one.compare(
        "DynamicQuantizeLSTM", inputs, how, domain="com.microsoft", opset=1, outputs=3,
        constant=constant, atol=2e-3, rtol=1e-3,
    )  # fmt: skip
