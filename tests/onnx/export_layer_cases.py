"""Cases of reductions, layers and images for the exporter: as `export_cases`."""

from __future__ import annotations

import tallow as tl
from tallow import nn
from tallow.nn import functional as F
from tallow.ops.recurrent import lstm_sequence

from .export_cases import IMAGE, B, I, J, X, Y, Z, f, i

RECURRENT = f(12, 3), None, f(2, 3), f(2, 3)  # weight, no bias, first states

CASES = {
    # --- constants of sizes ---
    "arange": (lambda x: tl.arange(len(x)) + tl.arange(2, 2 * len(x) + 2, 2), X),
    "positions": (lambda x: tl.arange(x.shape[0])[:, None] - tl.arange(x.shape[0]), X),
    "float_range": (lambda x: tl.arange(len(x), dtype=tl.f32) * 0.5, X),
    "filled": (
        lambda x: (tl.zeros(len(x), 2), tl.full((2, len(x)), 1.5), tl.ones_like(x), tl.eye(len(x))),
        X,
    ),
    "size_as_number": (lambda x: x * len(x) + x.sum() * (x.shape[0] * 2 + 1), X),
    "bools": (lambda x: tl.ones(len(x), dtype=tl.bool), X),
    # --- reductions ---
    **{
        n: (lambda x, n=n: [getattr(x, n)(d, k) for d in (0, -1, (1, 2)) for k in (False, True)], Z)
        for n in ("sum", "mean", "amax", "amin")
    },
    "whole": (lambda x: (x.sum(), x.mean(), x.amax(), x.max(), x.prod()), f(3, 2)),
    "sum_int": (lambda x: (x.sum(1), x.sum()), J),
    "sum_bool": (lambda x: x.sum(1), B),
    "any_all": (lambda x: (x.any(1), x.all(1), x.any(), x.gt(-9).all()), B),
    "var": (lambda x: (x.var(1), x.std(-1), x.var(1, unbiased=False)), Z),
    "argmax": (lambda x: (x.argmax(1), x.argmin(-1), x.argmax(), x.argmax(0, True)), X),
    "argmax_int": (lambda x: x.argmax(1), I),
    "max_of_axis": (lambda x: (*x.max(1), *x.min(-1)), X),
    "softmax": (lambda x: (x.softmax(-1), x.softmax(1), x.log_softmax(-1), x.logsumexp(-1)), Z),
    "cumsum": (lambda x: (x.cumsum(1), x.cumsum(0)), X),
    "cumsum_int": (lambda x: x.cumsum(1), I),
    "topk": (lambda x: (*x.topk(2), *x.topk(2, 1, largest=False), *x.sort(-1)), X),
    "kthvalue": (lambda x: (*x.kthvalue(2, 1), *x.kthvalue(1, -1, True)), X),
    "norms": (
        lambda x: (x.norm(dim=1), x.norm(1, 1), tl.linalg.vector_norm(x), F.normalize(x, dim=1)),
        X,
    ),
    "one_hot": (lambda x: F.one_hot(x, 5), I),
    # --- positions ---
    "embedding": (lambda x: F.embedding(x, f(5, 6)), I),
    "index": (lambda x, j: (x[:, [0, 2]], x[[0, 1]], x[j], x[0, [1, 2], [0, 3]]), Z, i(3, most=2)),
    "index_axes": (lambda x: x[:, tl.tensor([0, 1]), tl.tensor([2, 3])], Z),
    "index_select": (lambda x: x.index_select(1, tl.tensor([2, 0])), X),
    "gather": (lambda x, j: x.gather(1, j), X, i(3, 2, most=4)),
    "take_along_dim": (lambda x, j: x.take_along_dim(j, 1), X, i(3, 2, most=4)),
    "scatter": (
        lambda x, j, y: (x.scatter(1, j, y), x.scatter(1, j, 2.0)),
        X,
        i(3, 1, most=4),
        Y[:, :1],
    ),
    "scatter_add": (lambda x, j, y: x.scatter_add(1, j, y), X, i(3, 2, most=4), Y[:, :2]),
    "index_add": (
        lambda x: (
            x.index_add(1, tl.tensor([0, 2]), x[:, :2]),
            x.index_copy(1, tl.tensor([3, 1]), x[:, :2]),
        ),
        X,
    ),
    # --- layers ---
    "matmul": (lambda x, y: (x @ y.mT, x[0] @ y[0], x @ y[0]), f(3, 4, 4), f(3, 4, 4) + 1),
    "vectors": (lambda x: (x @ x[0], x[0] @ x[1]), X),
    "einsum": (lambda x, y: tl.einsum("bij,bkj->bik", x, y), Z, Z + 1),
    "linear": (lambda x: F.linear(x, f(6, 4), f(6)), X),
    "layer_norm": (
        lambda x: (
            F.layer_norm(x, (5,)),
            F.layer_norm(x, (5,), f(5), f(5)),
            F.layer_norm(x, (4, 5)),
        ),
        Z,
    ),
    "rms_norm": (lambda x: (F.rms_norm(x, (5,)), F.rms_norm(x, (5,), f(5))), Z),
    "group_norm": (lambda x: (F.group_norm(x, 2), F.group_norm(x, 2, f(4), f(4))), f(2, 4, 3, 3)),
    "instance_norm": (lambda x: F.instance_norm(x), IMAGE),
    "batch_norm": (lambda x: F.batch_norm(x, f(3), f(3, positive=True), f(3), f(3)), IMAGE),
    "attention": (lambda x: F.scaled_dot_product_attention(x, x, x), f(2, 2, 5, 4)),
    "attention_causal": (
        lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
        f(2, 2, 5, 4),
    ),
    "attention_mask": (
        lambda x, m: F.scaled_dot_product_attention(x, x, x, attn_mask=m[:, None, None]),
        f(3, 2, 4, 4),
        tl.tensor([[True, False, True, True], [False] * 4, [True] * 4]),
    ),
    "attention_added": (
        lambda x, m: F.scaled_dot_product_attention(x, x, x, attn_mask=m[:, None, None]),
        f(3, 2, 4, 4),
        X,
    ),
    "attention_shared_keys": (
        lambda q, k: tl.ops.attention(q, k, k, causal=True, window=2, softcap=5.0),
        f(2, 4, 5, 4),
        f(2, 2, 5, 4),
    ),
    "rope": (
        lambda x: tl.ops.rope(x, tl.ops.rope_table(tl.arange(5)[None], f(2).abs())),
        f(2, 5, 2, 4),
    ),
    # --- images ---
    "conv2d": (
        lambda x: (
            F.conv2d(x, f(4, 3, 3, 3), f(4), padding=1),
            F.conv2d(x, f(6, 1, 3, 3), stride=2, groups=3),
            F.conv2d(x, f(4, 3, 3, 3), padding="same"),
            F.conv2d(x, f(4, 3, 2, 2), dilation=2, padding=(1, 0)),
        ),
        IMAGE,
    ),
    "conv1d": (lambda x: F.conv1d(x, f(2, 3, 3), padding=1), f(2, 3, 8)),
    "conv3d": (lambda x: F.conv3d(x, f(2, 3, 2, 2, 2)), f(2, 3, 4, 4, 4)),
    "conv_transpose": (
        lambda x: (
            F.conv_transpose2d(x, f(3, 4, 2, 2), f(4), stride=2),
            F.conv_transpose2d(x, f(3, 2, 3, 3), stride=2, padding=1, output_padding=1),
        ),
        IMAGE,
    ),
    "max_pool": (
        lambda x: (
            F.max_pool2d(x, 2),
            F.max_pool2d(x, 3, 2, 1),
            F.max_pool2d(x, 3, 2, ceil_mode=True),
        ),
        IMAGE,
    ),
    "avg_pool": (
        lambda x: (
            F.avg_pool2d(x, 2),
            F.avg_pool2d(x, 3, 2, 1),
            F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        ),
        IMAGE,
    ),
    "avg_pool_ceil": (lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True), IMAGE),
    "adaptive_pools": (
        lambda x: (
            F.adaptive_avg_pool2d(x, 1),
            F.adaptive_avg_pool2d(x, (2, 4)),
            F.adaptive_avg_pool2d(x, 3),
        ),
        IMAGE,
    ),
    "nearest": (
        lambda x: (
            F.interpolate(x, scale_factor=2),
            F.interpolate(x, (5, 11)),
            F.interpolate(x, (5, 11), mode="nearest-exact"),
        ),
        IMAGE,
    ),
    "bilinear": (
        lambda x: (
            F.interpolate(x, scale_factor=1.5, mode="bilinear"),
            F.interpolate(x, (5, 11), mode="bilinear"),
            F.interpolate(x, (5, 11), mode="bilinear", align_corners=True),
        ),
        IMAGE,
    ),
    "bicubic": (
        lambda x: (
            F.interpolate(x, (12, 11), mode="bicubic"),
            F.interpolate(x, (12, 5), mode="bicubic", align_corners=True),
        ),
        IMAGE,
    ),
    "linear_signal": (lambda x: F.interpolate(x, 11, mode="linear"), f(2, 3, 8)),
    "grid_sample": (
        lambda x, y: [
            F.grid_sample(x, y, mode=m, padding_mode=p, align_corners=a)
            for m in ("bilinear", "nearest")
            for p in ("zeros", "border")
            for a in (False, True)
        ],
        IMAGE,
        f(2, 4, 5, 2) / 1.7,
    ),
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), f(2, 4, 3, 3)),
    "unfold_image": (lambda x: F.unfold(x, 2, stride=2), IMAGE),
    "dropout": (lambda x: F.dropout(x, 0.5, training=False), X),
    "lstm": (nn.LSTM(4, 3, batch_first=True), f(2, 5, 4)),
    "lstm_over_time": (nn.LSTM(4, 3, 2, bias=False), f(5, 2, 4)),
    "lstm_both_ways": (nn.LSTM(4, 3, bidirectional=True, batch_first=True), f(2, 5, 4)),
    "lstm_of_any_input": (
        lambda x: lstm_sequence(x, *RECURRENT, None, False, (0, 2, 3, 1)),
        f(5, 2, 12),
    ),
    "gru_over_time": (nn.GRU(4, 3, bidirectional=True), f(5, 2, 4)),
    "gru_of_one": (nn.GRU(4, 3), f(5, 4)),
    "gru": (nn.GRU(4, 3, 2, batch_first=True, bidirectional=True), f(2, 5, 4)),
}
