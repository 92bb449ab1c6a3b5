"""The parameters of functions and classes, by name, beside torch's; and none is swallowed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import tallow.torch
from tallow import callers
from tallow._native import Caller

pytestmark = [pytest.mark.needs_torch, pytest.mark.filterwarnings("ignore")]

MODULES = [
    "", "functional", "nn", "nn.functional", "nn.init", "nn.parallel", "nn.utils",
    "nn.utils.parametrizations", "nn.utils.parametrize", "nn.utils.rnn", "amp", "autograd",
    "autograd.functional", "cuda", "distributed", "distributions", "fft", "func", "linalg",
    "optim", "optim.lr_scheduler", "optim.swa_utils", "profiler", "random", "serialization",
    "special", "testing", "utils.checkpoint", "utils.data",
]  # fmt: skip
# What is made by none here, has no meaning on one process or a CPU, or is PyTorch's own machinery.
LACKING = {
    "TypedStorage", "autograd.backward", "distributed.all_gather_coalesced",
    "distributed.barrier", "nn.RNNCellBase", "profiler.tensorboard_trace_handler",
    "stft", "functional.stft",  # align_to_window
}  # fmt: skip
# Answers that are the same whatever is asked, by the beginning of their names.
ANSWERS = ("cuda.", "distributed.", "profiler.", "serialization.")
SWALLOWING = {"nn.functional.boolean_dispatch", "nn.parallel.DistributedDataParallel"}


def shared() -> Iterator[tuple[str, Any, Any]]:
    import torch

    for module in MODULES:
        theirs, ours = torch, tallow.torch
        for part in filter(None, module.split(".")):
            theirs, ours = getattr(theirs, part), getattr(ours, part)
        for name in dir(theirs):
            a, b = getattr(theirs, name), getattr(ours, name, None)
            shown = name[0] != "_" and callable(a) and callable(b)
            if shown and inspect.isclass(a) is inspect.isclass(b):
                yield f"{module}.{name}".lstrip("."), a, b


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    try:
        target = function.__init__ if inspect.isclass(function) else function
        return dict(inspect.signature(target).parameters)
    except (TypeError, ValueError):  # native, without a signature
        return {}


def takes(op: Any, key: str) -> bool:
    """Whether a call of the op finds a parameter for torch's name."""
    names = [name for name, _, _ in op.parameters]
    others = callers.HINTS if "device" in names else ()
    given = dict.fromkeys(names, callers.MISSING)
    return (
        (key == "out" and op.takes_out)
        or key in others
        or (op.__name__, key) in callers.ONLY_OF
        or callers.parameter_called(key, names, given) is not None
    )


def test_parameters_go_by_torchs_names():
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    compared, lacking = 0, {}
    for name, theirs, ours in shared():
        wanted, found = parameters(theirs), parameters(ours)
        if not wanted or not found or any(p.kind in free[1:] for p in found.values()):
            continue
        compared += 1
        by_name = {
            key
            for key, p in wanted.items()
            if p.kind not in free and p.kind is not inspect.Parameter.POSITIONAL_ONLY
        }
        missing = {key for key in by_name - found.keys() if key[0] != "_" and key != "self"}
        if isinstance(ours, Caller):
            missing = {key for key in missing if not takes(ours.op, key)}
        if missing:
            lacking[name] = missing
    assert compared > 400
    assert lacking.keys() == LACKING, lacking


def test_no_keyword_is_swallowed():
    found = {
        name
        for name, theirs, ours in shared()
        if parameters(theirs)
        and parameters(ours).keys() & {"_", "__"}
        and all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters(theirs).values())
        and any(
            p.kind is inspect.Parameter.VAR_KEYWORD and p.name[0] == "_"
            for p in parameters(ours).values()
        )
    }
    assert {name for name in found if not name.startswith(ANSWERS)} <= SWALLOWING


@pytest.mark.parametrize("name", ["jacrev", "jacfwd", "grad", "vmap", "hessian"])
def test_transforms_refuse_what_they_do_not_know(name):
    with pytest.raises(TypeError):
        getattr(tallow.torch.func, name)(lambda x: x * x, wrong=1)
