"""Print the requirements of pyproject.toml, a line each: `requirements.py build run text dev`.

`build` is what compiles Tallow, `run` what it always needs, any other word an extra.
"""

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = tomllib.loads(
    (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
)
# An isolated build asks for these by itself; the work tree is built without isolation.
BUILD_TOOLS = [
    f"{tool}{PYPROJECT['tool']['scikit-build'][tool]['version']}" for tool in ("cmake", "ninja")
]


def requirements(name: str) -> list[str]:
    project = PYPROJECT["project"]
    if name == "build":
        return PYPROJECT["build-system"]["requires"] + BUILD_TOOLS
    if name == "run":
        return project["dependencies"]
    lines = []
    for line in project["optional-dependencies"][name]:
        own = re.fullmatch(r"tallow\[([\w,-]+)\]", line)
        lines += [r for extra in own[1].split(",") for r in requirements(extra)] if own else [line]
    return lines


if __name__ == "__main__":
    print("\n".join(dict.fromkeys(r for name in sys.argv[1:] for r in requirements(name))))
