"""The attention brick: projections, masks, contexts, groups, norms and rotation, by numpy."""

from __future__ import annotations

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ShapeError
from tallow.models.blocks import Attention, JoinedAttention, Rope, RopeScaling, attend
from tallow.nn import RMSNorm

SIZE, HEADS, DIM, BATCH, N, M = 24, 4, 6, 2, 5, 7


def drawn(module, seed=0):
    """Every parameter drawn anew, so that no two of them may be exchanged."""
    rng = np.random.default_rng(seed)
    for name, p in module.named_parameters():
        scale = 1.0 if "norm" in name else 0.0
        values = (scale + rng.normal(0, 0.5, p.shape)).astype(np.float32)
        p.data.copy_(tl.tensor(values))
    return module.eval().requires_grad_(False)


def inputs(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def linear(layer, x):
    out = x @ layer.weight.numpy().T.astype(np.float64)
    return out if layer.bias is None else out + layer.bias.numpy()


def heads_of(x, count):
    b, n, width = x.shape
    return x.reshape(b, n, count, width // count).transpose(0, 2, 1, 3)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def expected(layer, x, context=None, bias=0.0, q_extra=0.0, k_extra=0.0, turn=lambda x: x):
    """The definition, in f64; `bias` is added to the scores."""
    source = x if context is None else context
    q = heads_of(linear(layer.q_proj, x + q_extra), layer.heads)
    k = heads_of(linear(layer.k_proj, source + k_extra), layer.kv_heads)
    v = heads_of(linear(layer.v_proj, source), layer.kv_heads)
    norms = (layer.q_norm, layer.k_norm)
    q, k = (
        turn(y if norm is None else rms(y, norm)) for y, norm in zip((q, k), norms, strict=True)
    )
    groups = layer.heads // layer.kv_heads
    k, v = np.repeat(k, groups, 1), np.repeat(v, groups, 1)
    scale = layer.head_dim**-0.5 if layer.scale is None else layer.scale
    out = softmax(q @ k.transpose(0, 1, 3, 2) * scale + bias) @ v
    merged = out.transpose(0, 2, 1, 3).reshape(*x.shape[:2], -1)
    return linear(getattr(layer, layer.out_name), merged)


def rms(x, norm):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + norm.eps) * norm.weight.numpy()


def close(found, wanted):
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4, atol=1e-4)


def hidden(keep):
    return np.where(keep, 0.0, -np.inf)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": True, "out_name": "out_proj"},
        {"bias": True, "out_bias": False, "k_bias": False},
        {"kv_heads": 2, "head_dim": 8, "scale": 0.3},
        {"q_norm": RMSNorm(DIM, 1e-6), "k_norm": RMSNorm(DIM, 1e-6)},
    ],
    ids=lambda options: " ".join(options) or "plain",
)
def test_self_attention(options):
    layer = drawn(Attention(SIZE, HEADS, **options))
    x = inputs(BATCH, N, SIZE)
    close(layer(tl.tensor(x)), expected(layer, x))
    names = {name.partition(".")[0] for name, _ in layer.named_parameters()}
    assert names >= {"q_proj", "k_proj", "v_proj", options.get("out_name", "o_proj")}


def test_cross_attention_from_another_width():
    layer = drawn(Attention(SIZE, HEADS, kv_size=10, bias=True))
    x, context = inputs(BATCH, N, SIZE), inputs(BATCH, M, 10, seed=2)
    close(layer(tl.tensor(x), context=tl.tensor(context)), expected(layer, x, context))
    keep = np.array([[1] * M, [1, 1, 1, 1, 0, 0, 0]])
    wanted = expected(layer, x, context, hidden(keep[:, None, None] == 1))
    for mask in (keep, keep == 1, (keep == 1)[:, None].repeat(N, 1)):
        given = tl.tensor(mask)
        close(layer(tl.tensor(x), context=tl.tensor(context), mask=given), wanted)


def test_masks_are_added_or_keep():
    layer = drawn(Attention(SIZE, HEADS))
    x = inputs(BATCH, N, SIZE)
    bias = inputs(1, HEADS, N, N, seed=3)
    close(layer(tl.tensor(x), mask=tl.tensor(bias)), expected(layer, x, bias=bias))
    with pytest.raises(ShapeError, match="2, 3 or 4 axes"):
        layer(tl.tensor(x), mask=tl.tensor([True] * N))


@pytest.mark.parametrize("window", [0, 3])
def test_causal_and_window(window):
    layer = drawn(Attention(SIZE, HEADS, causal=True, window=window))
    x = inputs(BATCH, N, SIZE)
    behind = np.arange(N)[:, None] - np.arange(N)
    keep = (behind >= 0) & (behind < (window or N))
    close(layer(tl.tensor(x)), expected(layer, x, bias=hidden(keep)))


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotation(interleaved):
    layer = drawn(Attention(SIZE, HEADS, rope=Rope(DIM, 100.0, interleaved=interleaved)))
    x = inputs(BATCH, N, SIZE)
    positions = np.array([[0, 1, 2, 3, 4], [3, 4, 5, 9, 11]])
    angles = positions[:, None, :, None] * 100.0 ** (-2 * np.arange(DIM // 2) / DIM)
    turned = np.exp(1j * angles)

    def turn(y):
        p, q = (y[..., ::2], y[..., 1::2]) if interleaved else np.split(y, 2, -1)
        z = (p + 1j * q) * turned
        parts = [z.real, z.imag]
        return np.stack(parts, -1).reshape(y.shape) if interleaved else np.concatenate(parts, -1)

    wanted = expected(layer, x, turn=turn)
    given = tl.tensor(positions)
    close(layer(tl.tensor(x), positions=given), wanted)
    close(layer(tl.tensor(x), positions=layer.rope.table(given)), wanted)
    with pytest.raises(tl.TallowError, match="positions"):
        layer(tl.tensor(x))


def test_positions_of_queries_and_keys_alone():
    layer = drawn(Attention(SIZE, HEADS, bias=True))
    x, context = inputs(BATCH, N, SIZE), inputs(BATCH, M, SIZE, seed=2)
    q_extra, k_extra = inputs(N, SIZE, seed=4), inputs(BATCH, M, SIZE, seed=5)
    wanted = expected(layer, x, context, q_extra=q_extra, k_extra=k_extra)
    found = layer(
        tl.tensor(x),
        context=tl.tensor(context),
        q_extra=tl.tensor(q_extra),
        k_extra=tl.tensor(k_extra),
    )
    close(found, wanted)


def test_attend_is_the_same_without_the_projections():
    layer = drawn(Attention(SIZE, HEADS, 2, head_dim=DIM))
    x = tl.tensor(inputs(BATCH, N, SIZE))
    options = {"mask": tl.tensor([[1, 1, 1, 1, 0]] * BATCH), "causal": True, "window": 2}
    q, k, v = layer.q_proj(x), layer.k_proj(x), layer.v_proj(x)
    layer.causal, layer.window = True, 2
    found = layer.o_proj(attend(q, k, v, HEADS, kv_heads=2, **options))
    close(found, layer(x, mask=options["mask"]).numpy())


@pytest.mark.parametrize("rotated", [False, True])
def test_gradients_are_finite_differences(rotated):
    rope = Rope(DIM) if rotated else None
    layer = Attention(SIZE, HEADS, 2, DIM, bias=True, causal=True, rope=rope)
    drawn(layer).requires_grad_(True)
    x = tl.tensor(inputs(BATCH, N, SIZE)).requires_grad_()
    weights = tl.tensor(inputs(BATCH, N, SIZE, seed=8))
    positions = tl.arange(N).unsqueeze(0)

    def loss():
        return (layer(x, positions=positions) * weights).sum()

    loss().backward()
    for tensor in (x, *layer.parameters()):
        flat = tensor.data.view(-1)
        at, step = flat.shape[0] // 3, 1e-2
        before = flat[at].item()
        sides = []
        for shift in (step, -step):
            flat[at] = before + shift
            sides.append(loss().item())
        flat[at] = before
        slope = (sides[0] - sides[1]) / (2 * step)
        assert tensor.grad.view(-1)[at].item() == pytest.approx(slope, rel=2e-2, abs=2e-2)


def theirs_and_ours(kv_size):
    """torch's attention with drawn biases, and ours with the same parameters."""
    import torch

    torch.manual_seed(0)
    options = {"kdim": kv_size, "vdim": kv_size} if kv_size != SIZE else {}
    theirs = torch.nn.MultiheadAttention(SIZE, HEADS, batch_first=True, **options)
    theirs.in_proj_bias.data.normal_()
    theirs.out_proj.bias.data.normal_()
    state = {name: p.detach() for name, p in theirs.state_dict().items()}
    for kind in ("weight", "bias"):
        if (fused := state.pop(f"in_proj_{kind}", None)) is not None:
            parts = zip("qkv", fused.chunk(3), strict=True)
            state |= {f"{name}_proj.{kind}": part for name, part in parts}
    renamed = {name.replace("_proj_weight", "_proj.weight"): p for name, p in state.items()}
    ours = Attention(SIZE, HEADS, kv_size=kv_size, bias=True, out_name="out_proj")
    ours.load_state_dict({name: tl.tensor(p.numpy()) for name, p in renamed.items()})
    return theirs, ours


@pytest.mark.needs_torch
@pytest.mark.parametrize("kv_size", [10, SIZE])
def test_torch_s_attention(kv_size):
    import torch

    theirs, ours = theirs_and_ours(kv_size)
    x, context = inputs(BATCH, N, SIZE), inputs(BATCH, M, kv_size, seed=2)
    keep = np.array([[1] * M, [1, 1, 1, 1, 0, 0, 0]])
    given = [torch.tensor(a) for a in (x, context, context)]
    wanted = theirs(*given, key_padding_mask=torch.tensor(keep == 0))[0]
    found = ours(tl.tensor(x), context=tl.tensor(context), mask=tl.tensor(keep))
    close(found.detach(), wanted.detach().numpy())


@pytest.mark.needs_torch
def test_torch_s_attention_with_positions_as_in_detr():
    import torch

    theirs, ours = theirs_and_ours(SIZE)
    x, context = inputs(BATCH, N, SIZE), inputs(BATCH, M, SIZE, seed=2)
    q_extra, k_extra = inputs(BATCH, N, SIZE, seed=4), inputs(BATCH, M, SIZE, seed=5)
    given = [torch.tensor(a) for a in (x + q_extra, context + k_extra, context)]
    extras = {"q_extra": tl.tensor(q_extra), "k_extra": tl.tensor(k_extra)}
    found = ours(tl.tensor(x), context=tl.tensor(context), **extras)
    close(found.detach(), theirs(*given)[0].detach().numpy())


# --- parts that few families have -----------------------------------------------------------------


def slow(layer, x, table, joined):
    """`expected` of a joined matrix, with rows in groups."""
    width, groups = layer.head_dim, layer.groups
    both = layer.heads // groups + 2 * (layer.kv_heads // groups)
    rows = np.split(joined, groups * both)  # a head each
    h, hk = layer.heads // groups, layer.kv_heads // groups
    parts = {"q": [], "k": [], "v": []}
    for group in range(groups):
        own = rows[group * both : (group + 1) * both]
        parts["q"] += own[:h]
        parts["k"] += own[h : h + hk]
        parts["v"] += own[h + hk :]
    plain = Attention(SIZE, layer.heads, layer.kv_heads, width, rope=layer.rope, causal=True)
    for name, weights in parts.items():
        getattr(plain, f"{name}_proj").weight.data.copy_(tl.tensor(np.concatenate(weights)))
    plain.o_proj.weight.data.copy_(layer.o_proj.weight.data)
    return plain.requires_grad_(False)(tl.tensor(x), positions=table)


@pytest.mark.parametrize(("heads", "groups"), [(4, 1), (4, 4), (2, 2), (2, 1)])
def test_joined_projections(heads, groups):
    rope = Rope(4)  # rotates a part of the head
    layer = JoinedAttention(
        SIZE, HEADS, heads, DIM, joined="qkv", groups=groups, rope=rope, causal=True
    )
    drawn(layer)
    x, table = inputs(BATCH, N, SIZE), rope.table(tl.arange(N).unsqueeze(0))
    want = slow(layer, x, table, layer.qkv.weight.numpy())
    close(layer(tl.tensor(x), positions=table), want.numpy())
    close(layer(tl.tensor(x), positions=table, last=2), want.numpy()[:, -2:])


def test_norms_behind_the_rotation():
    norm = RMSNorm(DIM)
    layer = Attention(SIZE, HEADS, head_dim=DIM, rope=Rope(DIM), q_norm=norm, norm_turned=True)
    drawn(layer)
    table = layer.rope.table(tl.arange(N).unsqueeze(0))
    q = tl.tensor(inputs(1, N, HEADS, DIM))
    want = norm(tl.ops.rope(q, table))
    assert np.array_equal(layer._placed(q, 0, table).numpy(), want.numpy())


def test_positions_of_three_axes():
    axes = (0, 1, 1, 2, 0)
    rope, plain = Rope(10, axes=axes), Rope(10)
    places = np.random.default_rng(0).integers(0, 50, (3, BATCH, N))
    found = rope.table(tl.tensor(places)).numpy()
    alone = [plain.table(tl.tensor(p)).numpy() for p in places]
    for i, axis in enumerate(axes):
        for part in (i, 5 + i):  # of cosines and of sines
            np.testing.assert_allclose(found[..., part], alone[axis][..., part], atol=1e-6)
    same = rope.table(tl.tensor(places[0])).numpy()
    assert np.array_equal(same, alone[0])


def test_a_base_that_grows_with_the_text():
    scaling = RopeScaling("dynamic", 4.0, original_context=16)
    rope, plain = Rope(8, 100.0, scaling), Rope(8, 100.0)
    short, long = tl.arange(16).unsqueeze(0), tl.arange(40).unsqueeze(0)
    np.testing.assert_allclose(rope.table(short).numpy(), plain.table(short).numpy(), atol=1e-6)
    grown = Rope(8, 100.0 * (4.0 * 40 / 16 - 3) ** (8 / 6))
    np.testing.assert_allclose(rope.table(long).numpy(), grown.table(long).numpy(), atol=1e-4)
