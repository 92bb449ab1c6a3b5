"""Fixtures for every test: the real model, a cache of their own, and no way to the network."""

import os
import signal
import socket
import tempfile
from pathlib import Path

import pytest

# The model is large and stays in the user's cache; what else tests fetch goes to a temporary one,
# which the processes of pytest-xdist share: they inherit it, and the user's under another name.
IN_WORKER = "PYTEST_XDIST_WORKER" in os.environ
KEPT = "TALLOW_TESTS_USER_{}" if IN_WORKER else "{}"
USER_ENVIRONMENT = {name: os.environ.get(KEPT.format(name)) for name in ("TALLOW_CACHE", "HF_HOME")}
NETWORK_MARKS = ("needs_network", "needs_model")
LOOPBACK = ("127.", "::1", "localhost")

_connect = socket.socket.connect
_network_allowed = False


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Started in the background of a shell, as by nohup; the programs that tests interrupt would
        # inherit that and never end.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    if not IN_WORKER:
        folder = tempfile.TemporaryDirectory(prefix="tallow-tests-")
        config.add_cleanup(folder.cleanup)
        for name, value in USER_ENVIRONMENT.items():
            if value is not None:
                patch.setenv(f"TALLOW_TESTS_USER_{name}", value)
        patch.setenv("TALLOW_CACHE", str(Path(folder.name, "tallow")))
        patch.setenv("HF_HOME", str(Path(folder.name, "huggingface")))
    patch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    patch.setenv("TOKENIZERS_PARALLELISM", "false")
    patch.delenv("HF_TOKEN", raising=False)
    patch.setattr(socket.socket, "connect", guarded_connect)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark whoever takes the model, so that `-m "not needs_model"` leaves out all of them."""
    for item in items:
        if {"smollm2_path", "model_cache"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker("needs_model")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    global _network_allowed
    _network_allowed = any(item.get_closest_marker(mark) for mark in NETWORK_MARKS)


def guarded_connect(self, address):
    """`socket.connect` that refuses other machines, unless the running test is marked for it."""
    local = self.family == socket.AF_UNIX or str(address[0]).startswith(LOOPBACK)
    if not local and not _network_allowed:
        pytest.fail(f"a test without `needs_network` connects to {address}")
    return _connect(self, address)


@pytest.fixture
def model_cache(monkeypatch):
    """The user's own cache, in which the model lies, for tests that name it by its alias."""
    for name, value in USER_ENVIRONMENT.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """SmolLM2-135M-Instruct as GGUF (Q4_1): `TALLOW_TEST_GGUF`, or fetched into the user's cache.

    Without network and file the tests fail: a skipped test would be taken for a tested model.
    """
    if given := os.environ.get("TALLOW_TEST_GGUF"):
        path = Path(given)
        assert path.is_file(), f"TALLOW_TEST_GGUF names no file: {path}"
        return path
    from tallow import hub

    with pytest.MonkeyPatch.context() as patch:
        for name, value in USER_ENVIRONMENT.items():
            if value is None:
                patch.delenv(name, raising=False)
            else:
                patch.setenv(name, value)
        return hub.resolve("smollm2-135m")
