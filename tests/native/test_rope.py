"""Rotary embedding against complex multiplication."""

import numpy as np
import pytest


@pytest.mark.parametrize("positions", [np.int64, np.int32])
def test_table(call, positions):
    p = np.array([[0, 1, 5, 100_000], [7, 6, 2, 3]], positions)
    f = (1 / 10000 ** (np.arange(5) / 5)).astype(np.float32)
    out = np.empty((2, 4, 10), np.float32)
    call("rope_table", out, p, f, 1.5)
    angle = (p.astype(np.float32)[..., None] * f).astype(np.float64)
    want = 1.5 * np.concatenate([np.cos(angle), np.sin(angle)], -1)
    np.testing.assert_allclose(out, want, rtol=1e-6, atol=2e-7)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize(("d", "r"), [(64, 32), (64, 16), (20, 5), (6, 3), (8, 0)])
@pytest.mark.parametrize("table_batch", [1, 2])
def test_rotation(call, dtype, rtol, rng, layouts, d, r, interleaved, table_batch):
    x = rng.normal(size=(2, 3, 4, d)).astype(dtype)
    angle = rng.uniform(0, 6, size=(table_batch, 3, r))
    table = np.concatenate([np.cos(angle), np.sin(angle)], -1).astype(np.float32)
    first = np.arange(r) * 2 if interleaved else np.arange(r)
    second = first + (1 if interleaved else r)
    wide = x.astype(np.float64)
    turned = (wide[..., first] + 1j * wide[..., second]) * np.exp(1j * angle)[:, :, None]
    want = wide.copy()
    want[..., first], want[..., second] = turned.real, turned.imag
    for name, view in layouts(x):
        out = np.full((2, 4, 3, d), 9).astype(dtype).transpose(0, 2, 1, 3)
        call("rope", out, view, table, interleaved)
        np.testing.assert_allclose(
            out.astype(np.float64), want, rtol=rtol, atol=max(rtol, 1e-6), err_msg=name
        )
        np.testing.assert_equal(out[..., 2 * r :].astype(np.float64), wide[..., 2 * r :])
        view = view.copy() if name == "contiguous" else view
        call("rope", view, view, table, interleaved)
        np.testing.assert_equal(
            view.astype(np.float64), out.astype(np.float64), err_msg=f"in place, {name}"
        )


def test_refuses_a_table_wider_than_the_head(call):
    x = np.zeros((1, 1, 1, 4), np.float32)
    with pytest.raises(Exception, match="expected a table"):
        call("rope", x.copy(), x, np.zeros((1, 1, 6), np.float32), 0)
