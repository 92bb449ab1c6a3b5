"""The peers of the table benchmark: where their packages come from, and a process for each.

    python bench/_tables_peers.py --install DIR      a virtual environment with all of them in DIR

`bench/table_accuracy.py --peers DIR` takes them from there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import _common as common

SIDE = str(Path(__file__).with_name("_tables_peer_side.py"))
PICTURES = ("rapid-table 0.3.0", "rapid-table 0.1.3", "wired/lineless", "img2table")
PDFS = ("pdfplumber", "camelot")

TOGETHER = (
    "onnxruntime", "rapidocr==3.10.0", "rapid-table==0.3.0", "img2table", "pdfplumber",
    "camelot-py", "loguru", "scikit-image",
)  # fmt: skip
# Of these the versions whose weights are inside the package; two cannot stand beside another.
APART = {
    "rapid_table_0_1_3": "rapid-table==0.1.3",
    "wired_table_rec": "wired-table-rec==1.0.2",
    "lineless_table_rec": "lineless-table-rec==0.0.9",
    "table_cls": "table-cls==1.0.2",
}
OPENCV = ("opencv-python", "opencv-contrib-python", "opencv-python-headless")


def python_of(folder: Path) -> Path:
    """The interpreter of an installed environment."""
    return folder / "bin" / "python"


def install(folder: Path) -> None:
    """Make the environment with all peers."""
    venv.create(folder, with_pip=True)
    pip = [str(python_of(folder)), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *TOGETHER], check=True)
    for name, requirement in APART.items():
        target = ["--no-deps", "--upgrade", "--target", str(folder / name)]
        subprocess.run([*pip, "install", *target, requirement], check=True)
    # Builds of OpenCV write the same files; one that needs no display is enough.
    subprocess.run([*pip, "uninstall", "--yes", *OPENCV], check=True)
    subprocess.run([*pip, "install", "opencv-contrib-python-headless"], check=True)


class Peers:
    """Processes of the peers, each begun when it is first asked."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.folder, self.threads = folder, threads
        self._sides: dict[str, common.Side] = {}
        self._words: tuple[str, list[Any], float] = ("", [], 0.0)

    def ask(self, name: str, path: Path, words: list[Any] | None = None) -> dict[str, Any]:
        """The answer of one peer about one file."""
        if name not in self._sides:
            command = [str(python_of(self.folder)), SIDE, name, str(self.folder)]
            command.append(str(self.threads))
            self._sides[name] = common.Side(name, command)
        return self._sides[name](json.dumps({"path": str(path), "words": words}))

    def tables(self, name: str, path: Path) -> dict[str, Any]:
        """Tables and seconds of a peer on a file; seconds are with those of the reader."""
        if name in PDFS:
            return self.ask(name, path)
        if self._words[0] != str(path):
            read = self.ask("words", path)
            self._words = (str(path), read.get("words", []), read["seconds"])
        told = self.ask(name, path, self._words[1])
        return {**told, "seconds": told["seconds"] + self._words[2]}

    def close(self) -> None:
        """End all processes."""
        for side in self._sides.values():
            side.close()


def main() -> int:
    """Install, when told to."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--install", metavar="DIR", type=Path, required=True)
    install(options.parse_args().install)
    return 0


if __name__ == "__main__":
    sys.exit(main())
