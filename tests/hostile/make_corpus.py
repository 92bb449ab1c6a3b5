"""Writes the corpus of hostile files, one small file a fault, named by the fault.

`python tests/hostile/make_corpus.py [FORMAT...]` writes the folders beside this script from the
modules of `corpora/`, of which there is one a format.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from hostile import corpora  # noqa: E402


def main(names: list[str]) -> None:
    """Write what the modules say and remove what they do not; a folder may be shared."""
    every = corpora.modules()
    folders = {corpora.folder(every[name]) for name in names or every}
    wanted = {p: raw for m in every.values() for p, (raw, _) in corpora.paths(m).items()}
    for folder in folders:
        folder.mkdir(exist_ok=True)
        for old in set(folder.iterdir()) - wanted.keys():
            old.unlink()
    for path, raw in wanted.items():
        if path.parent in folders:
            path.write_bytes(raw)


if __name__ == "__main__":
    main(sys.argv[1:])
