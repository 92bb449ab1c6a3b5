"""`x.shape`: a tuple that counts its elements, and stays one when it is cut, joined or pickled."""

import copy
import io
import pickle

import pytest

import tallow as tl
from tallow import nn

EXPRESSIONS = """
s + (1,) | (1,) + s | s + s | s + () | () + s | s * 2 | 2 * s | s[0:1] | s[::-1] | s[:] | s[0]
s[-1] | s.numel() | s[2:].numel() | Size([0, 3]).numel() | Size() | Size((2, 3))
Size(n for n in s) | Size([True])
copy.copy(s) | copy.deepcopy(s) | pickle.loads(pickle.dumps(s)) | s == (2, 3)
(2, 3) == s | hash(s) == hash((2, 3)) | {s: 1}[(2, 3)] | isinstance(s, tuple) | max(s) | sum(s)
s < (3,) | s.count(2) | s.index(3) | len(s) | list(s) | 2 in s | tuple(s) | x.size() | x.size(-1)
x[0].shape | x.T.shape | x.stride() | repr(s) | str(s) | (lambda a, b: a * b)(*s) | zeros(s).shape
Size((1.5,)) | Size("ab") | Size(3) | s + [1] | [1] + s | s + ("a",) | s[5] | s[2:] + (4,)
Size([2, 3], 3) | type("Own", (Size,), {}) | s + 1 | s * 1.5 | Size([-1, 2]).numel() | Size(s) is s
"""


def outcome(text, names):
    """The value and whether it is a Size, or the class of the error."""
    try:
        value = eval(text, {"copy": copy, "pickle": pickle, **names})
    except (TypeError, IndexError) as error:
        return type(error)
    return value, isinstance(value, names["Size"])


@pytest.mark.needs_torch
@pytest.mark.parametrize(
    "text", [e.strip() for line in EXPRESSIONS.strip().splitlines() for e in line.split("|")]
)
def test_size_is_torchs(text):
    import torch

    x, theirs = tl.zeros(2, 3), torch.zeros(2, 3)
    ours = {"x": x, "s": x.shape, "Size": tl.Size, "zeros": tl.zeros}
    wanted = {"x": theirs, "s": theirs.shape, "Size": torch.Size, "zeros": torch.zeros}
    assert outcome(text, ours) == outcome(text, wanted)


@pytest.mark.parametrize(
    "shape",
    [
        tl.zeros(2, 3).shape, tl.zeros(2, 3).size(), nn.Linear(3, 2).weight.shape,
        tl.zeros(1, 2, 3).shape[1:], (2,) + tl.zeros(3).shape,  # noqa: RUF005
        tl.Size([2, 3]),
        tl.empty(tl.Size([2, 3])).shape,
    ],
)  # fmt: skip
def test_a_shape_is_a_size(shape):
    assert type(shape) is tl.Size and isinstance(shape, tuple) and shape == (2, 3)
    assert shape.numel() == 6 and type(shape[:1]) is type(shape + (1,)) is tl.Size  # noqa: RUF005
    assert type(pickle.loads(pickle.dumps(shape))) is tl.Size
    assert f"{shape}" == "(2, 3)" and repr(shape) == "torch.Size([2, 3])"


def test_a_deferred_parameter_has_a_size():
    with nn.deferred():
        assert type(nn.Linear(3, 2).weight.shape) is tl.Size


def test_one_class_under_both_names():
    import tallow.torch as torch

    assert torch.Size is tl.Size
    assert type(torch.broadcast_shapes((2, 1), (3,))) is tl.Size


def test_a_size_passes_through_a_file(tmp_path):
    import tallow.torch as torch

    kept = {"size": tl.zeros(2, 3).shape, "in": [tl.Size()]}
    tl.save(kept, tmp_path / "a.pt")
    found = [tl.load(tmp_path / "a.pt"), torch.load(tmp_path / "a.pt")]
    buffer = io.BytesIO()
    torch.save(kept, buffer)
    buffer.seek(0)
    found.append(torch.load(buffer))
    for one in found:
        assert one == kept and type(one["size"]) is tl.Size and type(one["in"][0]) is tl.Size


@pytest.mark.needs_torch
def test_torch_reads_our_size(tmp_path):
    import torch

    tl.save({"size": tl.zeros(2, 3).shape}, tmp_path / "a.pt")
    size = torch.load(tmp_path / "a.pt")["size"]
    assert type(size) is torch.Size and size == (2, 3)
    torch.save({"size": size}, tmp_path / "b.pt")
    assert type(tl.load(tmp_path / "b.pt")["size"]) is tl.Size
