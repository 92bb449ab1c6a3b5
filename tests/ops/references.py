"""What the ops of transformers compute, in numpy."""

import math

import numpy as np

erf = np.vectorize(math.erf, otypes=[float])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ACTS = {
    "": lambda x: x,
    "gelu": lambda x: x * 0.5 * (1 + erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x * sigmoid(x),
}


def linear_act(x, weight, bias=None, residual=None, act=""):
    found = ACTS[act](x @ weight.T + (0 if bias is None else bias))
    return found if residual is None else found + residual


def softmax(x, dim=-1):
    if not x.ndim:
        return np.ones(())
    e = np.exp(x - x.max(dim, keepdims=True, initial=-np.inf))
    return e / e.sum(dim, keepdims=True)


def norm(x, shift, eps):
    h = x - x.mean(-1, keepdims=True) if shift else x
    return h / np.sqrt((h * h).mean(-1, keepdims=True) + eps)


def rms_norm(x, weight, eps=1e-6):
    return norm(x, False, eps) * weight


def layer_norm(x, weight=1, bias=0, eps=1e-5):
    return norm(x, True, eps) * weight + bias


def rope_table(positions, freqs, scale=1.0):
    angle = positions[..., None] * np.asarray(freqs, np.float64)
    return np.concatenate([np.cos(angle) * scale, np.sin(angle) * scale], -1).astype(np.float32)


def rope(x, table, interleaved=False):
    out, r = x.astype(np.float64), table.shape[-1] // 2
    for i in range(r):
        p, q = (2 * i, 2 * i + 1) if interleaved else (i, i + r)
        c, s = table[..., i, None], table[..., i + r, None]
        out[..., p], out[..., q] = x[..., p] * c - x[..., q] * s, x[..., p] * s + x[..., q] * c
    return out.astype(x.dtype)


def attention(d):
    def qkv():
        return d.x((2, 4, 3, 8), -1, 1), d.x((2, 2, 5, 8), -1, 1), d.x((2, 2, 5, 6))

    yield d(*qkv())
    yield d(*qkv(), causal=True)
    yield d(*qkv(), causal=True, start=d.ints((2,), 1, 3))
    yield d(*qkv(), window=2)
    yield d(*qkv(), softcap=2.0, scale=0.3)


def attention_per_head(d):
    def qkv():
        return d.x((2, 4, 3, 8), -1, 1), d.x((2, 2, 5, 8), -1, 1), d.x((2, 2, 5, 6))

    yield d(*qkv(), sinks=d.x((4,), -1, 1))
    yield d(*qkv(), slopes=d.x((4,), 0, 1), causal=True, start=d.ints((2,), 1, 3))
    yield d(*qkv(), chunk=2, causal=True, sinks=d.x((4,), -1, 1), softcap=2.0)
