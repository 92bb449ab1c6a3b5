"""Limits of the table app, cancelling, clients that leave, processes that die, and a full disk."""

import os
import socket
import struct
import threading
import time
import zlib

import pytest

from pdf_made import pdf, text
from serve_client import BOUNDARY, eventually, multipart, picture, served
from tallow.serve.table import uploads
from tallow.serve.table.folders import PrivateFolder

PNG = picture()


@pytest.fixture
def strict(tmp_path):
    """A server of small limits."""
    limits = {"upload_bytes": 100_000, "files": 3, "pages": 2, "pixels": 200_000, "waiting": 2}
    with served(tmp_path, seconds=20.0, **limits) as client:
        yield client


def raw(client, head, *chunks, end=True):
    """A request sent byte by byte; `end` False leaves before the answer."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        try:
            for chunk in chunks:
                connection.sendall(chunk)
        except ConnectionError:  # refused while it was being sent
            pass
        if not end:
            return b""
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionError:
            pass
        return answer


POST = f"""POST /api/jobs HTTP/1.1
Host: localhost
Connection: close
Content-Type: multipart/form-data; boundary={BOUNDARY}"""


def test_uploads_are_limited(strict):
    answer = strict.upload(("a.png", PNG + bytes(100_000)))
    assert answer.status == 413
    assert answer.json["error"] == "The files are too large: at most 100 kB in one upload."
    answer = strict.upload(*[("a.png", PNG)] * 4)
    assert (answer.status, "at most 3" in answer.json["error"]) == (413, True)
    assert len(strict.left_over()) == 1
    told = raw(strict, f"{POST}\nContent-Length: 99999999999")
    assert told.startswith(b"HTTP/1.1 413")  # before anything was sent
    assert len(strict.left_over()) == 1


def test_uploads_of_unknown_length_are_limited(strict):
    body, _ = multipart([("a.png", PNG)])
    chunk = b"%x\r\n" % 50_000 + body[:200] + bytes(49_800) + b"\r\n"
    told = raw(strict, f"{POST}\nTransfer-Encoding: chunked", *[chunk] * 20)
    assert not told or told.startswith(b"HTTP/1.1 413")
    eventually(lambda: len(strict.left_over()) == 1)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (f"multipart/form-data; boundary={BOUNDARY}", b""),
        (f"multipart/form-data; boundary={BOUNDARY}", b"nothing of the kind"),
        (f"multipart/form-data; boundary={BOUNDARY}", multipart([])[0]),
        (f"multipart/form-data; boundary={BOUNDARY}", multipart([("a.png", PNG)])[0][:-30]),
        (f"multipart/form-data; boundary={BOUNDARY}", multipart([], {"raw": True})[0]),
        (f"multipart/form-data; boundary={BOUNDARY}",
         f"--{BOUNDARY}\r\n".encode() + b"A" * 50_000 + b": x\r\n\r\n"),
        (f"multipart/form-data; boundary={BOUNDARY}",
         f"--{BOUNDARY}\r\n".encode() + b"A: x\r\n" * 5000 + b"\r\n"),
        ("multipart/form-data", multipart([("a.png", PNG)])[0]),
        ("application/json", b"{}"),
        ("", b""),
    ],
)  # fmt: skip
def test_malformed_uploads(strict, kind, body):
    answer = strict.ask("POST", "/api/jobs", body, Content_Type=kind)
    assert answer.status in (400, 413, 415), answer.body
    assert answer.json["error"].endswith(".")
    assert len(strict.left_over()) == 1


def test_pages_and_pixels_are_limited(strict):
    files = [("t.tif", picture("TIFF", size=(60, 60), frames=3)),
             ("big.png", picture(size=(700, 300))), ("a.png", PNG)]  # fmt: skip
    job = strict.finished(*files)
    many, big, good = job["files"]
    assert many["error"] == ("t.tif: expected at most 2 pages, got 3; choose which pages to read")
    assert big["state"] == "error" and "at most 200000 pixels" in big["error"]
    assert (good["state"], len(good["tables"])) == ("done", 1)


def bomb(side):
    """A PNG of so many black pixels in each direction, in a few kB."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    packer = zlib.compressobj(9)
    rows = bytes(1 + (side + 7) // 8) * 100
    packed = b"".join(packer.compress(rows) for _ in range(side // 100)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed)
            + chunk(b"IEND", b""))  # fmt: skip


def test_hostile_files_are_told_of_one_by_one(shared):
    page = text(100, 700, "word")
    hostile = {
        "empty.png": (b"", "got no bytes"),
        "cut.pdf": (pdf(page)[:200], "got a damaged one"),
        "cut.png": (PNG[:-600], "image file is truncated"),
        "pages.pdf": (pdf(*[page] * 1000), "expected at most 100 pages, got 1000"),
        "bomb.png": (bomb(30_000), "expected at most 100000000 pixels"),
        "html.png": (b"<html><table><td>1</table>", "got another"),
        "exe.jpg": (b"MZ" + bytes(1000), "got another"),
    }
    one = picture(size=(41, 41), texts=[["x"]])
    fine = {"really.pdf": PNG, "really.png": pdf(page), "one.png": one,
            "huge.pdf": pdf(page, size=(1_000_000, 1_000_000))}  # fmt: skip
    files = [(name, data) for name, (data, _) in hostile.items()]
    job = shared.finished(*files, *fine.items())
    found = {file["name"]: file for file in job["files"]}
    for name, (_, said) in hostile.items():
        assert found[name]["state"] == "error", name
        assert said in found[name]["error"], found[name]["error"]
    for name in fine:
        assert (found[name]["state"], len(found[name]["tables"])) == ("done", 1), name


def test_what_waits_is_limited(strict):
    first = strict.upload(("forever.png", PNG)).json["id"]
    eventually(lambda: strict.get(f"/api/jobs/{first}").json["state"] == "running")
    others = [strict.upload(("a.png", PNG)).json for _ in range(2)]
    assert [job["position"] for job in others] == [1, 2]
    refused = strict.upload(("a.png", PNG))
    assert (refused.status, refused.headers["retry-after"]) == (429, "10")
    assert "waiting" in refused.json["error"]
    assert strict.ask("DELETE", f"/api/jobs/{first}").status == 200
    for job in others:
        assert strict.events(job["id"])[-1]["state"] == "done"
    assert strict.get(f"/api/jobs/{first}").status == 404


def test_many_at_once(tmp_path):
    with served(tmp_path, running=2, waiting=40) as client:
        found = []

        def one(number):
            job = client.finished((f"{number}.png", PNG))
            found.append((job["state"], job["files"][0]["name"], len(job["files"][0]["tables"])))

        threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == sorted(("done", f"{k}.png", 1) for k in range(12))


def running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children():
    """The processes of jobs that this one started."""
    with open(f"/proc/self/task/{threading.main_thread().native_id}/children") as file:
        own = file.read().split()
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/children") as file:
            own += file.read().split()
    return {int(pid) for pid in own if running(pid)}


def test_a_cancelled_job_leaves_nothing(strict):
    before = children()
    id = strict.upload(("forever.png", PNG)).json["id"]
    eventually(lambda: any(path.name == "started" for path in strict.left_over()))
    assert len(children() - before) == 1
    ends = []
    listener = threading.Thread(target=lambda: ends.extend(strict.events(id)))
    listener.start()
    time.sleep(0.1)
    assert strict.ask("DELETE", f"/api/jobs/{id}").status == 200
    listener.join(10)
    assert [event["state"] for event in ends if event["kind"] == "state"][-1] == "cancelled"
    assert len(strict.left_over()) == 1
    assert not children() - before


def test_a_job_that_takes_too_long_is_ended(tmp_path):
    before = children()
    with served(tmp_path, seconds=4) as client:
        job = client.finished(("forever.png", PNG))
        assert job["state"] == "failed"
        assert job["error"] == "Reading took more than 4 seconds and was ended."
        assert not children() - before
        assert client.finished(("a.png", PNG))["state"] == "done"


def test_a_process_that_dies_takes_nothing_with_it(tmp_path, capfd):
    with served(tmp_path, memory_bytes=600_000_000) as client:
        job = client.finished(("crash.png", PNG))
        assert (job["state"], "SIGABRT" in job["error"]) == ("failed", True)
        [file] = client.finished(("hungry.png", PNG))["files"]
        assert file["error"] == "This takes more memory than there is."
        [file] = client.finished(("talk.png", PNG))["files"]
        assert file["state"] == "done"
    capfd.readouterr()


def test_a_client_that_leaves_cancels_its_job(tmp_path):
    with served(tmp_path, unattended_seconds=0.4) as client:
        id = client.upload(("forever.png", PNG)).json["id"]
        connection = client.connection()
        connection.request("GET", f"/api/jobs/{id}/events")
        connection.getresponse().read(20)
        time.sleep(1.0)  # who listens has not left
        assert len(client.left_over()) > 1
        connection.close()
        eventually(lambda: len(client.left_over()) == 1)
        assert client.get(f"/api/jobs/{id}").status == 404


def test_results_expire(tmp_path):
    with served(tmp_path, kept_seconds=0.6) as client:
        id = client.finished(("a.png", PNG))["id"]
        for _ in range(4):
            time.sleep(0.3)
            assert client.ask("POST", f"/api/jobs/{id}/keep").status == 200
        eventually(lambda: len(client.left_over()) == 1)
        answer = client.get(f"/api/jobs/{id}")
        assert answer.json["error"] == "There is no such job: it was cancelled, or has expired."


def test_what_is_kept_is_limited(tmp_path):
    with served(tmp_path, kept=2) as client:
        first, second = (client.finished(("a.png", PNG))["id"] for _ in range(2))
        refused = client.upload(("a.png", PNG))
        assert (refused.status, refused.headers["retry-after"]) == (503, "60")
        client.jobs.jobs[first].touched -= 1000  # nobody asks for it any more
        assert client.upload(("a.png", PNG)).status == 201
        assert client.get(f"/api/jobs/{first}").status == 404
        assert client.get(f"/api/jobs/{second}").status == 200


def test_a_client_that_leaves_while_it_uploads(strict):
    body, _ = multipart([("a.png", PNG)])
    raw(strict, f"{POST}\nContent-Length: {len(body)}", body[:500], end=False)
    eventually(lambda: len(strict.left_over()) == 1)
    assert strict.finished(("a.png", PNG))["state"] == "done"


def test_slow_uploads_are_ended(tmp_path):
    with served(tmp_path, upload_seconds=0.5) as client:
        told = raw(client, f"{POST}\nContent-Length: 1000", b"--")
        assert told.startswith(b"HTTP/1.1 408")
        assert len(client.left_over()) == 1


def test_a_disk_that_is_full_during_an_upload(strict, monkeypatch):
    monkeypatch.setattr(uploads, "_private", lambda path, flags: os.open("/dev/full", os.O_WRONLY))
    answer = strict.upload(("a.png", PNG))
    assert answer.status == 507
    assert answer.json["error"] == "The server's disk is full: nothing of this upload was kept."
    assert len(strict.left_over()) == 1
    monkeypatch.undo()
    assert strict.finished(("a.png", PNG))["state"] == "done"


def test_a_disk_that_is_full_during_a_job(strict):
    files = strict.finished(("full disk.png", PNG), ("a.png", PNG))["files"]
    assert files[0]["error"] == "A file could not be read or written: No space left on device."
    assert files[1]["state"] == "done"


def test_the_folder_is_private_and_what_was_left_is_swept(tmp_path):
    left = tmp_path / "tallow-serve-left"
    left.mkdir()
    (left / "lock").touch()
    (left / "secret.png").touch()
    other = tmp_path / "tallow-serve-other"  # no lock: not one of ours
    other.mkdir()
    running = PrivateFolder(tmp_path)
    folder = PrivateFolder(tmp_path)
    assert not left.exists() and other.exists() and running.path.exists()
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.folder("job").stat().st_mode & 0o777 == 0o700
    folder.close()
    running.close()
    other.rmdir()


def test_files_on_the_disk_are_private(strict):
    strict.finished(("a.png", PNG))
    for path in strict.folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.name == "lock", path


def test_a_disk_that_is_full_during_a_download(tmp_path, monkeypatch):
    from tallow.serve.table import work

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(work.Path, "write_bytes", full)
    told = []
    table = {"rows": 1, "columns": 1, "cells": [], "box": None, "page": 1, "pages": [1],
             "title": "", "source": "", "confidence": 1, "header_rows": 0,
             "column_types": []}  # fmt: skip
    work.Writing([table], "a", "md", True, tmp_path / "x").do(told.append)
    assert told[0]["full"] is True and "No space left" in told[0]["error"]
