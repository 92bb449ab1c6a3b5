"""The onnx package's own backend tests: all pass but those that are named here, with reasons."""

import importlib.util

import pytest

from tallow.errors import TallowError

from .node_cases import cases, check

pytestmark = pytest.mark.needs_formats

KINDS = ("node", "pytorch-converted", "pytorch-operator", "simple")
LEAST = {"node": 0.98, "pytorch-converted": 0.98, "pytorch-operator": 0.98, "simple": 0.98}
# What fails, and the text that it fails with. Whatever passes must not stand here.
KNOWN: dict[str, str] = {}


def names(kind):
    """The cases of a kind; none where the package is not there."""
    return [*cases(kind)] if importlib.util.find_spec("onnx.backend") else []


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in KINDS for n in names(k)])
def test_backend(kind, name):
    case = cases(kind)[name]
    if name in KNOWN:
        with pytest.raises((AssertionError, TallowError), match=KNOWN[name]):
            check(case)
    else:
        check(case)


@pytest.mark.parametrize("kind", KINDS)
def test_few_are_known_to_fail(kind):
    found = names(kind)
    assert found
    assert len([n for n in found if n in KNOWN]) <= (1 - LEAST[kind]) * len(found)


def test_every_known_one_is_a_case():
    assert {n for kind in KINDS for n in names(kind)} >= KNOWN.keys()
