"""Servers that lie, break off, stall and redirect: one error each, never an endless download."""

from __future__ import annotations

import json
import struct
import threading
import tracemalloc

import numpy as np
import pytest

from tallow.errors import HubError
from tallow.weights import open_weights
from weights.remote_files import ARRAYS, FILE


def header(name, value):
    def twist(answer):
        answer.headers[name] = value(answer) if callable(value) else value

    return twist


def status(number):
    def twist(answer):
        answer.status = number

    return twist


def ignores_ranges(answer):
    answer.status, answer.endless = 200, True
    del answer.headers["Content-Range"]


def longer(answer):
    answer.body += b"more"
    answer.chunked = True


def chunked(answer):
    answer.chunked = True


def span(start, stop, total):
    return header("Content-Range", f"bytes {start}-{stop - 1}/{total}")


LIES = {
    "ignores ranges": (ignores_ranges, "a server that serves ranges .*status 200 the whole file"),
    "another start": (span(1, 65537, len(FILE)), "Content-Range"),
    "another end": (span(0, 9, len(FILE)), "Content-Range"),
    "end before start": (span(0, 0, len(FILE)), "Content-Range"),
    "no total": (header("Content-Range", "bytes 0-65535/*"), "Content-Range"),
    "no Content-Range": (header("Content-Range", ""), "Content-Range"),
    "items": (header("Content-Range", "items 0-65535/99999"), "Content-Range"),
    "digits without end": (header("Content-Range", "bytes 0-65535/" + "9" * 5000), "Content-Range"),
    "other digits": (header("Content-Range", "bytes 0-65535/²²²²²²"), "Content-Range"),
    "another length": (header("Content-Length", "70000"), "Content-Length"),
    "longer body": (longer, "more bytes than that"),
    "compressed": (header("Content-Encoding", "gzip"), "expected identity, got gzip"),
    "no content": (status(204), "status 204"),
    "gone": (status(410), "got 410"),
    "login": (status(401), "needs a login"),
    "busy": (status(503), r"got 503 .*\(4 tries\)"),
    "no range satisfiable": (status(416), "at least one byte"),
    "loop": (lambda a: (status(302)(a), header("Location", "/m.safetensors")(a)), "got 302"),
    "to a file": (
        lambda a: (status(302)(a), header("Location", "file:///etc/passwd")(a)),
        "not allowed",
    ),
    "to plain http": (
        lambda a: (status(302)(a), header("Location", "http://example.com/m")(a)),
        "https .or TALLOW_ALLOW_HTTP=1",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_server_that_lies_at_once(server, url, lie):
    server.twist, expected = LIES[lie]
    with pytest.raises(HubError, match=expected) as caught:
        open_weights(url)
    assert server.host in str(caught.value)
    assert sum(request.sent for request in server.log) < 16 << 20, "nobody reads the rest"


LATER = {name: row for name, row in LIES.items() if name not in ("ignores ranges",)}
LATER["changed: whole file"] = (ignores_ranges, "a file that has changed")
LATER["changed: ETag"] = (header("ETag", '"two"'), "a file that has changed")
LATER["changed: date"] = (header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"), "has changed")
LATER["no range satisfiable"] = (status(416), r"got 416 .*\(4 tries\)")
LATER["changed: longer"] = (
    lambda a: header("Content-Range", a.headers["Content-Range"].split("/")[0] + "/9999999")(a),
    "Content-Range|changed",
)


@pytest.mark.parametrize("lie", LATER)
def test_a_server_that_lies_later(server, url, lie):
    source = open_weights(url)
    server.twist, expected = LATER[lie]
    with pytest.raises(HubError, match=expected):
        source.take("b")
    assert sum(request.sent for request in server.log) < 16 << 20
    server.twist = lambda answer: None
    np.testing.assert_array_equal(source.take("b").numpy(), ARRAYS["b"])


def test_a_connection_that_breaks_is_tried_again(server, url):
    source = open_weights(url)

    def twist(answer):
        answer.cut = None if answer.number == 3 else 1000

    server.twist = twist
    np.testing.assert_array_equal(source.take("b").numpy(), ARRAYS["b"])
    assert len(server.log) == 4
    server.twist = lambda answer: setattr(answer, "cut", 1000)
    with pytest.raises(HubError, match=r"expected 600000 bytes, got 1000 .*\(4 tries\)"):
        source.take("b")


def test_a_chunked_answer_is_as_good(server, url):
    server.twist = chunked
    np.testing.assert_array_equal(open_weights(url).take("b").numpy(), ARRAYS["b"])


def test_a_server_without_validators(server, url):
    server.twist = lambda answer: answer.headers.pop("ETag")
    np.testing.assert_array_equal(open_weights(url).take("b").numpy(), ARRAYS["b"])
    assert "If-Range" not in server.log[-1].headers


def test_a_weak_tag_is_compared_but_not_sent(server, url):
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    tag = ['W/"x"']

    def twist(answer):
        answer.headers |= {"ETag": tag[0], "Last-Modified": date}

    server.twist = twist
    source = open_weights(url)
    source.take("b")
    assert server.log[-1].headers["If-Range"] == date
    tag[0] = 'W/"y"'
    with pytest.raises(HubError, match="changed"):
        source.take("b")


def test_a_slow_server(server, url, monkeypatch):
    monkeypatch.setenv("TALLOW_HTTP_TIMEOUT", "0.1")
    gate = threading.Event()
    server.twist = lambda answer: setattr(answer, "gate", gate)
    with pytest.raises(HubError, match=r"timed out .*\(4 tries\)"):
        open_weights(url)
    gate.set()


def test_redirects_within_reach_are_followed(server, url):
    def twist(answer):
        if answer.number % 2 == 0:
            answer.status, answer.body = 302, b""
            answer.headers = {"Location": "/m.safetensors?again"}

    server.twist = twist
    np.testing.assert_array_equal(open_weights(url).take("b").numpy(), ARRAYS["b"])
    assert [request.headers.get("Range") for request in server.log[:2]] == ["bytes=0-65535"] * 2


def test_a_password_is_sent_and_never_shown(server, url):
    secret = url.replace("://", "://user:secret@")
    source = open_weights(secret)
    assert server.log[0].headers["Authorization"].startswith("Basic ")
    assert "secret" not in f"{source!r} {source.label} {source.where('a')} {source.path}"
    server.twist = status(404)
    with pytest.raises(HubError) as caught:
        source.take("b")
    assert "secret" not in str(caught.value)
    places = {"a": "m.safetensors"}
    server.files["/i.json"] = json.dumps({"weight_map": places}).encode()
    server.twist = lambda answer: None
    open_weights(secret.replace("m.safetensors", "i.json"))
    assert "Authorization" in server.log[-1].headers


@pytest.mark.parametrize("variable", ["TALLOW_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline(server, url, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    with pytest.raises(HubError, match="offline"):
        open_weights(url)
    assert not server.log


def test_plain_http_and_checksums_are_refused(url):
    with pytest.raises(HubError, match="https"):
        open_weights("http://example.com/m.safetensors")
    with pytest.raises(HubError, match="checksum"):
        open_weights(f"{url}#sha256={'0' * 64}")
    with pytest.raises(HubError, match="no host"):
        open_weights("https:///m.safetensors")


def test_promises_take_no_memory(server):
    """A header of 90 MB and a tensor of 4 TB are promised by a server that sends 100 kB."""
    size = 2**42
    head = struct.pack("<Q", 90_000_000) + b"{" + b" " * 70_000
    server.files["/h"] = head + bytes(40_000)

    def twist(answer):
        start = answer.headers["Content-Range"].split("-")[0]
        stop = int(answer.asked["Range"].split("-")[1])
        answer.headers["Content-Range"] = f"{start}-{stop}/{size}"
        answer.headers["Content-Length"] = str(stop + 1 - int(start.split()[1]))

    server.twist = twist
    entry = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    raw = json.dumps({"w": entry}).encode()
    size += 8 + len(raw)
    server.files["/t"] = struct.pack("<Q", len(raw)) + raw + bytes(100_000)
    tracemalloc.start()
    try:
        with pytest.raises(HubError, match="before the connection closed|IncompleteRead"):
            open_weights(f"{server.url}/h")
        source = open_weights(f"{server.url}/t")
        assert source.info("w").nbytes == 2**42
        with pytest.raises(HubError, match="before the connection closed|IncompleteRead"):
            source.take("w")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
