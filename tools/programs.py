"""Public PyTorch programs, run with torch and with Tallow under its name; their losses compared.

    python tools/programs.py SOURCES [NAME…] [--document]

SOURCES holds what programs.toml names: a folder `owner__name` for each repository at the commit
given there, and `packages`, made by `pip install --target packages --no-deps` of the packages given
there. Nothing of it is part of this repository and nothing of it is changed: a program is copied,
made-up data in its own format is laid where it looks, and it runs twice, each time in a process of
its own, once by torch and once as `python -m tallow.torch SCRIPT`. Random draws are the same on
both sides, so the losses must be too. --document writes the table in docs/programs.md.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PARTS = ROOT / "tools" / "programs"
TOLERANCE = 1e-4
NUDGED = 4  # runs of torch from neighbouring numbers, where losses differ
NUMBER = re.compile(r"-?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?")
sys.path.insert(0, str(PARTS))


class Program:
    """A row of programs.toml with the folders that it needs."""

    def __init__(self, row: dict[str, Any], options: argparse.Namespace) -> None:
        self.row, self.options = row, options
        self.name: str = row["name"]
        self.slug = re.sub(r"[^A-Za-z0-9]+", "-", self.name)
        self.steps = int(row.get("steps", 10))
        self.own = "driver" in row  # a script of ours over models that others wrote
        source = row["source"]
        self.source = options.sources / (source.replace("/", "__") if "/" in source else "packages")

    def folder(self, side: str) -> Path:
        """Where a side runs."""
        return self.options.out / side / self.slug

    def prepare(self, side: str) -> tuple[Path, Path]:
        """A copy of the program with its data: (script, working directory)."""
        import made_data

        base = self.folder(side)
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir(parents=True)
        if self.own:
            script, where = PARTS / self.row["driver"], base
        else:
            for part in self.row.get("copy", [str(Path(self.row["script"]).parent)]):
                skipped = shutil.ignore_patterns(".git", "*.gif")
                shutil.copytree(self.source / part, base / part, ignore=skipped, dirs_exist_ok=True)
            script = base / self.row["script"]
            where = base / self.row.get("cwd", str(Path(self.row["script"]).parent))
        where.mkdir(parents=True, exist_ok=True)
        for spec in self.row.get("data", []):
            made_data.make(spec, where)
        return script, where

    def run(self, side: str) -> dict[str, Any]:
        """What one side's run showed; torch's is kept from the last time while nothing changed."""
        kept = self.options.out / f"{self.slug}.{side}.json"
        key = self.key()
        if side != "tallow" and kept.exists() and not self.options.fresh:
            found: dict[str, Any] = json.loads(kept.read_text())
            if found.get("key") == key and not found["error"]:
                return found
        script, where = self.prepare(side)
        if "weights" in self.row:
            self.weights()
        found = {"error": None, "text": ""}
        for before in self.row.get("before", []):
            found = self.child(side, where, script.parent / before[0], before[1:], 0)
            if found["error"]:
                break
        if not found["error"]:
            sources = f"{self.options.sources}/"
            arguments = [re.sub("^@", sources, str(a)) for a in self.row.get("args", [])]
            found = self.child(side, where, script, arguments, self.steps)
        if not found["error"] and "compare_file" in self.row:
            found["file"] = (where / self.row["compare_file"]).read_bytes().hex()
        found["key"] = key
        kept.write_text(json.dumps(found))
        if not self.options.keep:
            shutil.rmtree(self.folder(side), ignore_errors=True)
        return found

    def weights(self) -> None:
        """The made-up pretrained weights that the row names, where torch.hub keeps downloads."""
        folder = self.options.out / "hub" / "hub" / "checkpoints"
        script = [str(self.options.torch), str(PARTS / "make_weights.py"), str(folder)]
        paths = {**os.environ, "PYTHONPATH": str(self.options.sources / "packages")}
        subprocess.run([*script, *self.row["weights"]], check=True, env=paths)

    def key(self) -> str:
        """Changes with the row; --fresh is for changes of what replays and records."""
        return hashlib.sha256(json.dumps(self.row, sort_keys=True).encode()).hexdigest()[:16]

    def child(
        self, side: str, where: Path, script: Path, arguments: list[str], steps: int
    ) -> dict[str, Any]:
        """Run a script under the recorder, within its time."""
        # Not where it runs: another runner may begin that anew meanwhile.
        result = self.options.out / f"{self.slug}.{side}.{os.getpid()}.result"
        result.unlink(missing_ok=True)
        named = self.options.tallow if side == "tallow" else self.options.torch
        command = ["nice", str(named), *(["-m", "tallow.torch"] if side == "tallow" else [])]
        command += [str(PARTS / "child.py"), str(result), str(steps), str(script), *arguments]
        paths = [str(PARTS / "standins" / name) for name in self.row.get("standins", [])]
        paths += [str(self.options.sources / "packages")]
        paths += [str(where / p) for p in self.row.get("paths", [])]
        paths += [str(self.options.sources / p) for p in self.row.get("source_paths", [])]
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1", "TALLOW_NUM_THREADS": "1", "MPLBACKEND": "Agg",
            "PYTHONHASHSEED": "0", "TORCH_HOME": str(self.options.out / "hub"),
            "PROGRAMS_PLAIN": "1" if side == "torch-plain" else "",
            "PROGRAMS_DOUBLE": "1" if side == "torch-double" else "",
            "PROGRAMS_NUDGED": side.removeprefix("torch-nudged-") if "nudged" in side else "",
            "PROGRAMS_TRUST": "1" if any("cifar" in d for d in self.row.get("data", [])) else "",
            "HF_HUB_OFFLINE": "1", "TORCHDYNAMO_DISABLE": "1",
            "MPLCONFIGDIR": str(self.options.out / "matplotlib"),
            **self.row.get("environment", {}),
        }  # fmt: skip
        log = self.options.out / f"{self.slug}.{side}.log"
        terminal, keyboard = os.openpty()  # of 24 lines: programs ask for its size
        termios.tcsetwinsize(keyboard, (24, 80))
        with log.open("wb") as output, os.fdopen(terminal), os.fdopen(keyboard) as keys:
            process = subprocess.Popen(
                command, cwd=where, env=environment, stdout=output, stderr=subprocess.STDOUT,
                stdin=keys, start_new_session=True,
            )  # fmt: skip
            try:
                process.wait(self.options.timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return {
                    "error": f"no end after {self.options.timeout} s",
                    "losses": [],
                    "values": {},
                }
        text = log.read_text(errors="replace")
        if not result.exists():
            last = text.strip().splitlines()[-1:] or [""]
            ended = f"ended with {process.returncode}: {last[0]}"
            return {"error": ended, "losses": [], "values": {}, "text": text}
        found: dict[str, Any] = json.loads(result.read_text())
        result.unlink()
        found["text"] = text
        return found


# --- comparing ------------------------------------------------------------------------------------


def curve_error(ours: list[float], theirs: list[float]) -> float:
    """The largest relative difference; of numbers near 0, relative to 1% of the curve's largest."""
    if len(ours) != len(theirs) or not theirs:
        return math.inf
    floor = max((abs(v) for v in theirs if math.isfinite(v)), default=1.0) / 100 or 1.0
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        if math.isfinite(a) and math.isfinite(b):
            worst = max(worst, abs(a - b) / max(abs(a), abs(b), floor))
        elif not (a == b or (math.isnan(a) and math.isnan(b))):
            return math.inf
    return worst


def numbers(text: str, leave_out: str, without: str = "") -> list[float]:
    """The numbers that a program printed: not of lines that name a time, and what else changes."""
    text = re.sub(without, "", text, flags=re.MULTILINE) if without else text
    lines = [line for line in text.splitlines() if not (leave_out and re.search(leave_out, line))]
    return [float(n) for n in NUMBER.findall("\n".join(lines))]


def file_error(ours: str, theirs: str) -> float:
    """0 for equal files (in hex); of pictures the largest difference, of 1 for black and white."""
    if ours == theirs:
        return 0.0
    try:
        import numpy as np
        from PIL import Image

        pair = [np.asarray(Image.open(io.BytesIO(bytes.fromhex(f))), float) for f in (ours, theirs)]
    except OSError:  # no pictures
        return math.inf
    return float(abs(pair[0] - pair[1]).max()) / 255 if pair[0].shape == pair[1].shape else math.inf


def compare(program: Program, theirs: dict[str, Any], ours: dict[str, Any]) -> tuple[str, float]:
    """What was compared, and the largest relative difference."""
    worst, said = 0.0, []
    if theirs["losses"] or ours["losses"]:
        worst = curve_error(ours["losses"], theirs["losses"])
        said.append(f"{len(theirs['losses'])} losses")
    for name in sorted({*theirs["values"], *ours["values"]}):
        pair = (ours["values"].get(name), theirs["values"].get(name))
        if isinstance(pair[1], str) or None in pair:
            worst = worst if pair[0] == pair[1] else math.inf
        else:
            lists = [v if isinstance(v, list) else [v] for v in pair]
            worst = max(worst, curve_error(lists[0], lists[1]))
    if theirs["values"]:
        said.append(f"{len(theirs['values'])} values")
    if program.row.get("compare") == "printed":
        rules = [program.row.get(name, "") for name in ("leave_out", "without")]
        lists = [numbers(side["text"], *rules) for side in (ours, theirs)]
        worst = max(worst, curve_error(lists[0], lists[1]))
        said.append(f"{len(lists[1])} printed numbers")
    if program.row.get("compare") == "text":
        worst = worst if ours["text"] == theirs["text"] else math.inf
        said.append("its text")
    if "file" in theirs:
        worst = max(worst, file_error(ours["file"], theirs["file"]))
        said.append(program.row["compare_file"])
    return ", ".join(said) or "nothing", worst if said else math.inf


def grown(program: Program, line: dict[str, Any], theirs: Any, ours: Any) -> bool:
    """Whether rounding explains the difference: torch's own runs differ from each other as much.

    Twice what torch shows of itself is allowed: without oneDNN, with the last bit of each number
    that was drawn changed (where the program is as sensitive, no other sum could be nearer), and
    as distance from its own run in f64.
    """
    for other in ("torch-plain", *(f"torch-nudged-{i}" for i in range(1, NUDGED + 1))):
        again = program.run(other)
        if again["error"]:
            continue
        line["itself"] = max(line.get("itself", 0.0), compare(program, theirs, again)[1])
        near = other == "torch-plain" and compare(program, again, ours)[1] <= TOLERANCE
        if line["worst"] <= 2 * line["itself"] < math.inf or near:
            return True
    exact = program.run("torch-double")
    if exact["error"]:
        return False
    line["from_exact"] = [compare(program, exact, side)[1] for side in (ours, theirs)]
    return bool(line["from_exact"][0] <= 2 * line["from_exact"][1] < math.inf)


def judge(program: Program) -> dict[str, Any]:
    """Run both sides: a line of the table."""
    theirs = program.run("torch")
    line: dict[str, Any] = {"name": program.name, "row": program.row}
    if theirs["error"]:
        return {**line, "state": "torch fails", "said": theirs["error"]}
    if program.options.only_torch:
        said = f"{len(theirs['losses'])} losses, {theirs['seconds']:.0f} s"
        return {**line, "state": "torch", "said": said}
    ours = program.run("tallow")
    if ours["error"]:
        return {**line, "state": "fails", "said": ours["error"], "at": len(ours["losses"])}
    what, worst = compare(program, theirs, ours)
    state = "equal" if worst <= float(program.row.get("tolerance", TOLERANCE)) else "differs"
    line |= {"said": what, "worst": worst, "seconds": (ours["seconds"], theirs["seconds"])}
    if state == "differs" and grown(program, line, theirs, ours):
        state = "amplifies"
    return {**line, "state": state}


# --- the table ------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", type=Path)
    parser.add_argument("names", nargs="*", help="programs, with * for any letters")
    parser.add_argument("--torch", type=Path, default=ROOT / ".venv-oracle/bin/python")
    parser.add_argument("--tallow", type=Path, default=ROOT / ".venv/bin/python")
    parser.add_argument("--out", type=Path, default=ROOT / "build/programs")
    parser.add_argument("--timeout", type=float, default=240)
    parser.add_argument("--only-torch", action="store_true", help="do not run Tallow")
    parser.add_argument("--fresh", action="store_true", help="run torch again as well")
    parser.add_argument(
        "--keep", action="store_true", help="leave the folders that programs ran in"
    )
    parser.add_argument("--failed", action="store_true", help="only what was not equal last time")
    parser.add_argument("--document", action="store_true", help="write docs/programs.md")
    options = parser.parse_intermixed_args()
    options.sources, options.out = options.sources.resolve(), options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    sys.path.append(str(options.sources / "packages"))  # Pillow, for made-up pictures
    table = tomllib.loads((ROOT / "tools" / "programs.toml").read_text())
    kept = options.out / "lines.json"
    lines: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    for row in table["program"]:
        name = row["name"]
        if options.names and not any(fnmatch.fnmatch(name, n) for n in options.names):
            continue
        if options.failed and lines.get(name, {}).get("state") == "equal":
            continue
        line = judge(Program(row, options))
        worst = f" {line['worst']:.1e}" if "worst" in line else ""
        worst += f" (torch with itself {line['itself']:.1e})" if "itself" in line else ""
        if "from_exact" in line:
            worst += " (from f64: ours {:.1e}, torch {:.1e})".format(*line["from_exact"])
        print(f"{line['state']:11} {name:44}{worst} {line['said']}"[:300], flush=True)
        if kept.exists():  # another runner may have written meanwhile
            lines = json.loads(kept.read_text())
        lines[name] = line
        kept.write_text(json.dumps(lines, indent=1))
    states = [lines[row["name"]]["state"] for row in table["program"] if row["name"] in lines]
    count = {state: states.count(state) for state in sorted(set(states))}
    print(f"{len(table['program'])} programs: {count}")
    if options.document:
        from document import write

        write(ROOT / "docs" / "programs.md", table, lines)


if __name__ == "__main__":
    main()
