"""Servers and addresses that are odd: one clear `HubError`, and never a secret in it."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from tallow.errors import HubError
from tallow.hub import Silent, huggingface, resolve
from tallow.hub.ranges import RemoteFile
from tallow.hub.refs import failure, parse, redact
from tallow.hub.web import content_range, retry_after

BODY = bytes(range(256)) * 8


def get(site, path="/m.gguf"):
    return resolve(site.url + path, progress=Silent())


# --- numbers in headers ---------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["\u00b2", "9" * 5000, "-5", "1e3", "ten", "", "0x10", "5, 5"])
def test_a_length_that_is_none(site, text):
    site.add("/m.gguf", BODY, length=False, headers={"Content-Length": text})
    with pytest.raises(HubError, match="Content-Length: expected a number of bytes, got") as caught:
        get(site)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["\u00b2", "9" * 5000, "-5", "ten"])
def test_a_length_of_a_range_that_is_none(site, text):
    site.add("/m.gguf", BODY, length=False, headers={"Content-Length": text})
    with pytest.raises(HubError, match="Content-Length|before the connection closed"):
        RemoteFile(f"{site.url}/m.gguf")


def test_ranges_of_content():
    for text in ("bytes 5-9/\u00b2", "bytes \u0665-9/10", "bytes 5-9/" + "9" * 5000, "5-9/10", ""):
        assert content_range(text) == (-1, -1, None)
    assert content_range("bytes 5-9/10") == (5, 10, 10)


def test_when_to_come_again():
    assert retry_after("7") == 7
    assert 50 < retry_after(formatdate(time.time() + 60, usegmt=True)) <= 60
    for text in (None, "\u00b2", "soon", "", "-3", "nan", "Fri, 99 Foo 99999 99:99:99 GMT", "1.5"):
        assert retry_after(text) == 0
    assert retry_after("9" * 5000) == float("inf")
    assert retry_after("Fri, 31 Dec 9999 23:59:59 -2359") >= 0


@pytest.mark.parametrize("text", ["9" * 5000, "\u00b2", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_absurd_wait_is_bounded(site, monkeypatch, text):
    from tallow.hub import web

    monkeypatch.setattr(web, "LONGEST_WAIT", 0.01)
    site.add("/m.gguf", BODY, statuses=[503], headers={"Retry-After": text})
    assert get(site).read_bytes() == BODY


# --- redirects ------------------------------------------------------------------------------------


def test_redirects_that_lead_nowhere(site):
    site.add("/m.gguf", status=302, headers={"Location": "/m.gguf"})
    with pytest.raises(HubError, match="got 302"):
        get(site)
    for i in range(9):
        site.add(f"/r{i}", status=302, headers={"Location": f"/r{i + 1}"})
    with pytest.raises(HubError, match="got 302"):
        get(site, "/r0")


@pytest.mark.parametrize("place", ["http://[::1", "ftp://host/x", "//", "http://a:b/", "file:///x"])
def test_redirects_to_no_address(site, place):
    site.add("/m.gguf", status=302, headers={"Location": place})
    with pytest.raises(HubError):
        get(site)


# --- secrets --------------------------------------------------------------------------------------

SECRETS = {
    "https://user:p@ss@host/x": "https://***@host/x",
    "https://user:p@s@s@host:8080/x?y": "https://***@host:8080/x?y",
    "https://user:p/a@ss@host/x": "https://***@host/x",
    "https://user:p?a#ss@host/x": "https://***@host/x",
    "https://user:p%40ss%2F@host/x": "https://***@host/x",
    "https://token@host/x": "https://***@host/x",
    "https://:secret@host/x": "https://***@host/x",
    "proxy user:secret@proxy.local:3128 refused": "proxy ***@proxy.local:3128 refused",
    "https://host/x?token=abc&y=1": "https://host/x?token=***&y=1",
    "https://host/x?y=1&access_token=abc#z": "https://host/x?y=1&access_token=***#z",
    "https://s3/x?X-Amz-Signature=abc&X-Amz-Credential=k": (
        "https://s3/x?X-Amz-Signature=***&X-Amz-Credential=***"
    ),
    "https://blob/x?sv=1&sig=abc": "https://blob/x?sv=1&sig=***",
    "https://host/x?api_key=abc": "https://host/x?api_key=***",
    "with hf_abcdefghijklmnopqrstuv": "with hf_***",
}
PLAIN = [
    "https://host/@org/x",
    "https://host:8080/a@b",
    "https://host/a?mail=me@x.org",
    "hf:org/name@main/file",
    "pypi:a==1#m/x.gguf",
    "https://host/x?page=1",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_stars(text):
    assert redact(text) == SECRETS[text]
    assert str(failure(text, "x", "y", text)).count("***") >= 2


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


@pytest.mark.parametrize("login", ["user:p@ss", "user:p%40ss", "us%40er:p@s@s"])
def test_a_login_is_sent_whole_and_shown_nowhere(site, login):
    site.add("/m.gguf", BODY, status=404)
    address = site.url.replace("//", f"//{login}@") + "/m.gguf"
    with pytest.raises(HubError) as caught:
        resolve(address, progress=Silent())
    for piece in ("p@s", "p%40", "ss@", "@er"):
        assert piece not in str(caught.value)
    assert parse(address).user in ("user:p@ss", "us@er:p@s@s")


def test_a_proxy_with_a_password(monkeypatch):
    monkeypatch.setenv("TALLOW_ALLOW_HTTP", "1")
    monkeypatch.setenv("http_proxy", "http://user:se@cret@127.0.0.1:1")
    monkeypatch.setattr("tallow.hub.web.BACKOFF_SECONDS", 0.001)
    with pytest.raises(HubError) as caught:
        resolve("http://example.invalid/m.gguf", progress=Silent())
    assert "cret" not in str(caught.value) and "user" not in str(caught.value)


# --- the hub --------------------------------------------------------------------------------------

FILES = {"config.json": b"{}", "model.safetensors": BODY}


@pytest.mark.parametrize("slashes", ["/", "//"])
def test_an_endpoint_with_a_slash(hub, monkeypatch, slashes):
    hub.repo("org/name", FILES)
    monkeypatch.setenv("HF_ENDPOINT", hub.url + slashes)
    assert (resolve("hf:org/name", progress=Silent()) / "config.json").read_bytes() == b"{}"


@pytest.mark.parametrize("status", [503, 429, 500])
def test_a_busy_hub_is_asked_again_from_the_first_call_on(hub, monkeypatch, status):
    monkeypatch.setattr(huggingface, "BACKOFF_SECONDS", 0.001)
    hub.repo("org/name", FILES)
    for path, reply in hub.replies.items():
        if "/api/" in path:
            reply.statuses, reply.headers = [status], {**reply.headers, "Retry-After": "0"}
    assert (resolve("hf:org/name", progress=Silent()) / "config.json").is_file()


def test_a_hub_that_stays_busy(hub, monkeypatch):
    monkeypatch.setattr(huggingface, "BACKOFF_SECONDS", 0.001)
    hub.repo("org/name", FILES)
    for reply in hub.replies.values():
        reply.statuses = [503] * 50
    with pytest.raises(HubError, match="status 503"):
        resolve("hf:org/name", progress=Silent())
