"""Cases of the normalisations over other axes than the last one."""

from __future__ import annotations

from ops.table import FLOATS, Case


def batch_norm(d):
    mean, var, weight, bias = d.x((3,)), d.positive((3,)), d.x((3,)), d.x((3,))
    return [
        d(d.x((4, 3)), None, None, weight, bias, True),
        d(d.x((2, 3, 4)), None, None, None, None, True, 0.1, 1e-3),
        d(d.x((2, 3, 2, 2)), mean, var, weight, bias),
    ]


def whiten(d):
    x = d.x((4, 3, 2))
    wide = x.astype("float64" if d.dtype == "f64" else "float32")
    mean = wide.mean((0, 2), keepdims=True)
    rest = (wide - mean).mean((0, 2), keepdims=True)
    rstd = (wide.var((0, 2), keepdims=True) + 1e-5) ** -0.5
    moments = (m.astype(wide.dtype) for m in (mean, rest, rstd))
    return [d(x, d.x((3,)), d.x((3,)), *moments)]


def torch_whiten(input, weight, bias, mean, rest, rstd, eps=1e-5):
    import torch

    return torch.nn.functional.batch_norm(input, None, None, weight, bias, True)


def torch_batch_norm(
    input, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    import torch

    if training:
        return torch.nn.functional.batch_norm(input, mean, var, weight, bias, True, momentum, eps)
    # torch's own has no gradient for the statistics.
    mean, var, weight, bias = (
        p if p is None else p.reshape(1, -1, *(1,) * (input.ndim - 2))
        for p in (mean, var, weight, bias)
    )
    out = (input - mean) / (var + eps).sqrt()
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


def by_statistics(d):
    mean, var, weight, bias = d.x((3,)), d.positive((3,)), d.x((3,)), d.x((3,))
    x = d.x((2, 3, 5, 4))
    return [
        d(x, mean, var, weight, bias),
        d(x, mean, var, None, None, 1e-3),
        d(d.x((4, 3)), mean, var, weight, None),
    ]


def torch_by_statistics(input, mean, var, weight, bias, eps=1e-5):
    return torch_batch_norm(input, mean, var, weight, bias, eps=eps)


def torch_moments(x):
    axes = (0, *range(2, x.ndim))
    mean = x.mean(axes, keepdim=True)
    return mean, mean * 0, x.var(axes, unbiased=False, keepdim=True)


def torch_instance_norm(input, mean, var, weight=None, bias=None, use_input_stats=True):
    import torch

    if use_input_stats:
        return torch.nn.functional.instance_norm(input, mean, var, weight, bias)
    return torch_batch_norm(input, mean, var, weight, bias)


def torch_local_response_norm(input, *args):
    import torch  # which has no kernel for halves

    wide = input if input.dtype is torch.float64 else input.float()
    return torch.nn.functional.local_response_norm(wide, *args).to(input.dtype)


CASES = {
    "batch_norm": Case(batch_norm, torch=torch_batch_norm, hypothesis=False),
    "nn.batch_norm_by_statistics": Case(by_statistics, torch=torch_by_statistics, hypothesis=False),
    "nn.channel_moments": Case(
        lambda d: [d(d.x((2, 3, 5, 4))), d(d.x((6, 3)))],
        torch=torch_moments,
        gradient=False,
        hypothesis=False,
    ),
    # Finite differences of its reference would hold the statistics still.
    "nn.whiten_channels": Case(whiten, torch=torch_whiten, gradient=False, hypothesis=False),
    "group_norm": Case(
        lambda d: [
            d(d.x((2, 4, 3)), 2, d.x((4,)), d.x((4,))),
            d(d.x((2, 4)), 1),
            d(d.x((2, 6, 2, 2)), 3, d.x((6,)), None, 1e-3),
        ],
        hypothesis=False,
    ),
    "instance_norm": Case(
        lambda d: [
            d(d.x((2, 3, 4)), None, None, d.x((3,)), d.x((3,))),
            d(d.x((2, 3, 4)), d.x((3,)), d.positive((3,)), use_input_stats=False),
        ],
        torch=torch_instance_norm,
        hypothesis=False,
    ),
    "local_response_norm": Case(
        lambda d: [d(d.x((2, 5, 3)), 3, 0.5), d(d.x((2, 4, 2, 2)), 2, 0.1, 0.5, 2.0)],
        torch=torch_local_response_norm,
    ),
    "normalize": Case(
        lambda d: [d(d.x((3, 4))), d(d.x((3, 4)), 1.0, 0), d(d.x((3, 2, 4)), 3.0, -1)],
        dtypes=FLOATS,
    ),
}
