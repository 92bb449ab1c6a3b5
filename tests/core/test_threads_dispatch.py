"""The native call path from many Python threads at once: ops, the tape, pickling, new ops."""

import gc
import itertools
import pickle
import subprocess
import sys
import threading

import pytest

import tallow as tl
from tallow.registry import OPS, op

THREADS = 4


def at_once(*jobs, rounds=20):
    """Runs each job in threads of its own; raises what the first of them raised."""
    wrong, start = [], threading.Barrier(len(jobs))

    def run(job):
        try:
            start.wait()
            for i in range(rounds):
                job(i)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


@pytest.fixture(autouse=True)
def threads_that_change_often():
    tl.set_num_threads(4)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    before = set(OPS)
    yield
    for name in set(OPS) - before:
        if name.startswith("threads_"):  # those of `register`; modules loaded meanwhile stay
            del OPS[name]
    sys.setswitchinterval(interval)
    tl.set_num_threads(0)


def call_ops(_):
    x = tl.arange(6).to("f32").reshape(2, 3)
    assert (x + x.sum(1, keepdim=True)).tolist() == [[3, 4, 5], [15, 16, 17]]
    assert x.softmax(-1).sum().item() == pytest.approx(2)
    assert (x @ x.T)[1, 0].item() == 14
    y = x.clone()
    y[0] = 7
    y.mul_(2)
    assert y.tolist() == [[14, 14, 14], [6, 8, 10]]
    with pytest.raises(tl.errors.ShapeError, match="add: expected shapes that broadcast"):
        x + tl.ones(2)


def long_kernels(_):
    x = tl.ones(300, 300)
    assert (x @ x).sum().item() == 300**3
    assert (x + 1).sum().item() == 2 * 300**2


def record(i):
    w = tl.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (w * w * i).sum().backward()
    assert w.grad.tolist() == [2 * i, 4 * i, 6 * i]
    with tl.no_grad():
        assert not (w * 2).requires_grad
    assert (w * 2).requires_grad


def pickle_callers(_):
    again = pickle.loads(pickle.dumps((tl.exp, tl.softmax, tl.Tensor.add)))
    assert [f.__name__ for f in again] == ["exp", "softmax", "add"]
    assert again[0](tl.zeros(2)).tolist() == [1, 1]
    x = pickle.loads(pickle.dumps(tl.arange(3)))
    assert x.tolist() == [0, 1, 2]


names = itertools.count()


def register(_):
    name = f"threads_{next(names)}"

    @op(name=name)
    def twice(x: tl.Tensor) -> tl.Tensor:
        """`2 * x`."""
        return x + x

    @twice.grad
    def _(g: tl.Tensor, x: tl.Tensor) -> tuple[tl.Tensor]:
        return (g * 2,)

    w = tl.ones(3, requires_grad=True)
    twice(w).sum().backward()
    assert w.grad.tolist() == [2, 2, 2]


JOBS = [call_ops, long_kernels, record, pickle_callers, register]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.__name__)
def test_the_same_work_in_several_threads(job):
    at_once(*[job] * THREADS)


def test_all_work_at_once():
    at_once(*JOBS, *JOBS, lambda _: gc.collect())


def test_one_tensor_read_by_all():
    shared = tl.arange(1000).to("f32").requires_grad_()

    def read(_):
        y = (shared[::2] * 2).sum()
        assert y.item() == 499000
        (g,) = tl.autograd.grad(y, [shared])
        assert g[:4].tolist() == [2, 0, 2, 0]

    at_once(*[read] * THREADS)


def test_gradients_meet_in_one_parameter():
    """Of graphs built at once; `.grad` itself is added to by one thread at a time."""
    w = tl.zeros(3, requires_grad=True)
    lock = threading.Lock()

    def add(_):
        loss = (w + tl.ones(3)).sum()
        with lock:
            loss.backward()

    at_once(*[add] * THREADS, rounds=10)
    assert w.grad.tolist() == [40, 40, 40]


def test_modes_belong_to_their_thread():
    def off(_):
        with tl.no_grad():
            assert not tl.is_grad_enabled()
            assert not (tl.ones(2, requires_grad=True) * 2).requires_grad

    def on(_):
        assert tl.is_grad_enabled()
        assert (tl.ones(2, requires_grad=True) * 2).requires_grad

    def inference(_):
        with tl.inference_mode():
            x = tl.ones(2) * 2
        with pytest.raises(tl.errors.TallowError, match="inference"):
            x.mul_(2)

    at_once(off, on, inference, off, on, inference, rounds=100)


def test_copy_on_write_of_shared_memory():
    """Views of one read-only buffer, written by several threads: each write sees its own copy."""
    raw = bytes(4000)

    def write(i):
        x = tl.from_buffer(raw, tl.f32, (1000,))
        x[i % 1000] = i
        x.add_(1)
        assert x.sum().item() == 1000 + i
        assert raw == bytes(4000)

    at_once(*[write] * THREADS)


FIRST_ASKED = """
import sys, threading
import tallow as tl

sys.setswitchinterval(1e-5)
wrong = []

exps = set()

def ask():
    try:
        exps.add(tl.exp)
        tl.nn.functional.gelu(tl.ones(3))
        tl.special.erf(tl.ones(2))
        tl.fft.fft(tl.ones(4))
    except Exception as error:
        wrong.append(repr(error))

threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if len(exps) != 1:
    wrong.append("several callers of one op")
sys.exit("; ".join(wrong) or 0)
"""


def test_modules_first_asked_for_by_several_threads():
    for _ in range(3):
        ended = subprocess.run([sys.executable, "-c", FIRST_ASKED], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
