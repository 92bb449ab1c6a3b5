"""PyTorch's own samples (its OpInfo table) run against Tallow: values, gradients, refusals.

    python tools/opinfo.py [NAME...] [--dtype f32] [--jobs 2] [--fail-details] [--missing]

Needs torch and expecttest. NAME is an OpInfo name (add, nn.functional.conv2d, linalg.inv) or a
prefix with a star (fft.*). Ops are shared by name: `tl.<dotted path>`, else `tl.Tensor.<name>`.
Every op runs in a process of its own; one that crashes costs the sample at which it did.
"""

from __future__ import annotations

import argparse
import collections
import fnmatch
import json
import os
import select
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TALLOW_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
warnings.simplefilter("ignore")
STALL = 90  # seconds without a word after which a child is ended
CRASHES = 6  # of one op, after which its other samples are not tried


class Job:
    """One variant of an op, run by children until its samples are through."""

    def __init__(self, op: Any, options: argparse.Namespace) -> None:
        self.op, self.options = op, options
        self.name = op.name + (f" ({op.variant_test_name})" if op.variant_test_name else "")
        self.records: list[tuple[Any, ...]] = []
        self.at: dict[str, Any] | None = None
        self.crashes = 0
        self.stalled = False
        self.done = False
        self.buffer = b""
        self.pid = self.fd = -1
        self.heard = time.monotonic()

    def start(self) -> None:
        """Fork a child that goes on after the sample at which the last one crashed."""
        skip = self.at["n"] + 1 if self.at else 0
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            try:
                _child(self.op, self.options, skip, writing)
            except BaseException:  # the forked child must not return into its parent's code
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(writing)
        self.pid, self.fd, self.heard, self.buffer = pid, reading, time.monotonic(), b""

    def read(self) -> bool:
        """Take what the child says; False when it has ended."""
        data = os.read(self.fd, 1 << 16)
        self.heard = time.monotonic()
        if data:
            *lines, self.buffer = (self.buffer + data).split(b"\n")
            for line in lines:
                said = json.loads(line)
                if "n" in said:
                    self.at = said
                elif "done" in said:
                    self.done = True
                else:
                    self.records.append(tuple(said["record"]))
            return True
        os.close(self.fd)
        _, status = os.waitpid(self.pid, 0)
        if not self.done and self.stalled and self.at is None:
            self.stalled = False  # never got to its first sample: the machine was busy
        elif not self.done:
            self.crashes += 1
            why = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {status}"
            if self.at is None:
                self.at = {"n": -1}
            self.records.append(("value", "", -1, "fail", f"CRASH ({why}) at sample {self.at}", ""))
        return False

    def counts(self) -> dict[str, dict[str, int]]:
        """Outcomes by kind."""
        out: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for kind, _, _, outcome, *_ in self.records:
            out[kind][outcome] += 1
        return {kind: dict(counter) for kind, counter in out.items()}


def _child(op: Any, options: argparse.Namespace, skip: int, fd: int) -> None:
    import faulthandler

    import opinfo_samples as samples

    faulthandler.disable()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    if not options.verbose:
        os.dup2(null, 2)

    def say(message: Any) -> None:
        os.write(fd, json.dumps(message).encode() + b"\n")

    dtypes = tuple(options.dtype or samples.VALUE_DTYPES)
    runner = samples.Runner(op, dtypes, not options.no_gradients, not options.no_errors)
    for n, attempt in enumerate(runner):
        if n < skip:
            continue
        say({"n": n})
        say({"record": attempt()})
    say({"done": True})


def _run(jobs: list[Job], parallel: int, tell: bool) -> None:
    waiting, running = list(reversed(jobs)), {}
    while waiting or running:
        while waiting and len(running) < parallel:
            job = waiting.pop()
            job.start()
            running[job.fd] = job
        ready, _, _ = select.select(list(running), [], [], 1)
        for fd in ready:
            job = running[fd]
            if not job.read():
                del running[fd]
                if not job.done and job.crashes < CRASHES:
                    waiting.append(job)
                elif tell:
                    _tell(job)
        for job in running.values():
            if time.monotonic() - job.heard > STALL:
                job.heard, job.stalled = time.monotonic(), True
                os.kill(job.pid, signal.SIGKILL)


def _tell(job: Job) -> None:
    counts = job.counts()

    def part(kind: str) -> str:
        found = counts.get(kind, {})
        good, bad = found.get("ok", 0), found.get("fail", 0) + found.get("other", 0)
        return f"{good}/{good + bad}" if good + bad else "-"

    first = next((r for r in job.records if r[3] == "fail" and r[0] != "error"), None)
    said = f"{first[0]} {first[1]} #{first[2]}: {first[4][:110]}" if first else ""
    print(
        f"{job.name:44} {part('value'):>11} {part('gradient'):>9} {part('error'):>7}  {said}",
        flush=True,
    )


def _details(job: Job, most: int) -> None:
    seen: collections.Counter[str] = collections.Counter()
    for kind, dtype, i, outcome, text, sample in job.records:
        if outcome in ("fail", "other"):
            seen[f"{kind} {dtype}"] += 1
            if seen[f"{kind} {dtype}"] <= most:
                print(f"    {kind} {dtype} #{i}: {text}\n        {sample}")
    for what, count in seen.items():
        print(f"    {what}: {count} failures")
    skipped = collections.Counter(r[4] for r in job.records if r[3] == "skip")
    if skipped:
        print(f"    skipped: {dict(skipped)}")


def _total(jobs: list[Job], kind: str) -> tuple[int, int]:
    found = [r[3] for job in jobs for r in job.records if r[0] == kind and r[3] != "skip"]
    return found.count("ok"), len(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--dtype", action="append", help="only this dtype (may be repeated)")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--fail-details", nargs="?", type=int, const=3, default=0, metavar="N")
    parser.add_argument(
        "--missing", action="store_true", help="list torch's names that Tallow lacks"
    )
    parser.add_argument("--no-gradients", action="store_true")
    parser.add_argument("--no-errors", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="let the children write to stderr")
    parser.add_argument("--json", type=Path, default=Path("build/opinfo.json"))
    options = parser.parse_args()

    import opinfo_samples as samples
    import opinfo_twins as twins

    samples.torch.set_num_threads(1)
    rows = samples.op_rows()
    chosen = [
        n for n in rows if not options.names or any(fnmatch.fnmatch(n, p) for p in options.names)
    ]
    public = [n for n in chosen if not n.startswith(twins.NO_TWIN) or n.startswith(twins.KEPT)]
    missing = [n for n in public if twins.twin(n) is None]
    shared = [n for n in public if n not in missing]
    if options.missing:
        print(f"{len(shared)} of {len(public)} names shared; missing:")
        print("\n".join(f"  {name}" for name in missing))
        return
    jobs = [Job(op, options) for name in shared for op in rows[name]]
    print(f"{'op':44} {'values':>11} {'gradients':>9} {'errors':>7}  first failure")
    _run(jobs, options.jobs, True)
    if options.fail_details:
        for job in jobs:
            if any(r[3] in ("fail", "other") for r in job.records):
                print(job.name)
                _details(job, options.fail_details)
    for kind in ("value", "gradient", "error"):
        good, count = _total(jobs, kind)
        print(f"{kind} samples: {good} of {count} ({100 * good / max(count, 1):.2f}%)")
    clean = [j for j in jobs if not any(r[3] == "fail" and r[0] != "error" for r in j.records)]
    crashes = sum(j.crashes for j in jobs)
    print(f"ops without a failure: {len(clean)} of {len(jobs)}; crashes: {crashes}")
    print(f"names shared: {len(shared)} of {len(public)}")
    if missing and options.names:
        print("missing:", " ".join(missing))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "missing": missing,
        "ops": [
            {"name": j.name, "counts": j.counts(), "crashes": j.crashes,
             "failures": [r for r in j.records if r[3] in ("fail", "other")],
             "skipped": collections.Counter(r[4] for r in j.records if r[3] == "skip")}
            for j in jobs
        ],
    }  # fmt: skip
    options.json.write_text(json.dumps(report, indent=1, default=str))


if __name__ == "__main__":
    main()
