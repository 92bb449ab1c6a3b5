"""Every op against PyTorch: value, dtype and gradient, per dtype and layout."""

import numpy as np
import pytest

import tallow as tl
from ops import laws
from ops.laws import CASES, call, convert, samples, tensor
from ops.table import COMPLEX, FLOATS, NUMPY, UNSIGNED
from tallow.dtype import as_dtype
from tallow.registry import OPS

pytestmark = [pytest.mark.needs_torch, pytest.mark.filterwarnings("ignore::UserWarning")]

DTYPES = {
    "bool": "bool", "u8": "uint8", "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64",
    "u16": "uint16", "u32": "uint32", "u64": "uint64", "f16": "float16", "bf16": "bfloat16",
    "f32": "float32", "f64": "float64", "complex64": "complex64",
}  # fmt: skip


def reference(name):
    """torch's function for an op, None when the case says that there is none."""
    import torch

    wanted = CASES[name].torch
    if wanted is False:
        return None
    if callable(wanted):
        return wanted
    places = [torch, torch.nn.functional, torch.special, torch.Tensor]
    for place in [torch] if wanted else [places[1], places[0], *places[2:]]:
        found = place
        for part in (wanted or name).split("."):
            found = getattr(found, part, None)
        if callable(found):
            return found
    raise AssertionError(f"torch has no {wanted or name}: give the case torch=..., or torch=False")


TWINS = [
    (n, d) for n, c in CASES.items() if c.torch is not False for d in c.dtypes if d not in UNSIGNED
]


def theirs(array, grad=False):
    """A torch tensor of an array."""
    import torch

    array = np.array(array, order="C")
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).requires_grad_(grad)
    plain = torch.from_numpy(array).clone(memory_format=torch.contiguous_format)
    return plain.requires_grad_(grad)


def mapped(value):
    """Tallow's dtypes as torch's."""
    import torch

    if isinstance(value, tl.DType):
        return getattr(torch, DTYPES[value.name])
    if isinstance(value, list | tuple):
        return type(value)(map(mapped, value))
    if isinstance(value, dict):
        return {k: dtype_of(v) if k == "dtype" else mapped(v) for k, v in value.items()}
    return value


def dtype_of(value):
    """torch's dtype for one of ours, or its name."""
    return mapped(as_dtype(value) if isinstance(value, str) else value)


def run_torch(name, sample, array):
    args, kwargs = convert(mapped(sample.args), array), convert(mapped(sample.kwargs), array)
    out = reference(name)(*args, **kwargs)
    settled = CASES[name].output
    return out if settled is None else settled(out)


def as_array(x):
    """A torch result as numpy, halves as f64; and its dtype in Tallow's names."""
    import torch

    if not isinstance(x, torch.Tensor):
        return x, None
    kind = {v: k for k, v in DTYPES.items()}[str(x.dtype).removeprefix("torch.")]
    x = x.detach().resolve_conj().resolve_neg()
    return (x.double() if kind in FLOATS else x).numpy(force=True), kind


def agree(got, wanted, case, said):
    mine, other = laws.leaves(got), laws.leaves(wanted)
    assert len(mine) == len(other), f"{said}: {len(other)} results expected, got {len(mine)}"
    for g, w in zip(mine, other, strict=True):
        values, kind = as_array(w)
        if kind is None:
            assert g == w or (g != g and w != w), f"{said}: expected {w}, got {g}"
            continue
        assert g.dtype.name == kind, f"{said}: expected {kind}, got {g.dtype.name}"
        assert tuple(g.shape) == values.shape, f"{said}: expected {values.shape}, got {g.shape}"
        if not case.random:
            laws.near(laws.numpy_of(g), values, kind, 2 * case.factor, said, case.torch_error)


@pytest.mark.parametrize(("name", "dtype"), TWINS)
def test_values_are_torchs(name, dtype):
    case = CASES[name]
    for sample in samples(name, dtype):
        wanted = run_torch(name, sample, theirs)
        agree(call(name, sample, tensor), wanted, case, f"{name}{sample}")
        if case.layouts:
            agree(call(name, sample, laws.mixed()), wanted, case, f"{name}{sample}, mixed")


def has_gradient(name, dtype):
    case = CASES[name]
    return (
        case.gradient and case.torch_gradient and not case.random and dtype in (*FLOATS, *COMPLEX)
    )


@pytest.mark.parametrize(("name", "dtype"), [p for p in TWINS if has_gradient(*p)])
def test_gradients_are_torchs(name, dtype):
    import torch

    for sample in samples(name, dtype):
        given, ours = [], []

        def leaf(x, given=given):
            made = theirs(x, x.dtype == NUMPY[dtype])
            given.extend([made] if made.requires_grad else [])
            return made

        def own(x, ours=ours):
            made = tensor(x)
            ours.extend([made.requires_grad_()] if x.dtype == NUMPY[dtype] else [])
            return made

        outs = [y for y in laws.leaves(run_torch(name, sample, leaf)) if wants(y)]
        if not outs or not given:
            continue
        result = call(name, sample, own)
        mine = [y for y in laws.leaves(result) if isinstance(y, tl.Tensor) and y.requires_grad]
        said = f"gradient of {name}{sample}"
        assert len(mine) == len(outs), f"{said}: {len(outs)} outputs with a gradient expected"
        rng = np.random.default_rng(0)
        weights = [weight(y, rng) for y in mine]
        wanted = torch.autograd.grad(outs, given, [theirs(w) for w in weights], allow_unused=True)
        got = tl.autograd.grad(mine, ours, [tensor(w) for w in weights], allow_unused=True)
        for g, w, x in zip(got, wanted, given, strict=True):
            w = torch.zeros_like(x) if w is None else w
            g = tl.zeros(tuple(x.shape), dtype=dtype) if g is None else g
            agree([g], [w], loose(CASES[name]), said)


def wants(y):
    return hasattr(y, "requires_grad") and y.requires_grad


def weight(y, rng):
    values = rng.standard_normal(y.shape)
    if y.dtype.kind == "c":
        values = values + 1j * rng.standard_normal(y.shape)
    return np.asarray(values).astype(NUMPY[y.dtype.name])


def loose(case):
    import dataclasses

    return dataclasses.replace(case, factor=4 * case.factor)


def test_rows_are_there():
    assert OPS
