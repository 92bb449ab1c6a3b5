"""Each file of the hostile corpus gives one `FormatError` that names the file and the field."""

import importlib.util
import resource
import sys
from pathlib import Path

import pytest

from tallow.errors import FormatError
from tallow.formats.gguf import open_gguf
from tallow.formats.safetensors import open_safetensors, open_safetensors_index

HERE = Path(__file__).resolve().parent
OPENERS = {
    ".gguf": open_gguf,
    ".safetensors": open_safetensors,
    ".json": open_safetensors_index,
}


def load_script():
    spec = importlib.util.spec_from_file_location("make_corpus", HERE / "make_corpus.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = load_script()


def test_committed_files_are_those_of_the_script():
    found = {
        f"{folder}/{path.name}": path.read_bytes()
        for folder in ("gguf", "safetensors")
        for path in (HERE / folder).iterdir()
        if path.suffix in OPENERS
    }
    assert found == {name: raw for name, (raw, _) in SCRIPT.CORPUS.items()}


@pytest.mark.parametrize("name", SCRIPT.CORPUS)
def test_hostile_file_is_refused(name):
    path, field = HERE / name, SCRIPT.CORPUS[name][1]
    with pytest.raises(FormatError) as caught:
        OPENERS[path.suffix](path)
    error = caught.value
    assert field in error.field
    # A missing shard is blamed itself; all else is the fault of the file that was opened.
    blamed = "no-such-file.safetensors" if name.endswith("shard-missing.json") else path.name
    assert blamed in error.path
    assert blamed in str(error)
    assert len(str(error)) < 500 + len(error.path)


@pytest.mark.parametrize(
    ("opener", "raw"),
    [(open_gguf, SCRIPT.VALID_GGUF), (open_safetensors, SCRIPT.VALID_SAFETENSORS)],
    ids=["gguf", "safetensors"],
)
def test_the_base_of_the_corpus_is_valid(tmp_path, opener, raw):
    path = tmp_path / "valid"
    path.write_bytes(raw)
    with opener(path) as file:
        assert len(file.tensors) >= 3
        assert dict(file.metadata)


def test_the_whole_corpus_takes_little_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in SCRIPT.CORPUS:
        with pytest.raises(FormatError):
            OPENERS[Path(name).suffix](HERE / name)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * (1 if sys.platform == "darwin" else 1024) < 8_000_000
