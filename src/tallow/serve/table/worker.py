"""The process of a job: takes its work from standard input, tells of it on standard output.

Started by `tallow.serve.table.process` alone. It ends when its input does, as the server is gone
then.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import sys
import threading
from typing import Any

from tallow.serve.table.process import LENGTH

_NICENESS = 5  # pages are to answer while a file is read


def main() -> None:
    """Do one piece of work."""
    source = sys.stdin.buffer
    (length,) = LENGTH.unpack(source.read(LENGTH.size))
    work = pickle.loads(source.read(length))
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else prints does not disturb the messages
    lock = threading.Lock()

    def tell(message: dict[str, Any]) -> None:
        with lock:
            print(json.dumps(message), file=told, flush=True)

    threading.Thread(target=_leave_with_server, daemon=True).start()
    _limit(getattr(work, "limits", None))
    os.umask(0o077)
    work.do(tell)
    told.close()
    sys.stderr.flush()
    os._exit(0)  # threads of kernels and a reader of standard input need no farewell


def _leave_with_server() -> None:
    os.read(0, 1)
    os._exit(1)


def _limit(limits: Any) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICENESS)
    if limits is not None:
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = limits.memory_bytes if most < 0 else min(limits.memory_bytes, most)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, most))


if __name__ == "__main__":
    main()
