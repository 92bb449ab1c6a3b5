"""Killing a process that saves, at any moment, leaves the old file or the new one, never half.

A child process writes; it is killed by SIGKILL at injected points and at random moments, and by the
system in the middle of a write (SIGXFSZ, at the first byte beyond a limit on the file's size).
"""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

# Format → how a child saves `tensors` to `path`. Every writer of Tallow belongs here.
WRITERS = {
    "safetensors": "from tallow.formats.safetensors import save_safetensors as save",
    "gguf": "from tallow.formats.gguf import save_gguf as save",
    "npz": "from tallow.formats.npy import save_npz as save",
    "torch": "from tallow.formats.torch_pickle import save_torch as save",
}

CHILD = """
import os, resource, signal, sys, time
path, point, version, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
import tallow as tl
{writer}
tensors = {{f"w{{i}}": tl.full((size, 64), version + i, dtype="f32") for i in range(4)}}
folder, renamed = os.path.dirname(path), False

def die():
    global point
    point = "reached"
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)

def hook(event, args):
    global renamed
    if event == "open" and isinstance(args[0], str) and os.path.dirname(args[0]) == folder:
        if point == "before-write":
            die()
    if event == "os.rename" and point == "before-rename":
        die()
    if renamed and point == "after-rename" and event.startswith(("open", "os.")):
        die()
    renamed = renamed or event == "os.rename"

sys.addaudithook(hook)
if point.startswith(("byte-", "full-")):
    limit = int(point[5:])
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if point[0] == "b" else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
print("ready", flush=True)
for _ in range(10**9 if point == "random" else 1):
    save(tensors, path)
print("done", flush=True)
"""


def start(writer, path, point, version, size):
    code = CHILD.format(writer=WRITERS[writer])
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path), point, str(version), str(size)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def run(writer, path, point, version, size=4):
    """The exit status of a child that saves `version` and is to die at `point`."""
    child = start(writer, path, point, version, size)
    out, err = child.communicate(timeout=60)
    assert out.startswith(b"ready"), err
    return child.returncode, err.decode()


def save(writer, path, version, size=4):
    code, error = run(writer, path, "none", version, size)
    assert code == 0, error
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path, request):
    (tmp_path / "f").mkdir()
    return tmp_path / "f"


every_writer = pytest.mark.parametrize("writer", WRITERS)
LIMITS = [100, 4000]  # bytes; the files are a little longer than 4096
POINTS = {"before-write": "old", "before-rename": "old", "after-rename": "new"}
POINTS |= {f"byte-{limit}": "old" for limit in LIMITS}


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
@every_writer
def test_killed_at_a_point(writer, point, folder):
    path = folder / "weights"
    contents = {"new": save(writer, path, 2), "old": save(writer, path, 1)}
    assert contents["new"] != contents["old"]
    assert len(contents["new"]) > max(LIMITS)
    code, error = run(writer, path, point, 2)
    assert code == -(signal.SIGXFSZ if point.startswith("byte") else signal.SIGKILL), error
    assert path.read_bytes() == contents[POINTS[point]]
    # What the dead process left behind is in nobody's way.
    assert save(writer, path, 3) == path.read_bytes()
    assert path.read_bytes() not in contents.values()


@pytest.mark.slow
@pytest.mark.parametrize("point", ["byte-4000", "before-rename", "after-rename"])
@every_writer
def test_killed_when_there_was_no_file(writer, point, folder):
    path = folder / "weights"
    run(writer, path, point, 2)
    if POINTS[point] == "old":
        assert not path.exists()
    left = [entry for entry in folder.iterdir() if entry != path]
    assert len(left) <= 1, "at most the one temporary file"
    assert save(writer, path, 2) == path.read_bytes()


@pytest.mark.slow
@every_writer
def test_killed_at_random_moments(writer, folder):
    """A child that saves the same 1 MB over and over is killed while it does."""
    rng = random.Random(7)
    path = folder / "weights"
    contents = [save(writer, path, version, 1000) for version in (1, 2)]
    outcomes, longest = set(), 0.02
    for round_ in range(60):
        before = path.read_bytes()
        version = 1 - contents.index(before)
        child = start(writer, path, "random", version + 1, 1000)
        try:
            assert child.stdout.readline() == b"ready\n", child.stderr.read()
            time.sleep(rng.uniform(0, longest))
        finally:
            child.kill()
            child.communicate()
        assert path.read_bytes() in contents
        outcomes.add("new" if path.read_bytes() == contents[version] else "old")
        if round_ >= 6 and outcomes == {"new", "old"}:
            return
        if outcomes == {"old"}:  # saving takes longer on this machine
            longest *= 1.5
        elif outcomes == {"new"}:
            longest /= 1.5
    pytest.fail(f"all children died on the same side of the rename: {outcomes}")


@every_writer
def test_a_full_disk(writer, folder):
    """The limit on a file's size, with its signal ignored, is what a full disk looks like."""
    path = folder / "weights"
    old = save(writer, path, 1)
    code, error = run(writer, path, "full-3000", 2)
    assert code == 1
    assert error.splitlines()[-1].startswith(f"tallow.errors.FormatError: {path}: file: expected")
    assert path.read_bytes() == old
    assert os.listdir(folder) == ["weights"]


MEASURE = """
import resource, sys
import tallow as tl
{writer}
tensors = {{f"w{{i}}": tl.full((1 << 22, 2), 1.0, dtype="f32") for i in range(3)}}
tensors["view"] = tl.full((64, 1 << 18), 2.0, dtype="f32").T
save(dict(list(tensors.items())[:1]), sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
save(tensors, sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss in KiB")
@every_writer
def test_saving_copies_no_tensor(writer, folder):
    """Tensors of 32 MiB and a transposed one of 64 MiB take no more than pieces of the last."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(writer=WRITERS[writer]), folder / "weights"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 40 << 10, "KiB"
