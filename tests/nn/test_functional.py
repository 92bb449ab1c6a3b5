"""tallow.nn.functional and nn.init: laws that need no torch."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tallow as tl
from tallow import nn
from tallow.errors import ArgumentError, IndexRangeError, ShapeError
from tallow.nn import functional as F
from tallow.nn import init


def normal(*shape, dtype="f32"):
    values = np.random.default_rng(math.prod(shape)).normal(size=shape)
    return tl.from_numpy(values).to(dtype)


def close(a, b, rtol=1e-5, atol=1e-6):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=atol)


def test_every_name_leads_somewhere():
    for name in F.__all__:
        assert callable(getattr(F, name)), name
    assert set(F.__all__) <= set(dir(F))
    with pytest.raises(AttributeError):
        _ = F.no_such_function


@pytest.mark.parametrize("name", ["relu", "elu", "silu", "leaky_relu", "hardtanh", "mish", "relu6"])
def test_inplace_keyword(name):
    x = normal(3, 4)
    wanted = getattr(F, name)(x)
    given = x.clone()
    assert getattr(F, name)(given, inplace=True) is given
    close(given, wanted)
    leaf = x.clone().requires_grad_()
    out = getattr(F, name)(leaf * 1, inplace=True)
    out.sum().backward()
    again = x.clone().requires_grad_()
    getattr(F, name)(again).sum().backward()
    close(leaf.grad, again.grad)


@pytest.mark.parametrize("mask", [None, "bool", "float", "causal", "dead"])
@pytest.mark.parametrize("heads", [4, 2, 1])
def test_attention_by_row_and_by_parts(mask, heads):
    q, k, v = normal(2, 4, 5, 8), normal(2, heads, 6, 8), normal(2, heads, 6, 3)
    given = {
        None: None,
        "bool": normal(5, 6) > 0,
        "float": normal(2, 1, 5, 6),
        "causal": None,
        "dead": tl.arange(5).unsqueeze(1).expand(5, 6) > 1,
    }[mask]
    options = {"attn_mask": given, "is_causal": mask == "causal", "enable_gqa": heads != 4}
    by_row = F.scaled_dot_product_attention(q, k, v, **options)
    wide = F.scaled_dot_product_attention(q.double(), k.double(), v.double(), **options)
    close(by_row.double(), wide)
    if mask == "dead":
        assert by_row[:, :, :2].abs().sum().item() == 0
    q.requires_grad_()
    F.scaled_dot_product_attention(q, k, v, **options).sum().backward()
    assert not q.grad.isnan().any().item()


def test_attention_refuses():
    x = normal(2, 3, 4)
    with pytest.raises(ArgumentError, match="attn_mask or is_causal"):
        F.scaled_dot_product_attention(x, x, x, normal(3, 3), is_causal=True)
    with pytest.raises(ShapeError):
        F.scaled_dot_product_attention(x, normal(2, 3, 5), x)
    with pytest.raises(ShapeError):
        F.scaled_dot_product_attention(x, x, x, normal(4, 3))


def test_dropout_keeps_the_mean_and_follows_the_seed():
    tl.manual_seed(1)
    x = tl.ones(100, 100)
    out = F.dropout(x, 0.25)
    kept = (out > 0).float().mean().item()
    assert kept == pytest.approx(0.75, abs=0.02)
    assert sorted(set(out.flatten().tolist())) == pytest.approx([0, 1 / 0.75])
    tl.manual_seed(1)
    assert F.dropout(x, 0.25).tolist() == out.tolist()
    assert F.dropout(x, 0.25, training=False) is x
    assert F.dropout(x, 1.0).sum().item() == 0
    with pytest.raises(ArgumentError):
        F.dropout(x, 1.5)
    whole = F.dropout2d(tl.ones(20, 30, 4, 4), 0.5).flatten(2)
    assert (whole.amax(-1) - whole.amin(-1)).abs().max().item() == 0
    selu = F.alpha_dropout(normal(200, 200), 0.3, training=True)
    assert selu.mean().item() == pytest.approx(0, abs=0.05)
    assert selu.std().item() == pytest.approx(1, abs=0.05)
    given = tl.ones(50).requires_grad_()
    out = F.dropout(given, 0.5)
    out.sum().backward()
    close(given.grad, out)


@pytest.mark.parametrize(("drop", "axes"), [(F.dropout2d, 2), (F.dropout2d, 5), (F.dropout3d, 3)])
def test_dropout_of_channels_takes_other_numbers_of_axes_as_torch_does(drop, axes):
    x = tl.ones((30, 40, 2, 2, 2)[:axes])
    with pytest.warns(UserWarning, match="taken for"):
        out = drop(x, 0.5).reshape(30, 40, -1)
    assert {*out.amax(2).reshape(-1).tolist()} == {0.0, 2.0}
    assert (out == out[:, :, :1]).all()


def test_gumbel_softmax():
    tl.manual_seed(2)
    logits = normal(500, 3).requires_grad_()
    soft = F.gumbel_softmax(logits, tau=0.5)
    close(soft.sum(-1), tl.ones(500))
    hard = F.gumbel_softmax(logits * 0, hard=True)
    assert sorted({round(v, 5) for v in hard.flatten().tolist()}) == [0, 1]
    assert hard.mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.08)
    (soft[:, 0].sum() + hard[:, 0].sum()).backward()
    assert logits.grad.abs().sum().item() > 0


def test_loss_arguments():
    x = normal(3, 4)
    with pytest.raises(ArgumentError, match="reduction one of none, mean, sum, got 'avg'"):
        F.mse_loss(x, x, reduction="avg")
    with pytest.warns(DeprecationWarning, match="older spelling"):
        assert F.mse_loss(x, x + 1, size_average=False).item() == pytest.approx(12)
    for label in (-1, 4):
        with pytest.raises(IndexRangeError, match=rf"labels in \[0, 4\), got {label}"):
            F.cross_entropy(x, tl.tensor([0, label, 1]))
    with pytest.raises(ShapeError, match=r"target of shape \(3,\)"):
        F.nll_loss(x, tl.tensor([0, 1]))
    with pytest.raises(ArgumentError, match=r"input in \[0, 1\]"):
        F.binary_cross_entropy(x, x)
    assert math.isnan(F.cross_entropy(x, tl.tensor([-100] * 3)).item())
    ignored = F.cross_entropy(x, tl.tensor([-100, 1, -100]), reduction="none").tolist()
    assert ignored[0] == ignored[2] == 0 < ignored[1]


def test_cross_entropy_keeps_the_logits_alone():
    x = normal(6, 5).requires_grad_()
    target = tl.tensor([0, 1, 2, 3, 4, 0])
    F.cross_entropy(x, target).backward()
    wanted = (x.detach().softmax(1) - F.one_hot(target, 5).float()) / 6
    close(x.grad, wanted)


def test_ctc_of_impossible_targets():
    log_probs = normal(2, 1, 4, dtype="f64").log_softmax(-1).requires_grad_()
    args = (tl.tensor([[1, 1]]), tl.tensor([2]), tl.tensor([2]))
    assert F.ctc_loss(log_probs, *args).item() == math.inf
    loss = F.ctc_loss(log_probs, *args, zero_infinity=True)
    loss.backward()
    assert loss.item() == 0
    assert log_probs.grad.abs().sum().item() == 0


def test_ctc_by_enumeration():
    # All paths of length 3 over {blank, 1, 2} that collapse to (1, 2).
    lp = normal(3, 1, 3, dtype="f64").log_softmax(-1)
    paths = [(1, 1, 2), (1, 2, 2), (0, 1, 2), (1, 0, 2), (1, 2, 0)]
    p = lp.exp().tolist()
    total = sum(math.prod(p[t][0][s] for t, s in enumerate(path)) for path in paths)
    loss = F.ctc_loss(lp, tl.tensor([[1, 2]]), [3], [2], reduction="sum")
    assert loss.item() == pytest.approx(-math.log(total))


def test_softmax_without_an_axis_warns():
    with pytest.warns(UserWarning, match="say which"):
        assert F.softmax(normal(2, 3)).sum().item() == pytest.approx(2)


def test_batch_norm_statistics():
    layer = nn.BatchNorm1d(3)
    x = normal(8, 3) * 2 + 1
    out = layer(x)
    close(out.mean(0), tl.zeros(3))
    close(layer.running_mean, x.mean(0) * 0.1)
    close(layer.running_var, 0.9 + x.var(0) * 0.1)
    assert layer.num_batches_tracked.item() == 1
    assert not layer.running_mean.requires_grad
    with pytest.raises(ShapeError, match="more than 1 value per channel"):
        layer(x[:1])
    layer.eval()
    frozen = layer.running_mean.tolist()
    layer(x)
    assert layer.running_mean.tolist() == frozen


def test_recurrent_layers_refuse():
    layer = nn.LSTM(3, 4)
    with pytest.raises(ShapeError, match="input of size 3"):
        layer(normal(5, 2, 4))
    with pytest.raises(ShapeError, match="initial states"):
        layer(normal(5, 2, 3), (tl.zeros(1, 2, 4), tl.zeros(1, 3, 4)))
    with pytest.warns(UserWarning, match="dropout stands between layers"):
        nn.GRU(3, 4, dropout=0.5)


STATISTICS = {
    "uniform_": ({"a": -1, "b": 3}, 1, 4 / math.sqrt(12)),
    "normal_": ({"mean": 2, "std": 3}, 2, 3),
    "trunc_normal_": ({}, 0, 0.8796),
    "xavier_uniform_": ({"gain": 2}, 0, 2 * math.sqrt(2 / (200 + 100))),
    "xavier_normal_": ({}, 0, math.sqrt(2 / (200 + 100))),
    "kaiming_uniform_": ({"a": math.sqrt(5)}, 0, math.sqrt(1 / 3 / 200)),
    "kaiming_normal_": ({"mode": "fan_out", "nonlinearity": "relu"}, 0, math.sqrt(2 / 100)),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_initial_distributions(name):
    options, mean, std = STATISTICS[name]
    tl.manual_seed(0)
    x = nn.Parameter(tl.zeros(100, 200))
    assert getattr(init, name)(x, **options) is x
    assert x.mean().item() == pytest.approx(mean, abs=0.03 * std)
    assert x.std().item() == pytest.approx(std, rel=0.02)
    assert x.requires_grad and x.grad_fn is None


def test_orthogonal_rows_are_drawn_in_the_shape_of_the_tensor():
    """As in torch: a wide matrix is drawn wide, so that replayed draws give the same weights."""
    tl.manual_seed(3)
    drawn = tl.randn(2, 5)
    tl.manual_seed(3)
    made = nn.init.orthogonal_(tl.empty(2, 5))
    q, r = tl.linalg.qr(drawn.T)
    assert (made - (q * r.diagonal().sign()).T).abs().max().item() < 1e-6


def test_initial_patterns():
    x = tl.zeros(6, 4)
    q = init.orthogonal_(x, gain=2)
    close(q.T @ q, tl.eye(4) * 4, atol=1e-4)
    wide = init.orthogonal_(tl.zeros(3, 5))
    close(wide @ wide.T, tl.eye(3), atol=1e-5)
    sparse = init.sparse_(tl.ones(10, 3), 0.35)
    assert (sparse.eq(0)).long().sum(0).tolist() == [4, 4, 4]
    assert init.eye_(tl.zeros(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    kernel = init.dirac_(tl.zeros(3, 3, 3))
    x = normal(2, 3, 7)
    close(F.conv1d(x, kernel, padding=1), x)
    assert init.constant_(tl.zeros(2), 3.0).tolist() == [3, 3]
    assert init.calculate_gain("leaky_relu", 1.0) == 1
    with pytest.raises(ArgumentError):
        init.calculate_gain("none")
    with pytest.raises(ShapeError):
        init.xavier_uniform_(tl.zeros(3))
