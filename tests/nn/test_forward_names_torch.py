"""The arguments of forward and of Module's methods have PyTorch's names, in its order."""

import inspect

import pytest

import tallow.torch as ours

pytestmark = pytest.mark.needs_torch


def layers():
    torch = pytest.importorskip("torch")
    for name in sorted(dir(torch.nn)):
        theirs = getattr(torch.nn, name)
        if inspect.isclass(theirs) and issubclass(theirs, torch.nn.Module):
            found = getattr(ours.nn, name, None)
            if inspect.isclass(found) and issubclass(found, ours.nn.Module):
                yield name, theirs, found


def names(function):
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(function).parameters.values()
    return [p.name for p in found if p.kind in kinds], any(
        p.kind is inspect.Parameter.VAR_KEYWORD for p in found
    )


def test_forward():
    wrong = {}
    for name, theirs, found in layers():
        wanted, _ = names(theirs.forward)
        given, anything = names(found.forward)
        wanted = [n for n in wanted if n != "self"]
        if not anything and [n for n in given if n != "self"][: len(wanted)] != wanted:
            wrong[name] = (wanted, given)
    assert wrong == {}


def test_methods_of_modules():
    import torch

    wrong = {}
    for name in dir(torch.nn.Module):
        theirs, found = getattr(torch.nn.Module, name), getattr(ours.nn.Module, name, None)
        if name.startswith("_") or not inspect.isfunction(theirs) or found is None:
            continue
        wanted, given, anything = names(theirs)[0], *names(found)
        missing = [n for n in wanted if n not in given]
        if missing and not anything:
            wrong[name] = missing
    assert wrong == {}
