"""Each file of the hostile corpus gives one `FormatError` that names the file and the field."""

import resource
import sys
import tracemalloc
from pathlib import Path

import pytest

from alone import run_alone
from hostile import corpora
from tallow.errors import FormatError
from tallow.weights.file_formats import KINDS

MODULES = corpora.modules()
CASES = [
    pytest.param(module, path, id=f"{name}/{path.name}")
    for name, module in MODULES.items()
    for path in corpora.paths(module)
]
VALID = [
    pytest.param(module, name, id=f"{module.__name__.rpartition('.')[2]}/{name}")
    for module in MODULES.values()
    for name in module.VALID
]


def test_committed_files_are_those_of_the_modules():
    folders = {corpora.folder(module) for module in MODULES.values()}
    found = {path: path.read_bytes() for folder in folders for path in folder.iterdir()}
    wanted = {p: raw for m in MODULES.values() for p, (raw, _) in corpora.paths(m).items()}
    assert {*found} ^ {*wanted} == set(), "python tests/hostile/make_corpus.py"
    assert [path for path in found if found[path] != wanted[path]] == []


@pytest.mark.parametrize(("module", "path"), CASES)
def test_hostile_file_is_refused(module, path):
    raw, field = module.CORPUS[path.name]
    tracemalloc.start()
    try:
        error = corpora.read_measured(module, path, len(raw))
    finally:
        tracemalloc.stop()
    assert error is not None, "the reader took it for valid"
    blamed = getattr(module, "BLAMED", {}).get(path.name, path.name)
    assert blamed in str(error)
    if isinstance(error, FormatError):
        assert field in error.field
        assert blamed in error.path
        assert len(str(error)) < 500 + len(error.path)
    else:
        assert field in str(error)


@pytest.mark.parametrize(("module", "name"), VALID)
def test_the_base_of_the_corpus_is_valid(tmp_path, module, name):
    for other, raw in getattr(module, "BESIDE", {}).items():
        (tmp_path / other).write_bytes(raw)
    path = tmp_path / name
    path.write_bytes(module.VALID[name])
    assert corpora.read_all(module, path) is None
    with module.open_file(path) as file:
        held = getattr(file, "plans", None) or getattr(file, "tensors", None) or file.names()
        assert len(held) >= 1


def the_whole_corpus(folder):
    """Read the valid files, then the hostile ones; what the latter took of `ru_maxrss`."""
    for module in MODULES.values():
        for name, raw in {**getattr(module, "BESIDE", {}), **module.VALID}.items():
            (folder / name).write_bytes(raw)
        for name in module.VALID:
            assert corpora.read_all(module, folder / name) is None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for module in MODULES.values():
        for path in corpora.paths(module):
            assert corpora.read_all(module, path) is not None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


def test_the_whole_corpus_takes_little_memory(tmp_path):
    """In a process of its own, where no other test's memory comes and goes."""
    grown = int(run_alone(__file__, tmp_path))
    largest = max(len(raw) for module in MODULES.values() for raw, _ in module.CORPUS.values())
    assert grown * (1 if sys.platform == "darwin" else 1024) < 8_000_000 + 2 * largest


@pytest.mark.parametrize("name", MODULES["remote"].REFUSED)
def test_hostile_file_behind_a_url(name):
    raw, _ = MODULES["remote"].REFUSED[name]
    if raw:  # an empty one is refused before it comes to a reader
        assert corpora.read_all(MODULES["remote"], raw) is not None


def test_every_format_that_holds_weights_has_a_corpus():
    openers = {kind.opener.rpartition(":")[2] for kind in KINDS}
    assert openers - {module.open_file.__name__ for module in MODULES.values()} == set()


if __name__ == "__main__":
    print(the_whole_corpus(Path(sys.argv[1])))
