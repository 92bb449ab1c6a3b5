"""Every layer against torch's: names, outputs, gradients of inputs and parameters, buffers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tallow as tl
from nn.layer_cases import CASES
from tallow import nn

pytestmark = pytest.mark.needs_torch

# torch's gradient of log_probs supposes that a log_softmax follows; ours is the plain one, which
# the test compares behind a log_softmax.
BEHIND_LOG_SOFTMAX = ("CTCLoss",)
# Of these torch differentiates only the first input.
TARGET_FIXED = ("SoftMarginLoss",)


def drawn(spec, rng):
    """Arrays of a spec: shapes are drawn, arrays kept, tuples of shapes are tuples of arrays."""
    if isinstance(spec, tuple) and spec and isinstance(spec[0], tuple):
        return tuple(drawn(each, rng) for each in spec)
    return rng.normal(size=spec) if isinstance(spec, tuple) else spec


def made(value, library):
    """Arrays as tensors of one of the libraries; floats require a gradient when they are inputs."""
    if isinstance(value, tuple) and value and isinstance(value[0], np.ndarray):
        return tuple(made(each, library) for each in value)
    if not isinstance(value, np.ndarray):
        return value
    value = np.array(value, order="C")
    if library is tl:
        return tl.from_numpy(value).clone()
    return library.from_numpy(value).clone()


def leaves(values):
    for value in values:
        if isinstance(value, tuple):
            yield from leaves(value)
        elif hasattr(value, "requires_grad") and "float" in str(value.dtype).replace(
            "tl.f", "float"
        ):
            yield value


def floats(out):
    """The float tensors of a result, in order."""
    if isinstance(out, (tuple, list)):
        return [x for each in out for x in floats(each)]
    return [out] if out is not None and hasattr(out, "requires_grad") else []


def array(x):
    return np.asarray(x.detach().numpy())


def close(ours, theirs, what):
    np.testing.assert_allclose(array(ours), array(theirs), rtol=1e-7, atol=1e-9, err_msg=what)


def label(one):
    name, args, options, *_ = one
    options = [k if isinstance(v, np.ndarray) else f"{k}={v}" for k, v in options.items()]
    return f"{name}({', '.join([*map(str, args), *options])})"


@pytest.mark.parametrize("one", CASES, ids=label)
def test_layer(one):
    import torch

    name, args, options, inputs, call, train = one
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layers = []
        for library in (tl, torch):
            given = {k: made(v, library) for k, v in options.items()}
            layers.append(getattr(library.nn, name)(*args, **given).double().train(train))
        ours, theirs = layers
        rng = np.random.default_rng(3)
        for p in theirs.parameters():  # ones and zeros would hide a swapped pair
            p.data.copy_(torch.from_numpy(rng.normal(size=p.shape) * 0.5))
        state = theirs.state_dict()
        assert list(ours.state_dict()) == list(state)
        ours.load_state_dict({k: tl.from_numpy(v.numpy().copy()) for k, v in state.items()})
        assert repr(type(ours).__name__) in repr(ours) or type(ours).__name__ in repr(ours)
        arrays = [drawn(spec, rng) for spec in inputs]
        extra = {k: drawn(v, rng) if k != "output_size" else v for k, v in call.items()}
        results = []
        for library, layer in ((tl, ours), (torch, theirs)):
            xs = [made(x, library) for x in arrays]
            roots = list(leaves(xs[:1] if name in TARGET_FIXED else xs))
            for x in roots:
                x.requires_grad_()
            ys = list(xs)
            if name in BEHIND_LOG_SOFTMAX:
                ys[0] = xs[0].log_softmax(-1)
            more = {k: made(v, library) for k, v in extra.items()}
            outs = floats(layer(*ys, **more))
            total = 0
            for i, out in enumerate(outs):
                if out.requires_grad:
                    # Weights of all sizes, so that no two elements may be swapped.
                    w = np.cos(np.arange(out.numel()) + i).reshape(tuple(out.shape))
                    total = total + (out * made(w, library)).sum()
            if not isinstance(total, int):
                total.backward()
            results.append(
                (outs, roots, dict(layer.named_parameters()), dict(layer.named_buffers()))
            )
    (outs, roots, params, buffers), (outs_t, roots_t, params_t, buffers_t) = results
    assert len(outs) == len(outs_t)
    for i, (a, b) in enumerate(zip(outs, outs_t, strict=True)):
        assert a.shape == tuple(b.shape)
        close(a, b, f"output {i}")
    for i, (a, b) in enumerate(zip(roots, roots_t, strict=True)):
        if b.grad is not None:
            assert a.grad is not None, f"input {i} has no gradient"
            close(a.grad, b.grad, f"gradient of input {i}")
    assert list(params) == list(params_t)
    for key, p in params_t.items():
        close(params[key], p, key)
        if p.grad is not None:
            assert params[key].grad is not None, f"{key} has no gradient"
            close(params[key].grad, p.grad, f"gradient of {key}")
    assert list(buffers) == list(buffers_t)
    for key, b in buffers_t.items():
        close(buffers[key], b, key)


PRINTED = [
    "Linear(3, 4)", "Conv2d(3, 4, 3, padding=1, bias=False)", "BatchNorm2d(4)", "GroupNorm(2, 4)",
    "LayerNorm((3, 4))", "RMSNorm(4)", "Embedding(5, 4, padding_idx=1)", "LSTM(3, 4, 2)",
    "Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True))", "Dropout(0.2)", "MaxPool2d(2)",
    "ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU()])", "Flatten()", "GELU()",
    "ModuleDict({'a': nn.Linear(2, 2)})", "ELU()", "Softmax(dim=1)", "Upsample(scale_factor=2.0)",
    "ConvTranspose1d(2, 4, 3, output_padding=1, stride=2)", "AdaptiveAvgPool2d((1, 1))",
    "MSELoss()", "CrossEntropyLoss()", "MultiheadAttention(4, 2)", "PReLU()",
    "TransformerEncoderLayer(4, 2, 8)", "ZeroPad2d(1)", "AvgPool2d(2)",
]  # fmt: skip


@pytest.mark.parametrize("text", PRINTED)
def test_printed_as_torch_prints(text):
    import torch

    theirs = repr(eval(f"nn.{text}", {"nn": torch.nn}))
    assert repr(eval(f"nn.{text}", {"nn": nn})) == theirs


@pytest.mark.parametrize("sort", [True, False])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_packed_sequences(name, sort):
    import torch

    rng = np.random.default_rng(1)
    lengths = [6, 4, 4, 1] if sort else [4, 1, 6, 4]
    data = rng.normal(size=(4, 6, 5))
    theirs = getattr(torch.nn, name)(5, 3, 2, bidirectional=True, batch_first=True).double()
    ours = getattr(nn, name)(5, 3, 2, bidirectional=True, batch_first=True).double()
    state = {k: tl.from_numpy(v.numpy()) for k, v in theirs.state_dict().items()}
    ours.load_state_dict(state)
    found = []
    for library, layer in ((tl, ours), (torch, theirs)):
        utils = library.nn.utils.rnn
        x = made(data, library).requires_grad_()
        packed = utils.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=sort)
        out, last = layer(packed)
        padded, counts = utils.pad_packed_sequence(out, batch_first=True)
        (padded * padded).sum().backward()
        found.append((packed, padded, counts, last, x.grad))
    (packed, padded, counts, last, grad), (packed_t, padded_t, counts_t, last_t, grad_t) = found
    close(packed.data, packed_t.data, "packed")
    assert packed.batch_sizes.tolist() == packed_t.batch_sizes.tolist()
    close(padded, padded_t, "padded")
    assert counts.tolist() == counts_t.tolist()
    for a, b in zip(floats(last), floats(last_t), strict=True):
        close(a, b, "last state")
    close(grad, grad_t, "gradient")


def test_every_layer_of_torch_is_here():
    import torch

    left_out = {
        "AdaptiveLogSoftmaxWithLoss", "Buffer", "Container", "CrossMapLRN2d",
        "DataParallel", "LinearCrossEntropyLoss", "LinearCrossEntropyOptions",
        "RNNCellBase", "SyncBatchNorm", "UninitializedBuffer", "UninitializedParameter",
    }  # fmt: skip
    names = {
        name
        for name, value in vars(torch.nn).items()
        if isinstance(value, type) and not name.startswith(("_", "Lazy"))
    }
    assert names - set(dir(nn)) <= left_out
