"""Plans of several shapes share what follows from weights alone, and the time to make it."""

import threading

import numpy as np
import pytest

import tallow as tl
from onnx_runs import graph, node, runner
from tallow.tensor import wrap

WIDTHS = (32, 48, 64, 80)


def draw(*shape, seed=0):
    return tl.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def weights():
    """A batch norm that is folded into a convolution, and a product along the width."""
    values = {
        "w": draw(32, 32, 3, 3, seed=1), "s": draw(32, seed=2), "b": draw(32, seed=3),
        "m": draw(32, seed=4), "v": draw(32, seed=5).square() + 0.5, "p": draw(32, 8, seed=6),
    }  # fmt: skip
    return {name: value.clone() for name, value in values.items()}  # none is borrowed


def steps():
    return [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "a s b m v", "n"),
        node("Relu", "n", "r"),
        node("Transpose", "r", "t", perm=[0, 2, 3, 1]),
        node("MatMul", "t p", "y"),
    ]


def made(values=None, **options):
    return runner(graph(steps(), "x", "y", values or weights()), **options)


def image(width, seed=0):
    return draw(1, 32, 16, width, seed=seed).clone()


def run_all(given, widths=WIDTHS, times=3):
    return {w: [given.run([image(w, i)], [])[0] for i in range(times)] for w in widths}


def kept(given):
    """The memory that plans keep: bytes by storage."""
    found = {}
    for segment in given._segments.values():
        for at, (role, size, *_) in enumerate(segment.plan.buffers):
            if role == "kept":
                found[segment.plan.held(at).storage_id] = size
    return found


def agree(got, want):
    for width, results in want.items():
        for a, b in zip(got[width], results, strict=True):
            assert (a - b).abs().max().item() <= 1e-4 * b.abs().max().item()


def test_many_shapes_keep_what_one_does():
    one, several = made(), made()
    run_all(one, WIDTHS[-1:])
    run_all(several)
    assert len(several._segments) == len(WIDTHS) and kept(one)
    assert sum(kept(several).values()) == sum(kept(one).values())


def test_what_another_plan_has_made_is_not_made_again():
    """Zeros in its place are found by plans that are made later, and go with the next write."""
    values = weights()
    given = made(values)
    run_all(given, WIDTHS[-1:])
    (segment,) = given._segments.values()
    for at, (role, *_) in enumerate(segment.plan.buffers):
        if role == "kept":
            wrap(segment.plan.held(at)).zero_()
    for width in WIDTHS[:-1]:
        *_, y = run_all(given, [width])[width]
        assert (y == 0).all().item()
    values["s"].mul_(1.0)
    agree(run_all(given), run_all(made(plans=False)))


def test_results_are_those_without_plans():
    agree(run_all(made()), run_all(made(plans=False)))


@pytest.mark.parametrize("name", ["w", "s", "p"])
def test_a_written_weight_shows_in_all_plans(name):
    values = weights()
    given, plain = made(values), made(values, plans=False)
    run_all(given)
    for factor in (2.0, -0.5):
        values[name].mul_(factor)
        agree(run_all(given, times=1), run_all(plain, times=1))
        agree(run_all(given, WIDTHS[::-1], times=2), run_all(plain, WIDTHS[::-1], times=2))


def test_a_weight_written_before_another_plan_is_made():
    values = weights()
    given, plain = made(values), made(values, plans=False)
    run_all(given, WIDTHS[:1])
    values["w"].mul_(3.0)
    agree(run_all(given, WIDTHS[1:]), run_all(plain, WIDTHS[1:]))
    agree(run_all(given), run_all(plain))


def test_a_weight_that_is_written_unseen_is_read_at_each_run():
    values = weights()
    own = values["w"].numpy()  # lent
    given, plain = made(values), made(values, plans=False)
    run_all(given, WIDTHS[:2])
    for width in WIDTHS:
        own *= 1.5
        for _ in range(3):
            agree(run_all(given, [width], 1), run_all(plain, [width], 1))


def test_numbers_of_kernels_keep_results_apart():
    """Two plans divide by other numbers; in each the quotient follows from the weight alone."""
    weight = {"w": tl.tensor([3.0, 6.0])}
    a = [node("Clip", "w l h", "c"), node("Add", "x c", "y")]
    bounds = {"l": tl.tensor(0.0), "h": tl.tensor(4.0)}
    given = runner(graph(a, "x", "y", weight | bounds))
    other = runner(graph(a, "x", "y", weight | {"l": tl.tensor(-1.0), "h": tl.tensor(5.0)}))
    other._shared = given._shared
    for length in (1, 3):
        x = tl.zeros(length, 2)
        for _ in range(3):
            assert given.run([x], [])[0].tolist() == [[3.0, 4.0]] * length
            other._shared = given._shared
            assert other.run([x], [])[0].tolist() == [[3.0, 5.0]] * length


def test_dropping_plans_drops_what_they_share():
    given = made()
    run_all(given)
    given.clear()
    assert given._shared is None
    agree(run_all(given), run_all(made(plans=False)))


def test_threads_of_two_models(tmp_path):
    """Each has its own; calls of one run one after the other."""
    want = run_all(made(plans=False), times=1)
    runners = [made(), made()]
    failed = []

    def work(given, widths):
        try:
            for _ in range(4):
                agree(run_all(given, widths, 1), {w: want[w] for w in widths})
        except BaseException as error:
            failed.append(error)

    threads = [
        threading.Thread(target=work, args=(each, widths))
        for each, widths in zip(runners, (WIDTHS, WIDTHS[::-1]), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert not {*kept(runners[0])} & {*kept(runners[1])}


def test_what_shapes_bring_goes_with_their_plans():
    """Scores of positions, one piece for each length: plans that are gone keep none."""
    nodes = [
        node("Shape", "x", "n", start=1, end=2),
        node("Slice", "p zero n zero", "q"),
        node("Mul", "q s", "r"),
        node("Add", "x r", "y"),
    ]
    values = {"p": draw(96, 8).clone(), "s": tl.tensor(2.0), "zero": tl.tensor([0])}
    given = runner(graph(nodes, "x", "y", values))
    for length in range(1, 97):
        x = tl.ones(1, length, 8)
        for _ in range(4):
            (y,) = given.run([x], [])
            assert (y == 1 + 2 * values["p"][:length]).all().item()
    plans = [each for each in given._segments.values() if each is not None]
    assert kept(given) and len(plans) < 96
    assert len(given._shared._results) == len(kept(given))
