"""Every op in a plan: a replay on other values is what the op gives of them, or it is refused."""

import numpy as np
import pytest

import tallow as tl
from ops.laws import CASES, arrays_of, call, convert, leaves, samples, tensor
from tallow.errors import CaptureError, TallowError
from tallow.registry import OPS

# Shapes or a course that values decide, and checks of values.
BY_VALUE = {
    "allclose", "argwhere", "binary_cross_entropy", "bincount", "cov", "cross_entropy", "ctc_loss",
    "equal", "gaussian_nll_loss", "histc", "histogram", "index_put", "masked_select",
    "multi_margin_loss", "multilabel_margin_loss", "nanquantile", "nll_loss", "nn.alignment_nll",
    "nn.masked_select", "nn.nonzero", "nonzero", "one_hot", "quantile", "repeat_interleave",
    "unique", "unique_consecutive",
}  # fmt: skip
# What numpy computes. Not all samples, and not all ops of these modules.
BY_NUMPY = ("tallow.ops.linalg", "tallow.ops.fft", "tallow.ops.stft", "tallow.ops.spectral")


def turned(array):
    """Other values of the same kind: the elements one place further."""
    return np.roll(array.reshape(-1), 1).reshape(array.shape)


def bits(out):
    return [
        (x.shape, x.dtype, x.contiguous()._array.raw_bytes()) if isinstance(x, tl.Tensor) else x
        for x in leaves(out)
    ]


def replayed(name, sample):
    """What a plan gives of the sample that was captured on other values; None: no op for those."""
    other = convert([sample.args, sample.kwargs], turned)
    turned_sample = type(sample)(tuple(other[0]), other[1])
    with tl.no_grad():
        try:
            call(name, turned_sample, tensor)
        except TallowError:
            return None
        examples = [tensor(x) for x in arrays_of(turned_sample)]

        def run(*tensors):
            each = iter(tensors)
            return call(name, sample, lambda _: next(each))

        plan = tl.capture(run, *examples)
        plan(*[tensor(x) for x in arrays_of(sample)])
        return plan(*[tensor(x) for x in arrays_of(sample)])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.random])
def test_replay_is_what_the_op_gives(name):
    refused = 0
    for dtype in CASES[name].dtypes:
        for sample in samples(name, dtype):
            if not arrays_of(sample):
                continue
            try:
                got = replayed(name, sample)
            except CaptureError:
                refused += 1
                continue
            if got is not None:
                wanted = call(name, sample, tensor)
                assert bits(got) == bits(wanted), f"{name} {dtype} {sample}"
    if not OPS[name].__module__.startswith(BY_NUMPY):
        assert (refused > 0) == (name in BY_VALUE), f"{name} refuses {refused} samples"
