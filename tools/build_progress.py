"""Show how far ninja has come (`ninja … | build_progress.py`): one line, or a line for each step.

Ninja's status must be `compiling done/all `. On a terminal the line is rewritten; elsewhere (a log)
one is printed for each twentieth of the work. What the compiler prints passes through.
"""

import re
import sys

STATUS = re.compile(r"compiling (\d+)/(\d+) (.*)")
STEPS = 20


def main() -> None:
    terminal = sys.stdout.isatty()
    shown, open_line = 0, False
    for line in sys.stdin:
        found = STATUS.match(line)
        if found is None:
            if line.startswith(("ninja: no work", "ninja: Entering directory")):
                continue
            print("\n" * open_line + line, end="", flush=True)
            open_line = False
            continue
        done, total = int(found[1]), int(found[2])
        if terminal:
            print(f"\r\x1b[Kcompiling {done}/{total}", end="", flush=True)
            open_line = True
        elif done * STEPS // total > shown:
            shown = done * STEPS // total
            print(f"compiling {done}/{total}", flush=True)
    if open_line:
        print(flush=True)


if __name__ == "__main__":
    main()
