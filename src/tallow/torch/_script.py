"""The program of `python -m tallow.torch`, run again where multiprocessing begins a new process."""

from __future__ import annotations

import sys

if __name__ == "__mp_main__":
    from tallow.torch._finder import install

    install()
    with open(sys.argv[0], "rb") as _file:
        exec(compile(_file.read(), sys.argv[0], "exec"), globals())
