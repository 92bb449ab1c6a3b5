"""Every op on the device `meta` gives shapes, dtypes and strides of what the CPU computes."""

import pytest

import tallow as tl
from ops.laws import CASES, arrays_of, call, leaves, same, samples, tensor
from tallow.errors import DeviceError

# What these give depends on values; where it does, they say so.
BY_VALUE = {
    "allclose", "equal", "nonzero", "argwhere", "masked_select", "index_put", "repeat_interleave",
    "unique", "unique_consecutive", "bincount", "one_hot", "ctc_loss", "nn.nonzero",
    "nn.masked_select",
}  # fmt: skip


def meta(array):
    return tensor(array).to("meta")


def facts(out):
    """Shape, dtype and strides of tensors (those of nothing mean nothing), else the value."""
    return [
        (x.shape, x.dtype.name, x.numel() and x.stride()) if isinstance(x, tl.Tensor) else x
        for x in leaves(out)
    ]


def devices(out):
    return {x.device.type for x in leaves(out) if isinstance(x, tl.Tensor)}


def tried(name, sample):
    try:
        return call(name, sample, meta), ""
    except DeviceError as error:
        return None, str(error)


@pytest.mark.parametrize("name", CASES)
def test_op(name):
    for dtype in CASES[name].dtypes:
        for sample in samples(name, dtype):
            wanted = call(name, sample, tensor)
            with tl.device("meta"):  # for ops that make tensors of numbers alone
                got, error = tried(name, sample)
            if error:
                assert name in BY_VALUE, error
                assert error.startswith(f"{name}: expected a tensor with values")
                continue
            assert facts(got) == facts(wanted), f"{name} {dtype} {sample}"
            if not any(isinstance(given, tl.Tensor) for given in sample.args):  # on the CPU
                assert devices(got) <= {"meta"}, f"{name} {dtype} {sample}"


@pytest.mark.parametrize("name", CASES)
def test_op_on_the_cpu_beside_meta(name):
    dtype = CASES[name].dtypes[0]
    for sample in samples(name, dtype):
        if not arrays_of(sample):
            continue
        wanted = call(name, sample, tensor)
        with tl.device("meta"):
            got = call(name, sample, lambda x: tensor(x).detach())
        assert devices(got) <= {"cpu"}
        if not CASES[name].random:
            same(got, wanted, CASES[name].factor, False, f"{name}{sample}")
