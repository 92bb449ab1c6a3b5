"""The C example of the guide, and an image without anything but the program."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import tallow as tl
from runtime_build import ROOT, built
from tallow import nn
from tallow.programs import Entry, Size, Traced, save_program

# Programs are compiled without a sanitizer, whose library `make sanitize` loads ahead of python.
ALONE = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}


@pytest.fixture
def layer(tmp_path):
    made = nn.Linear(3, 2)
    with tl.no_grad():
        made.weight.copy_(tl.arange(6).reshape(2, 3))
        made.bias.copy_(tl.tensor([0.5, -1.0]))

        def trace(sizes):
            return Traced(made, {"x": tl.ones(sizes["rows"], 3)}, ["y"])

        entry = Entry("main", trace, {"rows": Size(1, 9)})
        save_program(tmp_path / "layer.tlw", [entry], dict(made.named_parameters()))
    return tmp_path / "layer.tlw"


def test_the_example_in_c(layer, tmp_path):
    folder = built("tallow_c")
    cc = shutil.which("cc") or shutil.which("gcc")
    source = ROOT / "examples" / "program.c"
    command = [cc, "-Wall", "-Werror", source, f"-I{ROOT / 'csrc'}", f"-L{folder}", "-ltallow"]
    subprocess.run([*command, "-o", tmp_path / "program"], check=True)
    env = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
    run = lambda path: subprocess.run(  # noqa: E731
        [tmp_path / "program", path], env=env, capture_output=True, text=True
    )
    assert run(layer).stdout == "y:" + " 3.5 11" * 4 + "\n"
    broken = tmp_path / "broken.tlw"
    broken.write_bytes(layer.read_bytes()[:300])
    done = run(broken)
    assert done.returncode == 1
    assert done.stderr.startswith("program: expected")
    assert run(Path("nothing")).stderr.startswith("nothing: expected a file")


def needed(program):
    """What the system loads beside a program."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, env=ALONE)
    return [word for word in done.stdout.split() if word.startswith("/")]


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot is root's")
@pytest.mark.parametrize("name", ["tallow-run", "tallow-run-static"])
def test_in_a_folder_with_nothing_else(name, layer, tmp_path):
    """As an image of distroless, which holds the C library and its loader, and an empty one."""
    program, image = built(name) / name, tmp_path / "image"
    libraries = needed(program)
    wanted = (
        {"libm", "libc", "ld-linux-x86-64", "ld-linux-aarch64"} if name == "tallow-run" else set()
    )
    assert {Path(path).name.split(".")[0] for path in libraries} <= wanted
    for path in [*libraries, str(program), str(layer)]:
        target = image / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (image / "x.json").write_text("[[1, 1, 1]]")
    command = ["chroot", image, program, layer, "--input", "x=/x.json"]
    done = subprocess.run(command, capture_output=True, text=True, env=ALONE)
    assert (done.stdout, done.stderr) == ('{"y": [[3.5, 11]]}\n', "")
