"""The names that public PyTorch programs use: each is there, and does what PyTorch's does."""

import importlib
import io
import warnings
from pathlib import Path

import numpy as np
import pytest

import tallow.torch as ours
from pytorch.name_cases import CASES

NAMES = (Path(__file__).parent / "names.txt").read_text().split()
MISSING = {"torch.Tensor._make_subclass"}  # what Tallow does not have yet


def find(root, name):
    found, path = root, root.__name__
    for part in name.split(".")[1:]:
        path += f".{part}"
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(path)
    return found


@pytest.mark.parametrize("name", [name for name in NAMES if name not in MISSING])
def test_name_is_there(name):
    find(ours, name)


# --- what they do ---------------------------------------------------------------------------------


def space(torch):
    """What the expressions name."""
    x = torch.tensor([[0.5, -0.25, 0.75], [-0.5, 0.125, 1.5]])

    def filled(module):
        with torch.no_grad():
            for number, p in enumerate(module.parameters()):
                values = torch.arange(p.numel()).reshape(p.shape).float()
                p.copy_(torch.sin(values * 0.7 + number) * 0.5)
        return module

    return {
        "torch": torch, "numpy": np, "x": x, "v": x[0].abs(), "b": x > 0,
        "m": torch.tensor([[2.0, 0.5, 0.1], [0.5, 1.5, 0.2], [0.1, 0.2, 1.0]]),
        "i": torch.tensor([[0, 2, 1], [1, 1, 0]]),
        "r": torch.tensor([1.0, 2.0, 3.0], requires_grad=True),
        "image": torch.sin(torch.arange(72).float()).reshape(1, 2, 6, 6),
        "seq": torch.cos(torch.arange(24).float()).reshape(2, 4, 3),
        "filled": filled, "saved": saved, "clipped": clipped, "stepped": stepped,
        "scheduled": scheduled,
    }  # fmt: skip


def saved(torch, value):
    file = io.BytesIO()
    torch.save({"value": value}, file)
    file.seek(0)
    return torch.load(file)["value"]


def clipped(torch, clip):
    p = torch.tensor([3.0, 4.0], requires_grad=True)
    (p * p).sum().backward()
    return [clip([p], 1.0), p.grad]


def stepped(torch, make, **options):
    p = torch.tensor([3.0, 4.0], requires_grad=True)
    optimizer = make([p], **options)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's LBFGS
        for _ in range(3):
            optimizer.step(closure)
    return p


def scheduled(torch, make, *given):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = make(optimizer, *given)
    rates = []
    for _ in range(5):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def plain(value):
    """Numbers in nested lists; modules' outputs may be tuples and dicts."""
    if hasattr(value, "detach"):
        return value.detach().tolist()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def flat(value):
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for each in value for leaf in flat(each)] if isinstance(value, list) else [value]


OF_BUILDS = ("torch.accelerator.current_accelerator", "torch.distributed.is_nccl_available")


def evaluate(torch, name):
    return plain(eval(CASES[name], space(torch)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_name_works(name):
    for value in flat(evaluate(ours, name)):
        assert not isinstance(value, float) or abs(value) < 1e6, value


@pytest.mark.needs_torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_name_does_what_torch_does(name):
    theirs = importlib.import_module("torch")
    if theirs.version.cuda is not None and name in OF_BUILDS:
        pytest.skip("a build of PyTorch for CUDA says something else, with and without a device")
    expected = flat(evaluate(theirs, name))
    got = flat(evaluate(ours, name))
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert a == (pytest.approx(b, rel=1e-4, abs=1e-5) if isinstance(b, float) else b)


# test_distributions.py and test_namespace.py (groups of one process) have theirs.
ELSEWHERE = ("torch.distributions.", "torch.distributed.", "torch.nn.parallel.")
# What needs no expression: modules, classes that users inherit from, constants, marks.
NO_CASE_NEEDED = (
    "Dataset", "IterableDataset", "Sampler", "Optimizer", "Module", "Function", "Target",
)  # fmt: skip


def test_every_callable_has_a_case():
    from tallow.torch._names import _Refusing

    without = []
    for name in NAMES:
        if name in MISSING or name in CASES or name.startswith(ELSEWHERE):
            continue
        found = find(ours, name)
        if not callable(found) or isinstance(found, _Refusing):
            continue
        same = any(find(ours, other) is found for other in CASES if other in NAMES)
        if not same and not name.endswith(NO_CASE_NEEDED):
            without.append(name)
    assert without == []


def test_all_that_is_listed_opens_and_the_reference_is_up_to_date():
    # In a process of its own: every module is imported.
    import subprocess
    import sys

    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-W", "ignore", root / "tools" / "torch_reference.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
