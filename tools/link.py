"""Make this environment import Tallow from the source tree, and give it the `tallow` command.

One path line and one script: unlike an editable install there is no import hook, so
`import tallow` costs in a work tree what it costs a user, and is timed as such.
"""

import os
import sys
import sysconfig
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "src"
SCRIPT = """#!{python}
import sys

from tallow.cli import main

sys.exit(main())
"""


def main() -> None:
    if sys.prefix == sys.base_prefix:
        sys.exit("tools/link.py: run it with the python of a virtual environment")
    Path(sysconfig.get_path("purelib"), "tallow.pth").write_text(f"{SOURCES}\n", encoding="utf-8")
    command = Path(sysconfig.get_path("scripts"), "tallow")
    command.write_text(SCRIPT.format(python=sys.executable), encoding="utf-8")
    os.chmod(command, 0o755)


if __name__ == "__main__":
    main()
