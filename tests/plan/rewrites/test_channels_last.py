"""Images in channels-last order give what they give as planes, and copies stand where both meet."""

import importlib
import random

import pytest

import tallow as tl
from plan.rewriting import calls, draw
from tallow.nn import functional as F

LAST = ("conv_epilogues", "elementwise_chains", "channels_last", "once")


def capture(fn, *examples, weights=None, rewrites=LAST):
    given = {str(i): w for i, w in enumerate(weights or [])}
    return tl.capture(fn, *examples, weights=given, rewrites=rewrites)


def assert_near(got, wanted):
    got = got if isinstance(got, tuple) else (got,)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    for a, b in zip(got, wanted, strict=True):
        assert a.shape == b.shape
        assert a.is_contiguous()
        most = 1e-5 * b.abs().max().item()
        assert (a - b).abs().max().item() <= most


def kernels(plan):
    return [name for name in calls(plan) if name != "conv_last_weight"]


def orders(plan, kernel):
    """How the images lie that calls of a kernel write: by strides of the channels."""
    values = plan._native.values
    return [
        "last" if values[args[0][1]][4][1] == 1 else "first"
        for name, args in plan._native.calls
        if name == kernel
    ]


WIDE, MIDDLE, BACK = draw(48, 16, 1, 1), draw(48, 1, 3, 3, seed=0.3), draw(16, 48, 1, 1, seed=1.7)
NEXT = draw(48, 48, 1, 1, seed=0.6)


def block(x):
    """A block of MobileNet."""
    y = F.conv2d(x, WIDE).relu()
    y = F.hardswish(F.conv2d(y, MIDDLE, padding=1, groups=48))
    return F.conv2d(y, BACK) + x


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_lie_channels_last_and_follow_their_weights(batch, threads):
    first = draw(16, 3, 3, 3, seed=0.9)
    weights = [first, WIDE, MIDDLE, BACK]

    def fn(x):
        return block(block(F.conv2d(x, first, stride=2, padding=1).relu())).mean((2, 3))

    before = tl.num_threads()
    tl.set_num_threads(threads)
    try:
        plan = capture(fn, draw(batch, 3, 31, 42), weights=weights)
        block_of = ["conv_last", "conv_depthwise_last", "conv_last"]
        assert kernels(plan) == ["copy", "conv_last", *block_of, *block_of, "mean"]
        for seed in (0.3, 1.9):
            x = draw(batch, 3, 31, 42, seed=seed)
            assert_near(plan(x), fn(x))
            weights[1].mul_(0.5)
            weights[2].mul_(1.5)
    finally:
        tl.set_num_threads(before)


def test_a_result_lies_as_ever():
    plan = capture(block, draw(1, 16, 30, 30), weights=[WIDE, MIDDLE, BACK])
    x = draw(1, 16, 30, 30, seed=0.4)
    assert_near(plan(x), block(x))
    assert kernels(plan).count("copy") == 3  # the weight of the depthwise one, x and the result


def test_one_convolution_alone_is_left():
    plan = capture(lambda x: F.conv2d(x, WIDE), draw(1, 16, 30, 30), weights=[WIDE])
    assert calls(plan) == ["conv"]


def test_squeezes_pools_and_joints_work_in_the_new_order():
    squeeze, excite = draw(8, 48, 1, 1, seed=0.2), draw(48, 8, 1, 1, seed=0.6)
    shift = draw(1, 48, 1, 1, seed=0.1)
    weights = [WIDE, MIDDLE, BACK, squeeze, excite, shift]

    def fn(x):
        y = F.conv2d(F.conv2d(x, WIDE).relu(), MIDDLE, padding=1, groups=48)
        scale = F.conv2d(F.conv2d(y.mean((2, 3), keepdim=True), squeeze).relu(), excite).sigmoid()
        y = F.conv2d((y * scale + shift).sigmoid(), BACK)
        y = F.max_pool2d(tl.cat([x, F.conv2d(F.conv2d(y, WIDE), BACK)], 1), 3, 2, 1)
        y = F.interpolate(y[:, 8:24].relu(), scale_factor=2, mode="nearest")
        return F.conv2d(F.avg_pool2d(F.conv2d(F.conv2d(y, WIDE), BACK), 2), WIDE).mean((2, 3))

    plan = capture(fn, draw(1, 16, 40, 40), weights=weights)
    for kernel in ("max_pool", "avg_pool", "repeat_pixels", "elementwise_chain"):
        assert "last" in orders(plan, kernel)
    x = draw(1, 16, 40, 40, seed=0.8)
    assert_near(plan(x), fn(x))


def test_other_kernels_read_copies_as_planes():
    wide = draw(32, 16, 3, 3, seed=1.3)

    def fn(x):
        a = block(x)
        return F.conv2d(a, wide, padding=1), a.flatten(2).softmax(-1), block(a)

    plan = capture(fn, draw(1, 16, 24, 24), weights=[WIDE, MIDDLE, BACK, wide])
    assert "conv_last" in calls(plan)
    x = draw(1, 16, 24, 24, seed=0.8)
    assert_near(plan(x), fn(x))


def test_kernels_that_take_no_slices_read_copies(cheap_copies):
    def fn(x):
        y = F.conv2d(F.conv2d(x, WIDE).relu(), MIDDLE, padding=1, groups=48)
        slices = F.conv2d(y[:, 8:24], MIDDLE[:16], padding=1, groups=16), y[:, 2:18] + x
        bigger = F.interpolate(y[:, 24:40], scale_factor=2, mode="nearest")
        return F.conv2d(tl.cat(slices, 1), WIDE.repeat(1, 2, 1, 1)), F.conv2d(bigger, WIDE)

    plan = capture(fn, draw(1, 16, 30, 30), weights=[WIDE, MIDDLE])
    assert "conv_last" in calls(plan)
    x = draw(1, 16, 30, 30, seed=0.8)
    assert_near(plan(x), fn(x))


def test_what_is_written_later_is_not_moved():
    state = draw(1, 16, 24, 24, seed=0.5)

    def fn(x):
        y = block(x + state)
        state.copy_(y)
        return block(y)

    plan = tl.capture(fn, draw(1, 16, 24, 24), states=[state], rewrites=LAST)
    assert "conv_last" not in calls(plan)


WEIGHTS = {(m, c): draw(m, c, 1, 1, seed=0.1 * m + c) for m in (8, 12, 24) for c in (8, 12, 24)}
DEEP = {(c, k): draw(c, 1, k, k, seed=0.3 * c + k) for c in (8, 12, 24) for k in (3, 5)}
DENSE = {(c, s): draw(c, c, 3, 3, seed=c / 7 + s) for c in (8, 12, 24) for s in (1, 2)}


def program(seed):
    """A function of images (…, 8, 17, 18), of calls chosen at random; of f32 or f64."""
    steps = [random.Random(seed).random() for _ in range(40)]

    def fn(x):
        choose = iter(steps)
        images = [x]
        while len(images) < 12:
            a = images[-1 - int(3 * next(choose)) % len(images)]
            kind, c = int(9 * next(choose)), a.shape[1]
            if kind < 3:
                images.append(F.conv2d(a, WEIGHTS[(8, 12, 24)[kind], c].to(a.dtype)).relu())
            elif kind < 5:
                k = (3, 5)[kind - 3]
                images.append(F.conv2d(a, DEEP[c, k].to(a.dtype), padding=k // 2, groups=c))
            elif kind == 5:
                images.append(F.conv2d(a, DENSE[c, 1].to(a.dtype), padding=1))
            elif kind == 6:
                alike = [b for b in images if b.shape == a.shape]
                images.append(a + alike[0])
            elif kind == 7 and next(choose) < 0.5:
                images.append(tl.cat([a[:, 4:], F.max_pool2d(a, 3, 1, 1)[:, :4]], 1))
            elif kind == 7:
                images.append(a * a.mean((2, 3), keepdim=True).sigmoid())
            else:
                images.append(F.max_pool2d(a, 3, 1, 1))
            images[-1] = images[-1] / 4
        return tuple(images[5::3])

    return fn


@pytest.fixture
def cheap_copies(monkeypatch):
    """Images of a few pixels are turned, too."""
    orders = importlib.import_module("tallow.plan.rewrites.channels_last.orders")
    monkeypatch.setattr(orders, "_COPY", 0.02)


@pytest.mark.parametrize("seed", range(40))
def test_programs_at_random(seed, cheap_copies):
    fn = program(seed)
    weights = [*WEIGHTS.values(), *DEEP.values(), *DENSE.values()]
    plan = capture(fn, draw(2, 8, 17, 18), weights=weights, rewrites=True)
    x = draw(2, 8, 17, 18, seed=0.37)
    exact = fn(x.to(tl.f64))
    for got, plain, wanted in zip(plan(x), fn(x), exact, strict=True):
        lost, most = (got - wanted).abs().max().item(), (plain - wanted).abs().max().item()
        assert lost <= 4 * most + 1e-6 * wanted.abs().max().item()


def test_many_programs_have_images_channels_last(cheap_copies):
    weights = [*WEIGHTS.values(), *DEEP.values(), *DENSE.values()]
    plans = [
        capture(program(seed), draw(2, 8, 17, 18), weights=weights, rewrites=True)
        for seed in range(40)
    ]
    assert sum("conv_last" in calls(plan) for plan in plans) > 13


def test_a_picture_in_its_own_order_is_read_as_it_lies():
    first = draw(16, 3, 3, 3, seed=0.9)
    plan = capture(
        lambda x: block(F.conv2d(x, first, padding=1)).mean((2, 3)),
        draw(1, 20, 24, 3).permute(0, 3, 1, 2),
        weights=[first, WIDE, MIDDLE, BACK],
    )
    assert "copy" not in kernels(plan)[1:]


def test_one_pixel_of_an_image_is_read_as_it_was():
    def fn(x):
        y = F.conv2d(x, WIDE)
        y = F.conv2d((y + y[:, :, 3:4, 2:3]).relu(), MIDDLE, padding=1, groups=48)
        return F.conv2d(y, BACK).mean((2, 3)), F.conv2d(y, WIDE[:, :1], y[0, :, 1, 2], groups=48)

    plan = capture(fn, draw(1, 16, 30, 30), weights=[WIDE, MIDDLE, BACK])
    x = draw(1, 16, 30, 30, seed=0.8)
    assert_near(plan(x), fn(x))


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    "view",
    [
        lambda y: y[..., ::-1],
        lambda y: y[:, :, ::-1],
        lambda y: y[:, :1].expand(*y.shape),
        lambda y: y[:, ::-1],
    ],
)
@pytest.mark.parametrize(
    "work",
    [
        lambda y: F.conv2d(y, MIDDLE, padding=1, groups=48),
        lambda y: F.interpolate(y, scale_factor=2, mode="nearest"),
        lambda y: F.max_pool2d(y, 3, 1, 1) + F.avg_pool2d(y, 3, 1, 1),
        lambda y: y.tanh(),
    ],
)
def test_mirrored_and_repeated_images_are_read_by_kernels_that_can(view, work, batch):
    def fn(x):
        y = work(view(F.hardswish(F.conv2d(F.hardswish(F.conv2d(x, WIDE)), NEXT))))
        return F.conv2d(y, BACK)

    plan = capture(fn, draw(batch, 16, 12, 9), weights=[WIDE, NEXT, MIDDLE, BACK])
    x = draw(batch, 16, 12, 9, seed=0.4)
    assert_near(plan(x), fn(x))
