"""einops on our tensors: by its functions for array libraries, and by its own after install()."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import tallow as tl

pytestmark = pytest.mark.needs_torch  # einops is installed beside torch

CALLS = {
    "rearrange": [
        ("b c h w -> b (h w) c", {}),
        ("b c (h p) (w q) -> b (h w) (p q c)", {"p": 2, "q": 2}),
        ("b c ... -> c b ...", {}),
    ],
    "repeat": [("b c h w -> b c (h 2) w n", {"n": 3})],
}
REDUCED = [("b c h w -> b c", "mean"), ("b c (h 2) w -> b c h w", "max"), ("... w -> ...", "sum")]


def test_functions_for_array_libraries():
    from einops import array_api, rearrange, reduce, repeat

    values = np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)
    x = tl.from_numpy(values)
    for name, calls in CALLS.items():
        for pattern, sizes in calls:
            wanted = {"rearrange": rearrange, "repeat": repeat}[name](values, pattern, **sizes)
            found = getattr(array_api, name)(x, pattern, **sizes)
            assert isinstance(found, tl.Tensor)
            np.testing.assert_array_equal(found.numpy(), wanted)
    for pattern, kind in REDUCED:
        found = array_api.reduce(x, pattern, kind)
        np.testing.assert_allclose(found.numpy(), reduce(values, pattern, kind), rtol=1e-6)
    packed, shapes = array_api.pack([x, x[:, :, 0]], "b c *")
    assert [tuple(s) for s in shapes] == [(4, 4), (4,)]
    assert tl.equal(array_api.unpack(packed, shapes, "b c *")[1], x[:, :, 0])


def test_functions_and_layers_after_install():
    code = """
        import tallow.torch
        tallow.torch.install()
        import torch
        from einops import einsum, rearrange, reduce, repeat
        from einops.layers.torch import EinMix, Rearrange, Reduce
        x = torch.rand(2, 3, 4, 4, requires_grad=True)
        assert rearrange(x, "b c h w -> b (h w) c").shape == (2, 16, 3)
        assert repeat(x, "b c h w -> b c (h 2) w").shape == (2, 3, 8, 4)
        assert torch.allclose(reduce(x, "b c h w -> b c", "mean"), x.mean((2, 3)))
        assert torch.allclose(einsum(x, x, "b c h w, b d h w -> b c d"),
                              torch.einsum("bchw,bdhw->bcd", x, x))
        model = torch.nn.Sequential(
            Rearrange("b c (h p) (w q) -> b (h w) (p q c)", p=2, q=2), torch.nn.Linear(12, 5),
            EinMix("b n c -> b n d", weight_shape="c d", bias_shape="d", c=5, d=7),
            Reduce("b n d -> b d", "max"),
        )
        model(x).sum().backward()
        assert x.grad.shape == x.shape and model[2].weight.grad.abs().sum() > 0
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
