"""A device with the CPU's memory and the kernels named here, as a back-end that begins has them.

Its memory is at addresses that the host cannot read: who takes them for the CPU's ends the process.
"""

import contextlib
import functools
import importlib

import tallow as tl
from tallow import _native
from tallow.errors import NoKernelError

NAME = "privateuseone"  # PyTorch's name for a device of somebody's own
# The least that lets most of the library run: what moves elements, arithmetic that nothing else
# gives, comparisons and a choice, sums and extremes along axes, products, indices.
KERNELS = (
    "copy", "arange", "where", "gather", "scatter", "scatter_add", "index", "index_put",
    "add", "sub", "mul", "div", "neg", "abs", "sign", "square", "sqrt", "rsqrt", "reciprocal",
    "maximum", "minimum", "floor", "trunc", "round", "floor_divide", "pow",
    "exp", "log", "expm1", "log1p", "sin", "cos", "tan", "tanh", "erf",
    "eq", "ne", "lt", "le", "gt", "ge", "isnan", "isfinite",
    "logical_not", "logical_and", "logical_or", "bitwise_and", "bitwise_or",
    "sum", "mean", "amax", "amin", "argmax", "cumsum", "matmul", "sort",
)  # fmt: skip

devices = importlib.import_module("tallow.device")


@functools.cache
def code():
    return devices.code_of(devices.register(NAME, _native.add_host_device(NAME, KERNELS)))


@contextlib.contextmanager
def few_kernels():
    """The device, which nobody can name afterwards."""
    devices._CODES[NAME] = code()
    try:
        yield devices.Device(NAME)
    finally:
        del devices._CODES[NAME]


def moved(value, device):
    """`value` with its tensors on the device, in lists, tuples and dicts too."""
    if isinstance(value, tl.Tensor):
        return value.to(device)
    if isinstance(value, list | tuple):
        made = [moved(v, device) for v in value]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    return {k: moved(v, device) for k, v in value.items()} if isinstance(value, dict) else value


def on_device(name, sample, device):
    """The op of a case there: its result, and what a NoKernelError says, else nothing."""
    from ops.laws import call, tensor
    from ops.table import Sample

    there = Sample(moved(sample.args, device), moved(sample.kwargs, device))
    with device:
        try:
            return call(name, there, lambda x: tensor(x).to(device)), ""
        except NoKernelError as error:
            return None, str(error)


def way(name):
    """How the op of this name runs there: by a kernel, its reference, as a view, or not."""
    from ops.laws import CASES, samples
    from tallow.registry import OPS

    op, dtype = OPS[name], CASES[name].dtypes[0]
    with few_kernels() as device:
        said = next((e for s in samples(name, dtype) if (e := on_device(name, s, device)[1])), "")
    if said:
        return f"— ({said.partition(':')[0]})"
    if op.view_name is not None or op.is_view:
        return "view"
    own = (op.kernel_name or op.elementwise) in KERNELS
    return "kernel" if own else "reference"
