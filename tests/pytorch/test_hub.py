"""torch.hub: files fetched whole or not at all, through the downloader of `tallow.hub`."""

import hashlib
import os
import stat
import threading

import pytest

import tallow.torch as torch
from loopback import Loopback
from tallow.errors import HubError
from tallow.hub import web

BODY = bytes(range(256)) * 40


class Server(Loopback):
    """Answers with what `answers` holds, in turn; the last one again and again."""

    def __init__(self):
        super().__init__()
        self.answers = [(200, BODY, len(BODY))]

    def answer(self, handler):
        status, body, length = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        handler.send_response(status)
        handler.send_header("Content-Length", str(length))
        handler.send_header("Connection", "close")
        handler.close_connection = True
        handler.end_headers()
        handler.wfile.write(body)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(web, "BACKOFF_SECONDS", 0.001)
    made = Server()
    yield made
    made.close()


def fetch(server, target, **options):
    url = server.url.replace("//", "//me:pass@word@") + "/w.bin"
    torch.hub.download_url_to_file(url, target, progress=False, **options)


def test_a_file_is_fetched_whole(server, tmp_path):
    digest = hashlib.sha256(BODY).hexdigest()
    fetch(server, tmp_path / "w.bin", hash_prefix=digest[:8])
    assert (tmp_path / "w.bin").read_bytes() == BODY and os.listdir(tmp_path) == ["w.bin"]


@pytest.mark.parametrize(
    ("answers", "options", "text"),
    [
        ([(200, BODY[:100], len(BODY))], {}, "bytes, got 100 before the connection closed"),
        ([(404, b"", 0)], {}, "404"),
        ([(200, BODY, len(BODY))], {"hash_prefix": "abcd"}, "one that begins with abcd"),
    ],
    ids=["cut", "none", "sha256"],
)
def test_what_is_not_whole_leaves_nothing(server, tmp_path, answers, options, text):
    server.answers = answers
    with pytest.raises(HubError, match=text) as caught:
        fetch(server, tmp_path / "w.bin", **options)
    assert os.listdir(tmp_path) == []
    assert "pass" not in str(caught.value) and "word" not in str(caught.value)


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.answers = [(503, b"", 0), (200, BODY[:100], len(BODY)), (200, BODY, len(BODY))]
    fetch(server, tmp_path / "w.bin")
    assert (tmp_path / "w.bin").read_bytes() == BODY


def test_links_modes_and_pipes_are_kept(server, tmp_path):
    real, link, pipe = tmp_path / "real", tmp_path / "link", tmp_path / "pipe"
    real.write_bytes(b"old")
    real.chmod(0o600)
    link.symlink_to(real)
    fetch(server, link)
    assert link.is_symlink() and real.read_bytes() == BODY
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    os.mkfifo(pipe)
    taken = []
    reader = threading.Thread(target=lambda: taken.append(pipe.read_bytes()))
    reader.start()
    fetch(server, pipe)
    reader.join()
    assert taken == [BODY] and stat.S_ISFIFO(pipe.stat().st_mode)


def test_weights_from_an_address_are_kept(server, tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "made.pt")
    whole = (tmp_path / "made.pt").read_bytes()
    server.answers = [(200, whole, len(whole)), (404, b"", 0)]
    for url in (f"{server.url}/a.pt", f"{server.url}/a.pt", (tmp_path / "made.pt").as_uri()):
        made = torch.hub.load_state_dict_from_url(url, tmp_path / "kept", progress=False)
        assert made["w"].tolist() == [1, 1]
    assert sorted(os.listdir(tmp_path / "kept")) == ["a.pt", "made.pt"]


@pytest.mark.parametrize("url", ["ftp://host/x", "w.bin", "http://example.com/w.bin"])
def test_other_addresses_are_refused(tmp_path, url):
    with pytest.raises(HubError, match="expected https"):
        torch.hub.download_url_to_file(url, tmp_path / "w.bin")
