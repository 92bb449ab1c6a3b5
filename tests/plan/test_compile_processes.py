"""Compiled functions in several threads, and in the child of a fork."""

import os
import signal
import threading
import warnings

import pytest

import tallow as tl
from tallow import nn


@pytest.fixture(autouse=True)
def _no_grad():
    with tl.no_grad():
        yield


def test_threads_share_a_plan():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    f = tl.compile(net)
    xs = [tl.rand(3, 4) + i for i in range(8)]
    wanted = [net(x).tolist() for x in xs]
    f(xs[0])
    wrong = []

    def work(i):
        with tl.inference_mode():
            wrong.extend(1 for _ in range(200) if f(xs[i]).tolist() != wanted[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_of_a_fork_while_a_plan_runs():
    f = tl.compile(lambda x: (x @ x).softmax(-1) @ x)
    x = tl.rand(300, 300)
    f(x)
    wanted, ended = f(x)[0].tolist(), threading.Event()

    def work():
        with tl.inference_mode():
            while not ended.is_set():
                f(x)

    thread = threading.Thread(target=work)
    thread.start()
    codes = []
    for _ in range(6):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # forks beside threads, which Python 3.12 warns of
            child = os.fork()
        if child == 0:
            signal.alarm(20)
            os._exit(f(x)[0].tolist() != wanted)
        codes.append(os.waitpid(child, 0)[1])
    ended.set()
    thread.join()
    assert codes == [0] * 6
    assert f(x)[0].tolist() == wanted
