"""Operands on several devices: one error of every op, but for the CPU's numbers of 0 axes."""

import pytest

import tallow as tl
from ops.laws import CASES, arrays_of, call, leaves, samples, tensor
from tallow.errors import DeviceError

# These give views of each tensor, or look at the values of counts and masks.
APART = {"meshgrid", "broadcast_tensors", "repeat_interleave", "index_put"}


def placed(first, others):
    """A function that makes the first tensor with axes on one device, later ones elsewhere."""
    made = []

    def make(array):
        x = tensor(array)
        if x.ndim:
            made.append(x)
            return x.to(others if len(made) > 1 else first)
        return x

    return make


def mixable(sample):
    return sum(array.ndim > 0 for array in arrays_of(sample)) > 1 and not any(
        isinstance(x, tl.Tensor) for x in leaves([sample.args, sample.kwargs])
    )


PAIRS = [
    name
    for name, case in CASES.items()
    if name not in APART and any(map(mixable, samples(name, case.dtypes[0])))
]


@pytest.mark.parametrize("devices", [("cpu", "meta"), ("meta", "cpu")], ids=str)
@pytest.mark.parametrize("name", PAIRS)
def test_op(name, devices):
    for sample in samples(name, CASES[name].dtypes[0]):
        if not mixable(sample):
            continue
        with pytest.raises(DeviceError, match="expected operands on one device, got (cpu|meta)"):
            call(name, sample, placed(*devices))


def test_many():
    assert len(PAIRS) > 100


def test_numbers_of_the_cpu():
    x, number = tl.empty(2, 3, device="meta"), tl.tensor(2.0)
    for made in (
        x * number, number - x, x.clamp(number), tl.where(x > 0, x, number), x.lerp(x, number),
        x.masked_fill(x > 0, number), x**number, x.addcmul(x, number), tl.add(number, x),
    ):  # fmt: skip
        assert made.is_meta and made.shape == (2, 3)
    with pytest.raises(DeviceError, match="add: expected operands on one device"):
        tl.empty((), device="meta") + tl.zeros(2)


def test_indices_of_the_cpu():
    x = tl.empty(4, 3, device="meta")
    assert x[tl.tensor([0, 1])].shape == (2, 3) and x[tl.tensor([0, 1])].is_meta
    x[tl.tensor([0, 1])] = tl.empty(2, 3, device="meta")
    assert x.copy_(tl.zeros(4, 3)) is x
