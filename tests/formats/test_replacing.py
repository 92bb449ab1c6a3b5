"""Every writer follows links, writes through pipes and devices, keeps modes, cleans up."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

import tallow as tl
from cli.conftest import GOLDEN, PROGRAM, run  # noqa: F401  the fixture
from tallow.errors import FormatError
from tallow.formats.gguf import save_gguf
from tallow.formats.npy import save_npy, save_npz
from tallow.formats.safetensors import save_safetensors
from tallow.formats.torch_pickle import save_torch
from tallow.formats.writing import replace_file
from tallow.hub.cache import write_json

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, pipes, modes")

TENSORS = {"w": tl.ones(4, 8), "b": tl.ones(3)}
WRITERS = {
    "safetensors": lambda path: save_safetensors(TENSORS, path),
    "gguf": lambda path: save_gguf(TENSORS, path),
    "npz": lambda path: save_npz(TENSORS, path),
    "npy": lambda path: save_npy(TENSORS["w"], path),
    "torch": lambda path: save_torch(TENSORS, path),
    "bytes": lambda path: replace_file(path, [b"abc"]),
    "json": lambda path: write_json(path, {"a": 1}),
}
every_writer = pytest.mark.parametrize("writer", WRITERS)


def content(writer, folder) -> bytes:
    path = folder / "plain"
    WRITERS[writer](path)
    raw = path.read_bytes()
    path.unlink()
    return raw


@every_writer
def test_a_link_is_followed(writer, tmp_path):
    wanted = content(writer, tmp_path)
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "target", tmp_path / "link"
    link.symlink_to("there/target")
    for _ in range(2):  # a link to nothing, a link to a file
        WRITERS[writer](link)
        assert link.is_symlink() and not target.is_symlink()
        assert target.read_bytes() == wanted
        target.write_bytes(b"old")
    assert os.listdir(tmp_path / "there") == ["target"]


@every_writer
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_the_mode_is_kept(writer, tmp_path, mode):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    WRITERS[writer](path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() != b"old"


def test_a_new_file_has_the_usual_mode(tmp_path):
    before = os.umask(0o027)
    try:
        replace_file(tmp_path / "new", [b"x"])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
@every_writer
def test_the_owner_is_kept(writer, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, 1234, 4321)
    WRITERS[writer](path)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)


@every_writer
def test_a_pipe_is_written_through(writer, tmp_path):
    wanted, pipe = content(writer, tmp_path), tmp_path / "pipe"
    os.mkfifo(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    WRITERS[writer](pipe)
    reader.join(30)
    assert found == [wanted] and stat.S_ISFIFO(pipe.lstat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


@every_writer
def test_a_device_is_never_replaced(writer, tmp_path):
    """A terminal stands for all of them; `/dev/null` itself is not put at risk by a test."""
    main, other = os.openpty()
    name = os.ttyname(other)
    link = tmp_path / "link"
    link.symlink_to(name)
    drain = threading.Thread(target=lambda: [None for _ in iter(lambda: read(main), b"")])
    drain.start()
    try:
        for path in (name, link):
            WRITERS[writer](path)
            assert stat.S_ISCHR(os.stat(name).st_mode) and link.is_symlink()
    finally:
        os.close(other)
        drain.join(30)
        os.close(main)


def read(descriptor) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_a_null_device_of_our_own(run, tmp_path):  # noqa: F811
    null = tmp_path / "null"
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        null.write_bytes(b"x")
    except OSError:
        pytest.skip("no devices on this file system")
    source = GOLDEN / "llama" / "llama.f16.gguf"
    code, out, err = run("convert", source, null, "--to", "gguf")
    assert (code, out) == (0, "") and "tensors" in err
    assert stat.S_ISCHR(null.lstat().st_mode) and os.listdir(tmp_path) == ["null"]


def test_folders_and_loops_are_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    for name in ("folder", "loop", "folder/none/x"):
        with pytest.raises(FormatError, match="a file that can be written"):
            replace_file(tmp_path / name, [b"x"])
    assert sorted(os.listdir(tmp_path)) == ["folder", "loop"]


def test_sets_keep_modes_and_links(tmp_path):
    paths = save_safetensors(TENSORS, tmp_path / "m.safetensors", max_shard_bytes=1)
    for path in paths:
        os.chmod(path, 0o600)
    save_safetensors(TENSORS, tmp_path / "m.safetensors", max_shard_bytes=1)
    assert {stat.S_IMODE(os.stat(path).st_mode) for path in paths} == {0o600}
    assert sorted(os.listdir(tmp_path)) == sorted(map(os.path.basename, paths))


@pytest.mark.parametrize("command", ["convert", "quantize"])
def test_a_dash_is_no_file(run, tmp_path, monkeypatch, command):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    more = ("--to", "gguf") if command == "convert" else ("--type", "f16")
    code, _, err = run(command, GOLDEN / "llama" / "llama.f16.gguf", "-", *more)
    assert code == 1 and "/dev/stdout" in err and err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_standard_output_through_its_name(tmp_path):
    source = GOLDEN / "llama" / "llama.f16.gguf"
    command = [*PROGRAM, "convert", str(source), "/dev/stdout", "--to", "gguf"]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (tmp_path / "a.gguf").write_bytes(done.stdout)
    assert tl.load(tmp_path / "a.gguf").keys() == tl.load(source).keys()


CHILD = """
import signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
from tallow.formats.writing import replace_file
from tallow.formats.file_set import replace_files
def chunks():
    yield b"x" * 100
    print("ready", flush=True)
    time.sleep(60)
path = sys.argv[1]
if sys.argv[2] == "one":
    replace_file(path, chunks())
else:
    replace_files([(path, [b"a"]), (path + "2", chunks())])
"""


@pytest.mark.parametrize("how", ["one", "set"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_leaves_nothing(tmp_path, name, how):
    number = getattr(signal, name)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "a"), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout.readline() == b"ready\n"
    assert os.listdir(tmp_path)
    child.send_signal(number)
    assert child.wait(timeout=60) == -number
    child.stdout.close()
    assert os.listdir(tmp_path) == []


def test_handlers_are_given_back(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    replace_file(tmp_path / "a", [b"x"])
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before
    thread = threading.Thread(target=replace_file, args=(tmp_path / "b", [b"x"]))
    thread.start()
    thread.join()
    assert (tmp_path / "b").read_bytes() == b"x"


def test_a_whole_command_ended_by_a_signal(tmp_path):
    source, folder = tmp_path / "large.safetensors", tmp_path / "out"
    folder.mkdir()
    save_safetensors({f"t{i}": tl.zeros(1 << 22) for i in range(16)}, source)
    command = [*PROGRAM, "convert", str(source), str(folder / "out.gguf"), "--dtype", "f16"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not os.listdir(folder) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.terminate()
    assert process.wait(timeout=60) == -signal.SIGTERM
    assert os.listdir(folder) == []
