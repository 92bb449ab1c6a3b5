"""A loopback server of weights for the tests of remote sources."""

import pytest

from tallow.hub import web
from weights.range_server import RangeServer
from weights.remote_files import FILE


@pytest.fixture
def server(monkeypatch):
    for variable in (
        "TALLOW_OFFLINE",
        "HF_HUB_OFFLINE",
        "TALLOW_HTTP_TIMEOUT",
        "TALLOW_ALLOW_HTTP",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(web, "BACKOFF_SECONDS", 0.01)
    made = RangeServer({"/m.safetensors": FILE})
    yield made
    made.close()


@pytest.fixture
def url(server):
    return f"{server.url}/m.safetensors"
