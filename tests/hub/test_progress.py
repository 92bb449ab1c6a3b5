"""What a user sees of a download, and where the cache is."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import pytest

from tallow.errors import ArgumentError, HubError
from tallow.hub import default_progress, remove, resolve
from tallow.hub.cache import cache_root
from tallow.hub.progress import Bar, LineProgress, Silent, polled, size_text


def test_lines_come_about_every_tenth():
    stream = io.StringIO()
    lines = LineProgress(stream)
    lines.start("downloading m", 1_000_000)
    for _ in range(1000):
        lines.advance(1000)
    lines.finish()
    shown = stream.getvalue().splitlines()
    assert shown[0] == "downloading m: 1.0 MB"
    assert shown[1] == "downloading m: 100.0 kB of 1.0 MB (10%)"
    assert shown[-1] == "downloading m: 1.0 MB of 1.0 MB (100%)" and len(shown) == 11


@pytest.mark.parametrize("total", [None, 0, 1, 7])
def test_lines_of_odd_sizes(total):
    stream = io.StringIO()
    lines = LineProgress(stream)
    lines.start("x", total)
    lines.advance(100_000_000 if total is None else total)
    assert stream.getvalue()


def test_a_terminal_gets_a_bar(monkeypatch):
    pytest.importorskip("rich")

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    bar = default_progress()
    assert isinstance(bar, Bar)
    bar.start("waiting", None)
    bar.start("downloading [m]", 1000)
    bar.advance(1000)
    bar.finish()
    bar.finish()
    assert "downloading [m]" in sys.stderr.getvalue()
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    assert isinstance(default_progress(), LineProgress)
    monkeypatch.setattr(sys, "stderr", None)
    assert isinstance(default_progress(), Silent)


def test_no_terminal_gets_lines(site, capfd):
    site.add("/m.gguf", b"x" * 10_000)
    resolve(f"{site.url}/m.gguf")
    out, err = capfd.readouterr()
    assert out == "" and err.splitlines()[0] == "downloading m.gguf: 10.0 kB"


def test_polled_work_reaches_its_end(recorder):
    progress, done = recorder(), 0

    def measure():
        return done

    with polled(progress, measure):
        done = 5
        end = time.monotonic() + 300
        while progress.done != 5 and time.monotonic() < end:
            time.sleep(0.01)
        assert progress.done == 5
        done = 3  # never goes back
        done = 9
    assert progress.done == 9


def test_sizes():
    texts = [size_text(n) for n in (None, 0, 999, 1000, 98_362_432, 999_999, 5 * 10**12, 10**16)]
    assert texts == [
        *("unknown size", "0 bytes", "999 bytes", "1.0 kB", "98.4 MB", "1.0 MB"),
        *("5.0 TB", "10000.0 TB"),
    ]


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    assert cache_root() == tmp_path / "cache"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TALLOW_CACHE", "~/mine")
    assert cache_root() == tmp_path / "mine"
    monkeypatch.delenv("TALLOW_CACHE")
    assert cache_root() == tmp_path / ".cache" / "tallow"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_root() == tmp_path / ".cache" / "tallow"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "tallow"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(HubError, match="set TALLOW_CACHE"):
        cache_root()


def test_removing_a_path_is_refused(tmp_path):
    for path in (tmp_path, str(tmp_path), Path("."), "./x"):
        with pytest.raises(ArgumentError, match="remove: expected a remote reference"):
            remove(path)
    assert tmp_path.exists()
