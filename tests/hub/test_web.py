"""Downloads over HTTP from a server that drops, stalls, lies and redirects."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest

import tallow.hub
from tallow.errors import HubError
from tallow.formats import replacing
from tallow.hub import Silent, cached, remove, resolve, web

BODY = bytes(range(256)) * 2000  # 512 kB
SHA = hashlib.sha256(BODY).hexdigest()


def get(site, path="/m.gguf", fragment="", **options):
    return resolve(f"{site.url}{path}{fragment}", **{"progress": Silent(), **options})


def test_download_hit_listing_and_removal(site, remains, recorder):
    site.add("/models/m.gguf", BODY)
    progress = recorder()
    path = get(site, "/models/m.gguf", progress=progress)
    assert path.read_bytes() == BODY and path.name == "m.gguf"
    assert progress.calls == [("downloading m.gguf", len(BODY))] and progress.done == len(BODY)
    assert progress.finished
    assert get(site, "/models/m.gguf", verify=True) == path
    assert len(site.log) == 1 and len(remains()) == 1
    ref = f"{site.url}/models/m.gguf"
    assert cached() == [tallow.hub.CachedFile(ref, path, len(BODY), SHA)]
    assert remove(ref) == len(BODY) and remove(ref) == 0
    assert cached() == [] and remains() == []
    assert get(site, "/models/m.gguf").read_bytes() == BODY and len(site.log) == 2


def test_a_dropped_connection_is_resumed(site):
    site.add("/m.gguf", BODY, cuts=[100_000, 150_000])
    assert get(site).read_bytes() == BODY
    ranges = [headers.get("Range") for headers in site.gets("/m.gguf")]
    assert ranges == [None, "bytes=100000-", "bytes=250000-"]
    assert site.gets("/m.gguf")[1]["If-Range"] == '"one"'


def test_resume_without_ranges_starts_anew(site):
    site.add("/m.gguf", BODY, cuts=[100_000], ranges=False)
    assert get(site).read_bytes() == BODY


def test_no_validator_means_no_resume(site):
    site.add("/m.gguf", BODY, cuts=[100_000], etag=None)
    assert get(site).read_bytes() == BODY
    assert [h.get("Range") for h in site.gets("/m.gguf")] == [None, None]


def test_a_weak_etag_falls_back_to_the_date(site):
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    site.add("/m.gguf", BODY, cuts=[100_000], etag='W/"x"', headers={"Last-Modified": date})
    assert get(site).read_bytes() == BODY
    assert site.gets("/m.gguf")[1]["If-Range"] == date


def test_a_file_that_changes_between_attempts_is_not_mixed(site, remains):
    site.add("/m.gguf", BODY, cuts=[100_000] * 4)
    with pytest.raises(HubError, match=r"expected 512000 bytes, got 400000 .*\(4 tries\)"):
        get(site)
    assert [Path(name).suffix for name in remains()] == [".part", ".json"]
    site.add("/m.gguf", BODY[::-1], etag='"two"')
    assert get(site).read_bytes() == BODY[::-1]
    assert len(remains()) == 1


def test_interrupt_leaves_only_the_part_and_resumes(site, remains, recorder):
    site.add("/m.gguf", BODY, pause=0.005)
    with pytest.raises(KeyboardInterrupt):
        get(site, progress=recorder(trip_at=200_000))
    assert [Path(name).suffix for name in remains()] == [".part", ".json"]
    assert cached() == []
    progress = recorder()
    assert get(site, progress=progress).read_bytes() == BODY
    assert progress.done == len(BODY) and "Range" in site.gets("/m.gguf")[-1]
    assert len(remains()) == 1


def test_pieces_end_at_multiples_of_their_size(site, monkeypatch):
    ends = [0]

    class Recorded(replacing.PieceWriter):
        def _write(self, data):
            ends.append(ends[-1] + len(data))
            super()._write(data)

    monkeypatch.setattr(replacing, "PIECE", 64_000)
    monkeypatch.setattr(web, "PieceWriter", Recorded)
    site.add("/m.gguf", BODY, cuts=[150_000])
    assert get(site).read_bytes() == BODY
    whole = range(0, len(BODY) + 1, 64_000)
    assert sorted({*ends}) == sorted({*whole, 150_000})  # what came is kept, then back in step


def test_a_killed_process_leaves_nothing_whole(site, remains, child):
    gate = site.add("/m.gguf", BODY, gate=threading.Event()).gate
    process = child(f"{site.url}/m.gguf")
    wait_for(lambda: any(name.endswith(".part") for name in remains()))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    gate.set()
    assert cached() == []
    assert not any(name.endswith(".gguf") for name in remains())
    assert get(site).read_bytes() == BODY


def test_a_part_that_was_complete_needs_no_network(site, cache):
    site.add("/m.gguf", BODY)
    path = get(site)
    part = path.with_name("m.gguf.part")
    path.rename(part)
    notes = f'{{"url": "{site.url}/m.gguf", "validator": "x", "total": {len(BODY)}}}'
    path.with_name("m.gguf.part.json").write_text(notes)
    shutil.rmtree(cache / "records")
    assert get(site).read_bytes() == BODY and len(site.log) == 1


def test_checksums(site, remains):
    site.add("/m.gguf", BODY)
    with pytest.raises(HubError, match=f"sha256 of m.gguf .*expected {'0' * 64}, got {SHA}"):
        get(site, fragment="#sha256=" + "0" * 64)
    assert remains() == [] and cached() == []
    path = get(site, fragment=f"#sha256={SHA}")
    assert get(site) == path and len(site.log) == 2
    # The reference now asks for another content: the cached copy does not answer it.
    site.add("/m.gguf", b"new")
    new = hashlib.sha256(b"new").hexdigest()
    assert get(site, fragment=f"#sha256={new}").read_bytes() == b"new"


def test_damage_in_the_cache(site, remains):
    site.add("/m.gguf", BODY)
    path = get(site)
    path.write_bytes(BODY[:-1])
    assert cached() == []
    assert get(site).read_bytes() == BODY, "a shorter file is fetched again"
    path.write_bytes(b"y" + BODY[1:])
    assert get(site) == path
    with pytest.raises(HubError, match=f"sha256 of .*m.gguf .removed.: expected {SHA}, got "):
        get(site, verify=True)
    assert remains() == []
    assert get(site, verify=True).read_bytes() == BODY


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"files": []}', "\0", '{"ref": 1}'])
def test_a_broken_record_is_a_miss(site, cache, damage):
    site.add("/m.gguf", BODY)
    get(site)
    (record,) = (cache / "records").iterdir()
    record.write_text(damage)
    assert cached() == []
    assert get(site).read_bytes() == BODY and len(site.log) == 2


@pytest.mark.parametrize(
    ("status", "text"), [(404, "404"), (401, "login"), (403, "403"), (410, "410")]
)
def test_refusals_are_not_retried(site, remains, status, text):
    site.add("/m.gguf", b"no", status=status)
    with pytest.raises(HubError, match=f"/m.gguf: download: expected status 200, got .*{text}"):
        get(site)
    assert len(site.log) == 1 and remains() == []


def test_a_busy_server_is_asked_again(site):
    site.add("/m.gguf", BODY, statuses=[503, 429, 500], headers={"Retry-After": "0"})
    assert get(site).read_bytes() == BODY
    site.add("/n.gguf", BODY, status=503)
    with pytest.raises(HubError, match=r"got 503 .*\(4 tries\)"):
        get(site, "/n.gguf")


def test_server_down_dns_failure_and_stall(site, closed_port, monkeypatch):
    with pytest.raises(HubError, match=r"expected an answer, got .*refused \(4 tries\)"):
        resolve(f"{closed_port}/m.gguf", progress=Silent())
    monkeypatch.setenv("TALLOW_HTTP_TIMEOUT", "0.2")
    stalled = site.add("/slow.gguf", BODY, gate=threading.Event())
    with pytest.raises(HubError, match=r"expected .*, got .*timed out \(4 tries\)"):
        get(site, "/slow.gguf")
    stalled.gate.set()
    monkeypatch.setenv("TALLOW_HTTP_TIMEOUT", "soon")
    with pytest.raises(HubError, match="TALLOW_HTTP_TIMEOUT: expected a number of seconds"):
        get(site, "/slow.gguf")
    monkeypatch.delenv("TALLOW_HTTP_TIMEOUT")

    def no_dns(*args, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_dns)
    with pytest.raises(HubError, match="nowhere.invalid.*Name or service not known"):
        resolve("https://nowhere.invalid/m.gguf", progress=Silent())


def test_a_slow_server_is_waited_for(site, monkeypatch, recorder):
    """The limit is one of silence: hours by the clock are no reason while something comes."""
    reply, hours = site.add("/m.gguf", BODY, gate=threading.Event()), []

    class Slow(recorder):
        def advance(self, n):
            super().advance(n)
            hours.append(n)
            if self.done >= len(BODY) // 2:
                reply.gate.set()  # the rest is sent only when the first half is here

    for clock in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, clock, lambda: 3600.0 * len(hours))
    monkeypatch.setenv("TALLOW_HTTP_TIMEOUT", "300")  # a machine may sleep as long as it likes
    assert get(site, progress=Slow()).read_bytes() == BODY and len(site.log) == 1
    assert len(hours) > 1


def test_a_body_of_unstated_length(site):
    site.add("/m.gguf", BODY, length=False)
    with pytest.raises(HubError, match="expected a Content-Length, or #sha256"):
        get(site)
    assert get(site, fragment=f"#sha256={SHA}").read_bytes() == BODY


def test_redirects(site):
    site.add("/m.gguf", BODY)
    site.add("/moved", status=302, headers={"Location": "/m.gguf"})
    site.add("/loop", status=302, headers={"Location": "/loop"})
    for i in range(9):
        site.add(f"/far{i}", status=307, headers={"Location": f"/far{i + 1}"})
    site.add("/file", status=302, headers={"Location": "file:///etc/passwd"})
    site.add("/out", status=302, headers={"Location": "http://example.org/x"})
    assert get(site, "/moved").read_bytes() == BODY
    for path, text in [
        ("/loop", "302"),
        ("/far0", "307"),
        ("/file", "not allowed"),
        ("/out", "https"),
    ]:
        with pytest.raises(HubError, match=text):
            get(site, path)
    assert len(site.gets("/far0")) == 1


def test_password_goes_to_its_host_only_and_is_never_shown(site, cache, request):
    other = type(site)()
    request.addfinalizer(other.close)
    other.add("/m.gguf", BODY)
    site.add("/m.gguf", BODY, authorization="Basic bWU6c2VjcmV0")
    site.add("/near", status=302, headers={"Location": "/m.gguf"})
    site.add("/away", status=302, headers={"Location": f"{other.url}/m.gguf"})
    base = site.url.replace("//", "//me:secret@")
    for path in ("/m.gguf", "/near", "/away"):
        assert resolve(base + path, progress=Silent()).read_bytes() == BODY
    assert "Authorization" not in other.log[0][2]
    with pytest.raises(HubError) as caught:
        resolve(base + "/none", progress=Silent())
    written = b"".join(p.read_bytes() for p in cache.rglob("*.json"))
    assert "secret" not in str(caught.value) and b"secret" not in written
    assert resolve(f"{site.url}/m.gguf") and len(cached()) == 3


def test_no_room(site, monkeypatch, remains):
    site.add("/m.gguf", BODY)
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1000))
        with pytest.raises(HubError, match="free space in .*: expected 512.0 kB, got 1.0 kB"):
            get(site)
    real, room = os.write, [300_000]

    def full(handle, data):
        if len(data) > 1000:
            room[0] -= len(data)
            if room[0] < 0:
                raise OSError(28, "No space left on device")
        return real(handle, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(HubError, match="expected free space.*No space left.*TALLOW_CACHE") as e:
            get(site)
    assert e.value.errno == 28
    assert [Path(name).suffix for name in remains()] == [".part", ".json"]
    assert get(site).read_bytes() == BODY


def test_read_only_cache(site, cache, monkeypatch):
    site.add("/m.gguf", BODY)
    path = get(site)

    def refuse(*args, **options):
        raise OSError(30, "Read-only file system", str(cache))

    real = os.open
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(
        os, "open", lambda p, f, *r, **k: refuse() if f & writing else real(p, f, *r, **k)
    )
    assert get(site, verify=True) == path, "a hit writes nothing"
    with pytest.raises(
        HubError, match="expected a cache folder to write to.*Read-only.*TALLOW_CACHE"
    ):
        get(site, "/other.gguf")


def test_cache_folder_that_is_a_file(site, cache):
    cache.write_text("x")
    with pytest.raises(HubError, match="cache"):
        get(site)


def test_offline(site, monkeypatch):
    site.add("/m.gguf", BODY)
    with pytest.raises(HubError, match="got nothing, and offline mode"):
        get(site, offline=True)
    path = get(site)
    for variable in ("TALLOW_OFFLINE", "HF_HUB_OFFLINE"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, "1")
            assert get(site) == path
            with pytest.raises(HubError, match="offline mode"):
                get(site, "/n.gguf")
            with pytest.raises(HubError, match="404"):
                get(site, "/n.gguf", offline=False)


def wait_for(condition, seconds=300.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_processes_download_once(site, remains, child):
    gate = site.add("/m.gguf", BODY, gate=threading.Event()).gate
    first = child(f"{site.url}/m.gguf")
    wait_for(lambda: site.log)
    second = child(f"{site.url}/m.gguf")
    told = second.stderr.readline()  # that it waits, and only then may the first one end
    gate.set()
    (out1, _), (out2, err2) = first.communicate(timeout=300), second.communicate(timeout=300)
    err2 = told + err2
    assert first.returncode == second.returncode == 0
    assert out1 == out2 and Path(out1.strip()).read_bytes() == BODY
    assert len(site.log) == 1 and len(remains()) == 1
    assert "waiting for another process" in err2


@pytest.fixture
def secure(site, tmp_path):
    """The same server behind TLS, with a certificate that only `certificate` vouches for."""
    if not shutil.which("openssl"):
        pytest.skip("needs the openssl program")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    site.server.socket = context.wrap_socket(site.server.socket, server_side=True)
    site.url = site.url.replace("http:", "https:")
    return certificate


def test_certificates(site, secure, monkeypatch):
    site.add("/m.gguf", BODY)
    site.add(
        "/down", status=302, headers={"Location": site.url.replace("https", "http") + "/m.gguf"}
    )
    with pytest.raises(HubError, match="expected a trusted certificate.*SSL_CERT_FILE"):
        get(site)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secure))
    assert get(site).read_bytes() == BODY
    with pytest.raises(HubError, match="redirect from .*expected https"):
        get(site, "/down")


def test_progress_of_each_attempt_bounds_retries(site, monkeypatch):
    """A server that always sends a little and hangs up does not keep us for ever."""
    monkeypatch.setattr(web, "STEADY", 1000)
    site.add("/m.gguf", BODY, cuts=[1000] * 6 + [10] * 50, etag=None)
    with pytest.raises(HubError, match="4 tries"):
        get(site)
    assert len(site.log) < 10
