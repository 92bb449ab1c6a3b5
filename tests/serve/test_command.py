"""`tallow serve` as a program: its address, warning, end, what it leaves behind; a real table."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from serve_client import Client, eventually, picture, served
from tallow.serve.table.app import read_tables

TALLOW = [sys.executable, "-c", "import sys; from tallow.cli import main; sys.exit(main())"]


@contextmanager
def program(tmp_path, *options):
    """The running command, and a client of it."""
    process = subprocess.Popen(
        [*TALLOW, "serve", "--port", "0", *options],
        env=os.environ | {"TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = []
    try:
        while not (said and said[-1].startswith("table: ")):
            said.append(process.stderr.readline())
            assert said[-1], said
        port = int(re.search(r":(\d+)/", said[-1])[1])
        client = Client(port, tmp_path, None)
        eventually(lambda: client.get("/api/limits").status == 200)
        yield process, client, "".join(said)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_and_ends(tmp_path, ending):
    with program(tmp_path, "--max-upload", "5MB", "--max-pages", "3") as (process, client, said):
        assert "127.0.0.1" in said and "note:" not in said
        limits = client.get("/api/limits").json
        assert (limits["upload_bytes"], limits["pages"]) == (5_000_000, 3)
        assert b"tables to spreadsheets" in client.get("/").body
        assert client.upload(("a.png", picture())).status == 201
        assert len(client.left_over()) > 1
        process.send_signal(ending)
        assert process.wait(20) in (0, -ending, 130)
        assert not client.left_over()


def test_it_warns_beyond_loopback(tmp_path):
    with program(tmp_path, "--host", "0.0.0.0", "--allow-host", "tables.example") as started:
        _, client, said = started
        assert "note: everybody who reaches 0.0.0.0 can use this server" in said
        assert client.get("/", Host="tables.example").status == 200
        assert client.get("/", Host="other.example").status == 421


def test_what_a_killed_server_leaves_is_swept(tmp_path):
    with program(tmp_path) as (process, client, _):
        client.upload(("a.png", picture()))
        process.kill()
        process.wait()
        [left] = [path for path in client.left_over() if len(path.parts) == 1]
    with program(tmp_path) as (_, client, _):
        assert [path for path in client.left_over() if len(path.parts) == 1] != [left]
        assert not (tmp_path / left).exists()


def test_a_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*TALLOW, "serve", "--port", port],
            env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: tallow serve: expected a free address of this machine")


@pytest.mark.needs_network
def test_a_real_table(tmp_path):
    texts = [["Fruit", "Weight"], ["Apple", "120"], ["Pear", "95"], ["Plum", "40"]]
    with served(tmp_path, read_tables) as client:
        job = client.finished(("fruit.png", picture(texts=texts)), options={"models": "fast"})
        [table] = job["files"][0]["tables"]
        found = [cell["text"] for cell in table["cells"]]
        assert found == [text for row in texts for text in row]
        assert [cell["value"] for cell in table["cells"]][3::2] == [120, 95, 40]
        written = client.get(f"/api/jobs/{job['id']}/download.csv").body.decode("utf-8-sig")
        assert written.split() == ["Fruit,Weight", "Apple,120", "Pear,95", "Plum,40"]
