"""The pool: one result whatever the threads, after a fork, from many at once; choice of the ISA."""

import os
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

import tallow as tl

N = 1 << 20


@pytest.fixture(autouse=True)
def restore_threads():
    yield
    tl.set_num_threads(0)


def work():
    """Results of kernels that share their work: elementwise, reduction, product, gather."""
    x = tl.arange(N).to("f32").reshape(1024, 1024) / N
    return [
        (x * 2 + x.T).clone(),
        x.sum(),
        x.sum(0),
        x.softmax(1),
        x[:256] @ x[:, :64],
        x.exp().argmax(1),
        x[tl.arange(1024 - 1, -1, -1)],
    ]


def same(p, q):
    return all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(p, q, strict=True))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_results_do_not_depend_on_the_number_of_threads(n):
    tl.set_num_threads(1)
    alone = work()
    tl.set_num_threads(n)
    assert tl.num_threads() == n
    assert same(alone, work())


def test_number_of_threads():
    with pytest.raises(tl.errors.ArgumentError, match="expected a number of threads"):
        tl.set_num_threads(-1)
    tl.set_num_threads(10**6)
    assert 1 <= tl.num_threads() <= 256
    tl.set_num_threads(0)
    assert tl.num_threads() >= 1


def in_child(check):
    """Whether `check()` is true in a forked child that ends within 30 seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        signal.alarm(30)
        good = False
        try:
            good = check()
        finally:
            os._exit(0 if good else 1)
    _, status = os.waitpid(child, 0)
    return status == 0


def test_fork():
    tl.set_num_threads(4)
    before = work()
    assert in_child(lambda: same(before, work()))
    assert in_child(lambda: in_child(lambda: same(before, work())))
    assert same(before, work())


def test_fork_while_other_threads_compute():
    tl.set_num_threads(4)
    stop = threading.Event()

    def busy():
        x = tl.ones(64, 64)
        while not stop.is_set():
            x @ x

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert all(in_child(lambda: tl.ones(300, 300).sum().item() == 90000) for _ in range(20))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_several_python_threads_at_once():
    tl.set_num_threads(4)
    wanted, wrong = work(), []

    def run():
        for _ in range(3):
            wrong.extend([1] * (not same(wanted, work())))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(20):
        tl.set_num_threads(1 + i % 4)
    for thread in threads:
        thread.join()
    assert not wrong


def python(code, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TALLOW_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_environment():
    show = "import tallow as tl; print(tl.num_threads())"
    assert python(show, TALLOW_NUM_THREADS="3").stdout.strip() == "3"
    assert int(python(show).stdout) >= 1
    code = (
        "import tallow as tl; from tallow import _native;"
        "x = tl.arange(5000).to('f32') / 7;"
        "y = x.reshape(50, 100) @ x.reshape(100, 50);"
        "print(_native.ISA, x.exp().log().sum().item(), y.mean().item())"
    )
    best, baseline = python(code).stdout.split(), python(code, TALLOW_ISA="baseline").stdout.split()
    assert baseline[0] == "baseline"
    assert [*map(float, best[1:])] == pytest.approx([*map(float, baseline[1:])], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("TALLOW_ISA", "pentium"), ("TALLOW_ISA", "AVX2"), ("TALLOW_ISA", " ")]
    + [("TALLOW_NUM_THREADS", text) for text in ("many", "0", "-2", "2.5", "3 ", "9" * 30, "0x4")],
)
def test_a_wrong_variable_of_the_environment_is_one_line(name, value):
    wanted = {"TALLOW_ISA": "one of baseline", "TALLOW_NUM_THREADS": "a positive number"}[name]
    plain = python("import tallow", **{name: value})
    command = python("import sys; from tallow.cli import main; sys.exit(main())", **{name: value})
    for ended in (plain, command):
        assert ended.returncode == 1
        assert ended.stdout == ""
        assert ended.stderr.startswith(f"error: {name}: expected {wanted}")
        assert ended.stderr.endswith(f", got {value}\n")
        assert ended.stderr.count("\n") == 1
    code = "try:\n import tallow\nexcept ValueError as e:\n print(type(e).__name__, e)\n1 / 0"
    caught = python(code, **{name: value})
    assert caught.stdout.startswith(f"ArgumentError {name}: expected")
    assert "ZeroDivisionError" in caught.stderr
    assert "Traceback" in caught.stderr


def test_an_empty_variable_of_the_environment_is_none():
    ended = python("import tallow as tl; tl.ones(1)", TALLOW_ISA="", TALLOW_NUM_THREADS="")
    assert (ended.returncode, ended.stderr) == (0, "")
