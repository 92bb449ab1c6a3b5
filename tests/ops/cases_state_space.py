"""Cases of recurrences over a state, and what they mean in numpy, a position at a time."""

from __future__ import annotations

import numpy as np

from ops.table import WIDE, Case, Draw


def shapes(d: Draw):
    """Batch, positions, channels and what counts of each row, or nothing."""
    return [(1, 1, 5, None), (2, 3, 17, np.array([3, 1])), (2, 2, 8, None)]


def convolutions(d: Draw):
    return [
        d(d.x((b, n, c)), d.x((c, taps), -1, 1), d.x((c,)) if silu else None, None, counts, silu)
        for (b, n, c, counts), (taps, silu) in zip(
            shapes(d), [(4, True), (3, False), (1, True)], strict=True
        )
    ]


def convolution(x, weight, bias, state, counts, silu):
    taps = weight.shape[1]
    padded = np.concatenate([np.zeros_like(x[:, : taps - 1]) if taps <= x.shape[1] + 1 else
                             np.zeros((len(x), taps - 1, x.shape[2])), x], 1)  # fmt: skip
    out = sum(padded[:, k : k + x.shape[1]] * weight[:, k] for k in range(taps))
    out = out if bias is None else out + bias
    return counted(out / (1 + np.exp(-out)) if silu else out, counts)


def scans(d: Draw):
    return [
        d(
            d.x((b, n, c)), d.positive((b, n, c), 0.1, 1), d.x((c, size), -2, 0),
            d.x((b, n, size)), d.x((b, n, size)), d.x((c,)) if size > 3 else None, None, counts,
        )
        for (b, n, c, counts), size in zip(shapes(d), (3, 4, 16), strict=True)
    ]  # fmt: skip


def scan(x, dt, a, b, c, skip, state, counts):
    h, out = np.zeros((len(x), *a.shape)), np.zeros_like(x)
    for t in range(x.shape[1]):
        h = np.exp(dt[:, t, :, None] * a) * h + (dt * x)[:, t, :, None] * b[:, t, None]
        out[:, t] = np.einsum("bcn,bn->bc", h, c[:, t])
    return counted(out if skip is None else out + skip * x, counts)


def attentions(d: Draw):
    made = []
    sizes = [(2, 1, 3, 5), (4, 2, 4, 2), (2, 2, 3, 4)]
    kinds = ("decay", "delta", "bonus")
    for (b, n, _, counts), each, kind in zip(shapes(d), sizes, kinds, strict=True):
        heads, groups, keys, values = each
        many = (b, n, groups, keys)
        decay = d.positive((b, n, heads, *[keys] * (kind != "decay")), 0.1, 1)
        rule = [d.x(many, -1, 1) for _ in range(2)] if kind == "delta" else [None, None]
        bonus = d.x((heads, keys)) if kind == "bonus" else None
        v = d.x((b, n, heads, values))
        made.append(d(d.x(many, -1, 1), d.x(many, -1, 1), v, decay, *rule, bonus, None, counts))
    return made


def attention(q, k, v, decay, remove, write, bonus, state, counts):
    each = v.shape[2] // q.shape[2]
    q, k, remove, write = (
        None if part is None else np.repeat(part, each, 2) for part in (q, k, remove, write)
    )
    decay = decay[..., None] if decay.ndim == 3 else decay
    s, out = np.zeros((len(v), v.shape[2], q.shape[3], v.shape[3])), np.zeros_like(v)
    for t in range(v.shape[1]):
        outer = k[:, t, :, :, None] * v[:, t, :, None]
        fresh = decay[:, t, :, :, None] * s + outer
        if remove is not None:
            gone = np.einsum("bhk,bhkv->bhv", remove[:, t], s)
            fresh = fresh + write[:, t, :, :, None] * gone[:, :, None]
        read = fresh if bonus is None else s + bonus[:, :, None] * outer
        out[:, t], s = np.einsum("bhk,bhkv->bhv", q[:, t], read), fresh
    return counted(out, counts)


def recurrences(d: Draw):
    return [
        d(d.positive((b, n, c), 0.1, 1), d.x((b, n, c)), None, counts)
        for b, n, c, counts in shapes(d)
    ]


def recurrence(decay, x, state, counts):
    h, out = np.zeros_like(x[:, 0]), np.zeros_like(x)
    for t in range(x.shape[1]):
        out[:, t] = h = decay[:, t] * h + x[:, t]
    return counted(out, counts)


def counted(out, counts):
    if counts is not None:
        for row, count in enumerate(counts):
            out[row, int(count) :] = 0
    return out


def case(samples, numpy) -> Case:
    return Case(samples, WIDE, torch=False, numpy=numpy, factor=4, hypothesis=False)


CASES = {
    "nn.causal_conv1d": case(convolutions, convolution),
    "nn.selective_scan": case(scans, scan),
    "nn.linear_attention": case(attentions, attention),
    "nn.gated_recurrence": case(recurrences, recurrence),
}
