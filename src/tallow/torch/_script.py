"""The program of `python -m tallow.torch`, run again where multiprocessing begins a new process."""

from __future__ import annotations

import os
import sys

if __name__ == "__mp_main__":
    from tallow.torch._finder import SCRIPT, install

    install()
    # The parent's word, since runpy gives sys.argv the name of this file.
    sys.argv[0] = os.environ[SCRIPT]
    sys.path[0] = os.path.dirname(os.environ[SCRIPT])
    __file__ = os.environ[SCRIPT]
    with open(__file__, "rb") as _file:
        exec(compile(_file.read(), __file__, "exec"), globals())
