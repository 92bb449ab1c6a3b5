"""torch.ops.torchvision against laws, brute force and torchvision's own Python (numbers below)."""

import itertools

import pytest

import tallow as tl
import tallow.torch as torch
from tallow.autograd.check import gradcheck
from tallow.nn import functional as F
from tallow.torch import _torchvision as vision

GOLDEN = {
    (1.0, 2, 2, 2, False): (
        "13.28 10.3 9.8 11.65 11.2188 11.875 12.5742 13.0059 17.25 7.95 12.3625 8.41 "
    ),
    (1.0, 2, 2, 2, True): (
        "11.5 7.6 10.435 10.445 12.1562 7.0625 15.8398 11.0605 18.0 15.2 18.4 16.0025 "
    ),
    (0.5, 3, 2, -1, False): (
        "7.85 13.7583 9.45 14.975 11.05 16.575 6.6875 14.5625 8.1875 16.0625 9.6875 "
        "17.5625 16.4 8.4 17.6 9.6 18.8 10.8 "
    ),
    (1.0, 2, 3, -1, False): (
        "12.55 8.34 13.1 12.75 6.7 13.07 15.0625 5.4375 14.0625 15.0703 9.4883 13.6211 "
        "18.75 13.15 6.2167 13.0 10.62 7.6733 "
    ),
}


def overlap(a, b):
    low, high = map(max, a[:2], b[:2]), map(min, a[2:], b[2:])
    both = 1.0
    for start, end in zip(low, high, strict=True):
        both *= max(end - start, 0)
    areas = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
    return both / (areas - both)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
def test_nms_by_brute_force(threshold):
    tl.manual_seed(1)
    corners = tl.rand(40, 2) * 10
    boxes = tl.cat([corners, corners + tl.rand(40, 2) * 6 + 0.5], 1)
    scores = tl.rand(40)
    order = sorted(range(40), key=lambda i: -scores[i].item())
    rows, kept = boxes.tolist(), []
    for i in order:
        if all(overlap(rows[i], rows[k]) <= threshold for k in kept):
            kept.append(i)
    assert torch.ops.torchvision.nms(boxes, scores, threshold).tolist() == kept


def test_nms_of_nothing():
    assert vision.nms(tl.zeros(0, 4), tl.zeros(0), 0.5).shape == (0,)


def test_roi_align_equals_torchvision():
    """torchvision 0.29.1's Python `_roi_align` under torch 2.13 gave these numbers."""
    x = (tl.arange(2 * 1 * 6 * 7).reshape(2, 1, 6, 7) * 7 % 23).to("f32")
    rois = tl.tensor([[0, 0.3, 1.2, 5.1, 4.4], [1, 2.0, 0.0, 6.5, 3.0], [1, -0.3, -0.4, 1.0, 2.0]])
    for key, expected in GOLDEN.items():
        out = vision.roi_align(x, rois, *key)
        wanted = tl.tensor([float(n) for n in expected.split()])
        assert (out.reshape(-1) - wanted).abs().max().item() < 1e-4, key


def test_roi_align_of_a_constant_and_of_nothing():
    x = tl.full((1, 3, 9, 9), 2.5)
    out = vision.roi_align(x, tl.tensor([[0, 1.0, 1.0, 7.0, 6.0]]), 1.0, 4, 3, 2, True)
    assert out.shape == (1, 3, 4, 3) and (out - 2.5).abs().max().item() < 1e-6
    assert vision.roi_align(x, tl.zeros(0, 5), 1.0, 4, 3, 2, True).shape == (0, 3, 4, 3)
    outside = vision.roi_align(x, tl.tensor([[0, 20.0, 1.0, 30.0, 6.0]]), 1.0, 2, 2, 2, True)
    assert (outside == 0).all()


def test_roi_align_has_the_gradient_of_its_input():
    rois = tl.tensor([[0, 0.5, 0.7, 3.2, 2.9]], dtype="f64")
    x = tl.rand(1, 2, 5, 5, dtype="f64", requires_grad=True)
    assert gradcheck(lambda x: vision.roi_align(x, rois, 1.0, 2, 2, 2, False), (x,))


def test_roi_pool_takes_the_largest():
    x = tl.arange(36).reshape(1, 1, 6, 6).to("f32")
    out, _ = vision.roi_pool(x, tl.tensor([[0, 0.0, 0.0, 3.0, 3.0]]), 1.0, 2, 2)
    assert out.tolist() == [[[[7.0, 9.0], [19.0, 21.0]]]]


def deform(x, weight, offset, mask, stride=1, padding=1, dilation=1, groups=1, parts=1):
    bias = tl.zeros(weight.shape[0], dtype=x.dtype)
    return vision.deform_conv2d(
        x, weight, offset, mask, bias, stride, stride, padding, padding, dilation, dilation,
        groups, parts, mask is not None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stride", "dilation", "groups", "parts"), [*itertools.product([1, 2], repeat=4)]
)
def test_deformed_by_nothing_is_a_convolution(stride, dilation, groups, parts):
    x, weight = tl.randn(2, 4, 7, 8), tl.randn(6, 4 // groups, 3, 3)
    expected = F.conv2d(x, weight, None, stride, 1, dilation, groups)
    offset = tl.zeros(2, 2 * parts * 9, *expected.shape[2:])
    out = deform(x, weight, offset, None, stride, 1, dilation, groups, parts)
    assert (out - expected).abs().max().item() < 1e-4


def test_deformed_by_a_whole_step_reads_the_neighbour():
    x, weight = tl.randn(1, 2, 6, 6), tl.randn(3, 2, 3, 3)
    offset = tl.zeros(1, 9, 2, 6, 6)
    offset[:, :, 0] = 1.0  # all taps one row lower
    half = tl.full((1, 9, 6, 6), 0.5)
    out = deform(x, weight, offset.reshape(1, 18, 6, 6), half)
    lower = F.pad(x, (0, 0, 0, 1))[:, :, 1:]
    expected = F.conv2d(F.pad(lower, (1, 1, 0, 1)), weight)
    assert (out[:, :, 1:-1] - 0.5 * expected[:, :, : out.shape[2] - 2]).abs().max().item() < 1e-4


def test_deformed_convolution_has_gradients():
    def leaf(*shape):
        return (tl.rand(*shape, dtype="f64") * 0.4 + 0.1).requires_grad_(True)

    args = (leaf(1, 2, 4, 4), leaf(2, 2, 2, 2), leaf(1, 8, 3, 3), leaf(1, 4, 3, 3))
    assert gradcheck(lambda x, w, o, m: deform(x, w, o, m, padding=0), args)


@pytest.mark.parametrize("pool", ["ps_roi_align", "ps_roi_pool"])
def test_position_sensitive_pooling_takes_each_bins_own_channel(pool):
    image = tl.arange(8.0).reshape(1, 8, 1, 1).expand(1, 8, 6, 6).contiguous()
    boxes = tl.tensor([[0.0, 0.5, 0.5, 4.0, 4.0], [0.0, 1.0, 1.0, 5.0, 3.0]])
    more = (2,) if pool == "ps_roi_align" else ()
    out = getattr(vision, pool)(image, boxes, 1.0, 2, 2, *more)[0]
    assert out.shape == (2, 2, 2, 2)
    for box in out.tolist():
        assert box == [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [6.0, 7.0]]]


def test_position_sensitive_pooling_passes_gradients():
    image = tl.randn(1, 4, 5, 5, dtype="f64").requires_grad_()
    boxes = tl.tensor([[0.0, 0.6, 0.7, 3.4, 3.9]], dtype="f64")
    for pool, more in ((vision.ps_roi_align, (2,)), (vision.ps_roi_pool, ())):
        assert gradcheck(lambda x, p=pool, m=more: p(x, boxes, 1.0, 2, 2, *m)[0], (image,))
