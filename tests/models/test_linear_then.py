"""A linear layer with an activation and a residual: fused or not, the same numbers and hooks."""

import pytest

import tallow as tl
from tallow import nn
from tallow.models.blocks.activation import ACTIVATIONS, linear_then

ACTS = [None, *sorted(ACTIVATIONS)]


def parts(rows=5):
    tl.manual_seed(0)
    return nn.Linear(24, 40), tl.randn(2, rows, 24), tl.randn(2, rows, 40)


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("rows", [1, 5, 100])
def test_fused_gives_the_bits_of_the_parts(act, rows):
    layer, x, residual = parts(rows)
    function = ACTIVATIONS[act] if act else None
    with tl.inference_mode():
        wanted = layer(x) if function is None else function(layer(x))
        assert linear_then(layer, x, function).tolist() == wanted.tolist()
        found = linear_then(layer, x, function, residual)
        assert found.tolist() == (wanted + residual).tolist()


def test_gradients_reach_everything():
    layer, x, residual = parts()
    given = [each.clone().requires_grad_() for each in (x, residual)]
    linear_then(layer, given[0], ACTIVATIONS["gelu"], given[1]).square().sum().backward()
    fused = [each.grad for each in (*given, layer.weight, layer.bias)]
    layer.zero_grad()
    given = [each.clone().requires_grad_() for each in (x, residual)]
    (ACTIVATIONS["gelu"](layer(given[0])) + given[1]).square().sum().backward()
    for one, other in zip(fused, (*given, layer.weight, layer.bias), strict=True):
        assert tl.allclose(one, other.grad)


def test_layers_that_are_more_than_a_product_are_called():
    class Doubled(nn.Linear):
        def forward(self, input):
            return 2 * super().forward(input)

    layer, x, residual = parts()
    seen = []
    handle = layer.register_forward_hook(lambda module, args, out: seen.append(out) or out * 3)
    wanted = layer(x) + residual
    assert linear_then(layer, x, residual=residual).tolist() == wanted.tolist()
    assert len(seen) == 2
    handle.remove()
    doubled = Doubled(24, 40)
    assert linear_then(doubled, x).tolist() == doubled(x).tolist()
    layer.forward = lambda x: x[..., :1]
    assert linear_then(layer, x).shape == (2, 5, 1)


def test_halves_and_strides_take_the_parts_way():
    layer, x, residual = parts()
    half = linear_then(layer.to("bf16"), x.to("bf16"), ACTIVATIONS["gelu"], residual.to("bf16"))
    assert half.dtype == tl.bf16
    layer, x, residual = parts()
    turned = x.transpose(0, 1).contiguous().transpose(0, 1)
    kept = residual.transpose(0, 1).contiguous().transpose(0, 1)
    assert tl.equal(linear_then(layer, turned, residual=kept), layer(x) + residual)
