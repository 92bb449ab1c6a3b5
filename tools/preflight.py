"""Say what this machine lacks for a build, before anything is started."""

import importlib.util
import os
import shutil
import sys


def main() -> int:
    lacks = []
    if sys.version_info < (3, 11):  # noqa: UP036  (run by the system's python3, whatever it is)
        lacks.append(f"python3 >= 3.11 (this one is {sys.version.split()[0]}; set PYTHON=...)")
    if not importlib.util.find_spec("ensurepip"):
        lacks.append("python3-venv")
    if not (os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")):
        lacks.append("g++")
    if lacks:
        print("Tallow needs: " + ", ".join(lacks), file=sys.stderr)
        print("On Debian or Ubuntu: apt-get install g++ make python3-venv", file=sys.stderr)
    return bool(lacks)


if __name__ == "__main__":
    sys.exit(main())
