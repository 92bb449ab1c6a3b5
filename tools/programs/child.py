"""Run one PyTorch program with replayed draws, and write down its losses: a PyTorch program itself.

python child.py RESULT STEPS SCRIPT ARGUMENTS…                      with the real torch
python -m tallow.torch child.py RESULT STEPS SCRIPT ARGUMENTS…      with Tallow under its name
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
GIB = 1 << 30


def _without_workers(torch: Any) -> None:
    """Batches are made in the program's own process: draws in a worker would have an own stream."""
    begin = torch.utils.data.DataLoader.__init__

    def init(self: Any, *args: Any, **named: Any) -> None:
        for name in ("prefetch_factor", "persistent_workers", "multiprocessing_context"):
            named.pop(name, None)
        if "num_workers" in named:
            named["num_workers"] = 0
        elif len(args) > 5:
            args = (*args[:5], 0, *args[6:])
        begin(self, *args, **named)

    torch.utils.data.DataLoader.__init__ = init


def _trust_data_sets() -> None:
    """The files of CIFAR are made up, so their checksums cannot be those of the real ones."""
    import torchvision.datasets.cifar
    import torchvision.datasets.utils as utils

    utils.check_integrity = torchvision.datasets.cifar.check_integrity = lambda path, md5=None: (
        os.path.isfile(path)
    )


def main() -> None:
    result, steps, script, *arguments = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_DATA, (8 * GIB, 8 * GIB))
    warnings.simplefilter("ignore")
    os.environ["MPLBACKEND"] = "Agg"
    import double
    import draws
    import kernels
    import processes
    import recording
    import torch

    if not torch.nn.__name__.startswith("tallow"):
        kernels.define_nms(torch)
        torch.backends.mkldnn.enabled = not os.environ.get("PROGRAMS_PLAIN")

    if os.environ.get("PROGRAMS_DOUBLE"):
        double.attach(torch)
    record = recording.RECORD
    record.steps = int(steps)
    draws.attach(torch, draws.Draws())
    record.attach(torch)
    processes.attach()
    _without_workers(torch)
    if os.environ.get("PROGRAMS_TRUST"):
        _trust_data_sets()
    torch.set_num_threads(1)
    sys.argv = [script, *arguments]
    sys.path[0:1] = [str(Path(script).resolve().parent)]
    sys.path.append(str(HERE))
    found: dict[str, Any] = {"torch": torch.__version__, "error": None}
    began = time.perf_counter()
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if end.code not in (None, 0):
            found["error"] = f"exit status {end.code}"
    except BaseException as error:  # a program may raise anything, SystemExit too
        frames = traceback.extract_tb(error.__traceback__)[-1]
        found["error"] = f"{type(error).__name__}: {error} ({frames.filename}:{frames.lineno})"
        traceback.print_exc()
    found["seconds"] = time.perf_counter() - began
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found["losses"], found["values"] = record.losses, record.values
    Path(result).write_text(json.dumps(found))
    sys.stdout.flush()
    os._exit(1 if found["error"] else 0)


if __name__ == "__main__":
    main()
