"""Mutants of small valid files: each is read in full or gives `FormatError`, in bounded memory."""

import random
import tracemalloc
from collections import Counter

import pytest

from hostile import corpora, mutations

MUTANTS = 3_000  # of each format; tools/fuzz.py makes many more
CASES = [
    pytest.param(module, name, id=f"{module.__name__.rpartition('.')[2]}/{name}")
    for module in corpora.modules().values()
    for name in module.VALID
]


def outcome(module, path, mutant):
    """Read a mutant: 'read' or 'refused'."""
    path.unlink(missing_ok=True)  # ext4 flushes a file that is cut and written again: 3 ms each
    path.write_bytes(mutant)
    error = corpora.read_measured(module, path, len(mutant))
    if error is None:
        return "read"
    assert str(path.parent) in str(error), "the error names the file, or a shard beside it"
    return "refused"


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name"), CASES)
def test_mutants_are_read_or_refused(tmp_path, module, name):
    rng = random.Random(20240229)
    for other, raw in getattr(module, "BESIDE", {}).items():
        (tmp_path / other).write_bytes(raw)
    path = tmp_path / f"mutant-of-{name}"
    found = Counter()
    count = MUTANTS // len(module.VALID)
    tracemalloc.start()
    try:
        for number in range(count):
            mutant = mutations.mutant(module.VALID[name], rng, getattr(module, "MUTATIONS", ()))
            try:
                found[outcome(module, path, mutant)] += 1
            except Exception as error:
                error.add_note(f"mutant {number}: {mutant!r}")
                raise
    finally:
        tracemalloc.stop()
    assert min(found["read"], found["refused"]) > count // 200, "both outcomes are reached"
