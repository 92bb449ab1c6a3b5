"""A valid call of every kernel as text, and arrays of any layout for it in guarded memory."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from tallow import _native

CODES = {name: code for code, (name, *_) in enumerate(_native.DTYPES)}
BYTES = {code: row[1] for code, row in enumerate(_native.DTYPES)}
BLOCKS = {code: row[2] for code, row in enumerate(_native.DTYPES)}
KINDS = {code: row[3] for code, row in enumerate(_native.DTYPES)}
SIGNATURES = dict(_native.kernel_names())

# An array is its shape, `:dtype` where that is fixed, `=values` (repeated) where they matter; else
# a number, or `none`.
_IMAGE = "1 1 1 0 -1 -1 1 1 1"
_NO_PADS = " 0" * 10
_POOL = "0 2 2 1 1 1 0 0 0 1 1 1"
# How many states, of which the last is the master copy, and numbers.
_OPTIMISED = {
    "sgd_step": (2, "0.1 1 0.01 0.9 0.9 0.9 1"),
    "adam_step": (4, "1 0.01 0.9 0.9 0.99 0.1 1.1 0.001"),
    "nadam_step": (3, "1 0.01 0.9 0.9 0.99 0.1 0.2 1.1 0.001"),
    "radam_step": (3, "1 0.01 0.9 0.9 0.99 0.1 0.001 1"),
    "adamax_step": (3, "1 0.01 0.9 0.99 0.1 0.001"),
    "rmsprop_step": (4, "0.1 1 0.01 0.9 0.001 0.9"),
    "adagrad_step": (2, "0.1 1 0.01 0.001"),
    "adadelta_step": (3, "0.1 1 0.01 0.9 0.001"),
    "lion_step": (2, "0.1 1 0.9 0.9 0.99"),
}
CALLS: dict[str, list[str]] = {
    "conv_act": [
        f"1,2,4,4 1,2,4,4 2,2,3,3 2 1,2,4,4 1 {_IMAGE} 1",
        f"1,24,12,14 1,24,12,14 24,24,3,3 24 1,24,12,14 2 {_IMAGE} 1",
        f"2,4,5 2,4,5 4,1,3 none none 0 {_IMAGE} 4",
    ],
    "conv_last": [  # where the result of contiguous arrays lies channels-last, too
        "2,24,1,1 2,3,4,4 2,48,16 24 2,24,1,1 7 1 1 0 0 1 1 4 4",
        "1,1,6,7 1,5,6,7 1,45,16 none none 4 1 1 -1 -1 1 1 3 3",
        "20,44,1,1 20,50,1,1 3,50,16 44 20,44,1,1 0 1 1 0 0 1 1 1 1",
    ],
    "conv_last_weight": ["2,54,16 20,6,3,3", "1,4,16 16,4,1,1"],
    # Of images whose channels lie next to each other: in order they do where there is one channel,
    # or one pixel.
    "conv_depthwise_last": [
        "2,1,4,5 2,1,4,5 9,1 1 2,1,4,5 1 1 1 -1 -1 1 1 3 3",
        "2,24,1,1 2,24,1,1 9,24 24 2,24,1,1 5 1 1 -1 -1 1 1 3 3",
        "1,24,1,1 1,24,1,1 10,24 none none 4 2 2 -3 -1 2 1 5 2",
    ],
    "conv_transformed": [
        f"1,24,12,14 1,24,12,14 16,24,24 24 1,24,12,14 4 {_IMAGE} 1",
        f"2,48,7,7 2,48,7,7 16,48,24 none none 0 {_IMAGE} 2",
        f"2,50,7,9 2,48,7,9 36,56,24 none 2,50,7,9 4 {_IMAGE} 2",
        "2,8,7,9 2,4,7,9 36,10,4 8 2,8,7,9 4 1 1 1 0 -2 -3 1 2 3 1",
    ],
    "linear_most_likely": [
        "2,3:i64 2,3 2,3,7 3,7,16 40 40",
        "50:i64 50 50,4 33,4,16 none 515",
        "1:i64 1 1,1 1,1,16 none 1",
    ],
    "winograd_weight": ["16,24,24 24,24,3,3 1", "36,16,24 15,24,3,3 1", "16,20,24 20,24,3,3 2"],
    "conv": [
        f"1,2,4,4 1,2,4,4 2,2,3,3 2 {_IMAGE} 1",
        f"2,4,5 2,4,5 4,1,3 4 {_IMAGE} 4",
        f"1,24,12,14 1,24,12,14 24,24,3,3 24 {_IMAGE} 1",
    ],
    "int8_columns": ["9000:u8 64,33:u8 33:u8", "9000:u8 37,20:i8 none"],
    "quantize_dynamic": ["5,70:u8 1 1:u8 5,70", "1:u8 1 1:u8 1"],
    "int8_rows": ["2000:u8 6,40:i8 6:i8 2", "2000:u8 5,33:u8 none 1"],
    "conv_int8": [
        f"1,2,4,4:i32 1,2,4,4:u8 2,2,3,3:i8 1:u8 2:i8 none none none none {_IMAGE} 1",
        "2,40,5,6:u8 2,8,9,11:i8 40,8,3,3:u8 1:i8 1:u8 40:f32 40:i32 1:u8 none 1 2 2 0 0 0 1 1 1 1",
        f"1,6,4,4:f32 1,6,4,4:u8 6,1,3,3:u8 none none 1:f32 6:f32 none none {_IMAGE} 6",
        "1,5,4,4:i32 1,3,4,4:u8 5,3,1,1:i8 1:u8 5:i8 none none none 1000:u8 1 1 1 0 0 0 1 1 1 1",
    ],
    "matmul_int8": [
        "1,5,40:i32 1,5,37:u8 1,37,40:i8 1:u8 40:i8 none none none none",
        "2,6,3:f32 2,6,70:i8 2,70,3:u8 12:i8 1:u8 3:f32 3:f32 none none",
        "1,3,33:i8 1,3,64:u8 1,64,33:u8 1:u8 none 1:f32 33:i32 1:i8 9000:u8",
    ],
    "conv_input_grad": [
        f"1,2,4,4 1,2,4,4 2,2,3,3 2 {_IMAGE} 1",
        "1,4,8,8 1,4,4,4 4,1,3,3 4 1 2 2 0 -1 -1 1 1 1 4",
    ],
    "conv_weight_grad": [
        f"2,2,3,3 1,2,4,4 1,2,4,4 {_IMAGE} 1",
        f"4,1,3,3 1,4,4,4 1,4,4,4 {_IMAGE} 4",
    ],
    "unfold": ["1,8,9 1,2,4,4 2 2 1 1 0 0 1 1", "1,18,16 1,2,4,4 3 3 1 1 1 1 1 1"],
    "fold": ["1,2,4,4 1,8,9 2 2 1 1 0 0 1 1", "1,2,4,4 1,18,16 3 3 1 1 1 1 1 1"],
    "avg_pool": [f"1,2,3,3 1,2,4,4 {_POOL} 1 0", "1,2,4 1,2,9 1 1 3 1 1 2 0 0 1 1 1 1 0 2.5"],
    "max_pool": [f"1,2,3,3 1,2,4,4 {_POOL}", "1,2,3 1,2,7 0 0 0 1 1 1 0 0 0 1 1 1"],
    "max_pool_indices": [
        f"1,2,3,3 1,2,3,3:i64 1,2,4,4 {_POOL}",
        "1,2,3 1,2,3:i64 1,2,7 0 0 0 1 1 1 0 0 0 1 1 1",
    ],
    "plane_gather": ["2,2,5 2,2,7 2,2,5:i64=6,0,3"],
    "plane_scatter": ["2,2,7 2,2,5 2,2,5:i64=6,0,3 1", "2,2,7 2,2,5 2,2,5:i64=6,0,3 0"],
    "resample": [
        "2,3,5 2,4,5 1 3:i64=0,1,2 4:i64=0,1,2,3 3:f64=0.5",
        "3,2,2,5 4,2,2,5 0 3:i64=0,1,2 4:i64=0,1,2,3 3:f64=0.5",
    ],
    "repeat_pixels": ["2,6,8 2,3,4 2 2", "3,15 3,5 1 3", "1,2,12,3 1,2,3,3 4 1"],
    "index": ["4,3 5,3 1,4:i64=4,0,-1 0", "4 5,3 2,4:i64=2,0,1 0", "3,4 3,5 4:i32=4,0,-1 1"],
    "index_put": ["5,3 5,3 1,4:i64=4,0,-1 4,3 0 0", "3,5 3,5 4:i32=2,0,1 3,4 1 1"],
    "index_write": ["5,3 1,4:i64=4,0,-1 4,3 0", "5,3 2,4:i64=2,0,1 4 0"],
    "gather": ["3,4 5,4 0 3,4:i64=4,0,2", "9 9 -1 9:i64=8,0,2", "3,2 3,4 1 2:i32=3,0"],
    "scatter": ["5,4 5,4 0 3,4:i64=4,0,2 3,4", "5,4 5,4 0 3:i32=4,0,2 3,4"],
    "scatter_add": ["5,4 5,4 0 3,4:i64=4,0,2 3,4", "5,4 5,4 -1 2:i64=3,1 5,2"],
    "scatter_reduce": ["5,4 5,4 0 3,4:i64=4,0,2 3,4 2", "9 9 0 9:i64=8,0,2 9 3"],
    "triangle": ["4,5 4,5 -1 0", "2,4,4 2,4,4 1 1"],
    "pad": [
        f"5,6 3,4 1 0 1 2{_NO_PADS}",
        f"5,6 3,4 none 0 1 -1{_NO_PADS}",
        f"2,5,6 2,3,4 none 1 1 2{_NO_PADS}",
        f"5,6 3,4 none 2 1 2{_NO_PADS}",
        f"3,4 3,4 none 3 1 2{_NO_PADS}",
    ],
    "flip": ["3,5 3,5 3", "2,3,5 2,3,5 2"],
    "mask_counts": ["2:i64 9:bool_"],
    "nonzero": ["1,1:i64 9:bool_=1,0,0,0,0,0,0,0,0 2:i64=0,1", "2,9:i64 3,3:bool_=1 2:i64=0,9"],
    "masked_select": ["1 9 9:bool_=1,0,0,0,0,0,0,0,0 2:i64=0,1"],
    "masked_scatter": ["9 9:bool_=0,0,0,0,0,0,0,0,1 2:i64=0,1 9"],
    "best_boxes": ["2,3,4:i64 2,9,4 2,3,9 0.3 0.2", "1,1,2:i64 1,70,4 1,1,70 0.9 0.0"],
    "sort": ["3,9 3,9:i64 3,9 0", "2,40 2,40:i64 2,40 1"],
    "order_statistic": ["3,1 3,1:i64 3,9 -1", "3,1 3,1:i64 3,9 4"],
    "row_order": ["5:i64 5,3"],
    "searchsorted": [
        "3,4:i64 3,9 3,4 3,9:i64=0,1,2,3,4,5,6,7,8 0",
        "4:i64 9 4 9:i64=8,7,6,5,4,3,2,1,0 1",
        "4:i64 9 4 none 1",
    ],
    "topk": ["3,2 3,2:i64 3,9 2 1"],
    "sample": [
        "1:i64 9 3:i64=1,2 1 3 1 0 1 0 0 0.5",
        "1:i64 90 0:i64 0.5 0 0.9 0.1 1.1 0.1 0.1 0.5",
    ],
    "embedding": ["3,8 3:i64=4,0,2 5,8", "3,32 3:i64=4,0,2 5,32:q8_0"],
    "kv_write": ["1,2,8,4 1,2,8,4 1,2,3,4 1,2,3,4 1:i64=5"],
    "matmul": ["3,5 3,4 4,5", "2,9,40 2,9,33 2,33,40"],
    "linear": ["3,5 3,4 5,4 5 0", "3,5 3,32 5,32:q8_0 5 0", "1,64 1,32 64,32:q4_0 none 1"],
    "linear_several": [
        "3,5 3,2 none 3,4 5,4 2,4 none 5 none none 0",
        "3,5 3,17 3,2 3,32 5,32:q8_0 17,32:q8_0 2,32:q8_0 none 17 none 0",
        "1,64 1,7 none 1,256 64,256:f16 7,256:f16 none none none none 0",
    ],
    "expert_linear": [
        "3,2,5 3,4 4,5,4 3,2:i64=0,3,2,2,1,0 4,5 0",
        "3,2,5 3,32 4,5,32:q8_0 3,2:i64=0,3,2,2,1,0 none 0",
        "1,3,20 1,3,32 4,20,32:q4_0 1,3:i64=0,3,2 4,20 0",
        "9,1,5 9,256 2,5,256:q4_k 9,1:i32=0,0,0,0,0,1,0,0,0 none 0",
        "2,2,5 2,2,256 3,5,256:f16 2,2:i64=0,2,2,1 none 1",
        "6,1,5 6,1,64 2,5,64:q4_1 6,1:i64=1 none 1",
    ],
    "expert_outer": [
        "4,5,6 3,2,5 3,6 3,2:i64=0,3,2,2,3,0",
        "2,5,6 3,2,5 3,2,6 3,2:i64=0,1,1,1,0,0",
    ],
    "interleave": ["320:u8 9,32:q4_0", "544:u8 5,64:q8_0", "320:u8 8,64:q4_1"],
    "linear_act": ["3,5 3,4 5,4 5 3,5 1 0", "3,5 3,32 5,32:q8_0 5 none 2 1"],
    "recurrent_weight": ["2,17,48 51,17 3 33", "1,5,64 20,5 4 228"],
    "lstm": [
        "3,2,5 2,5 2,5 3,2,20 1,5,64 20 2,5 2,5 2:i64=1,3 1 120",
        "3,2,5 2,5 2,5 3,2,20 20,5 20 2,5 2,5 2:i64=1,3 1 120",
        "1,1,17 1,17 1,17 1,1,68 68,17 none 1,17 1,17 none 0 228",
    ],
    "gru": [
        "3,2,17 2,17 3,2,51 2,17,48 none 2,17 none 0 33",
        "3,2,5 2,5 3,2,15 15,5 15 2,5 2:i64=1,3 0 33",
        "1,1,17 1,17 1,1,51 51,17 none 1,17 none 1 36",
    ],
    "causal_conv1d": [
        "2,3,5 2,3,5 5,4 5 2,3,5 2:i64=1,3 1",
        "1,2,70 1,2,70 70,2 none 1,1,70 none 0",
        "1,2,9 1,2,9 9,1 none none none 0",
    ],
    "selective_scan": [
        "2,3,5 2,3,5 2,3,5 5,4 2,3,4 2,3,4 5 2,5,4 2:i64=1,3",
        "1,2,17 1,2,17 1,2,17 17,16 1,2,16 1,2,16 none none none",
    ],
    "linear_attention": [
        "2,3,4,5 2,3,2,3 2,3,2,3 2,3,4,5 2,3,4 none none none 2,4,3,5 2:i64=1,3",
        "1,2,2,64 1,2,2,3 1,2,2,3 1,2,2,64 1,2,2,3 1,2,2,3 1,2,2,3 none 1,2,3,64 none",
        "1,2,2,5 1,2,1,3 1,2,1,3 1,2,2,5 1,2,2,3 none none 2,3 none none",
    ],
    "gated_recurrence": ["2,3,5 2,3,5 2,3,5 2,5 2:i64=1,3", "1,2,70 1,2,70 1,2,70 none none"],
    "sample_grid": [
        "2,3,7 2,3,4,5 2,7,2 0 1 0",
        "1,70,40 1,3,3,70 1,40,2 1 0 1",
        "1,5,1 1,1,1,5 1,1,2 0 0 1",
    ],
    "gather_sum": [
        "2,3,2 2,3,6 2:i64=0,1 2,2,2:i32=0,1,2,3,4,5,0,1 2,2,2 0",
        "1,37,2 1,3,37 1:i64=0 1,1,2:i32=2,0 1,1,2 1",
    ],
    "rope_table": ["1,3,8:f32 1,3:i64=0,1,2 4:f32 1"],
    "rope": [
        "1,2,3,8 1,2,3,8 1,2,8:f32 0",
        "2,2,3,9 2,2,3,9 1,2,4:f32 1",
        "1,2,3,99 1,2,3,99 1,2,86:f32 0",
    ],
    "attention": [
        "1,2,3,8 1,2,3,8 1,2,4,8 1,2,4,8 1:i64=1 1,1,3,4 1 1 0 0",
        "2,4,1,8 2,4,1,8 2,2,5,8 2,2,5,8 none none 0.5 0 0 0",
    ],
    "attention_per_head": [
        "1,2,3,8 1,2,3,8 1,2,4,8 1,2,4,8 1:i64=1 1,1,3,4 1 1 0 0 2:f32 2:f32 2",
        "2,4,1,8 2,4,1,8 2,2,5,8 2,2,5,8 none none 0.5 0 0 0 4:f32 none 0",
    ],
    "attention_backward": [
        "1,2,3,8 1,2,4,8 1,2,4,8 1,2,3,8 1,2,3,8 1,2,4,8 1,2,4,8 1:i64=1 1,1,3,4 1 1 0 0"
    ],
    "quantize": [
        "2,64:q8_0 2,64:f32 64:f32",
        "2,256:q6_k 2,256:f32 256:f32",
        "2,256:iq2_s 2,256:f32 2,256:f32",
        "2,64:q4_0 2,64:f32 none",
    ],
    "dequantize": ["2,64 2,64:q8_0", "2,256 2,256:q4_k"],
    "random_uniform": ["33 2:i64 0 1"],
    "random_normal": ["33 2:i64 0 1"],
    "random_integers": ["33:i64 2:i64 0 9"],
    "random_permutation": ["33:i64 2:i64"],
    "random_poisson": ["9:f64 2:i64 9:f64"],
    "random_dropout": ["33 33:bool_ 2:i64 33 0.5"],
    "arange": ["9 1 2"],
    "probe_fma": ["1:f64 9"],
    "probe_read": ["1:f64 9,99:f32"],
    "angle": ["3,5:f32 3,5:complex64"],
    "complex": ["3,5:complex64 3,5:f32 3,5:f32"],
    "copy": ["3,5 3,5", "3,5:f16 3,5:f32", "3,5:i32 3,5:f64", "3,5 3,5:bool_"],
    "where": ["3,5 3,5:bool_ 3,5 3,5"],
    "elementwise_chain": [  # (a * b + c).clamp(-1, 1); relu
        f"3,5 3,5 3,5 3,5{' none' * 4} 65539 132865 2084{' 0' * 5} -1 1{' 0' * 6}",
        f"3,37 3,37{' none' * 6} 28{' 0' * 7}{' 0' * 8}",
    ],
    "softmax": ["3,37 3,37 1 0", "3,4,5 3,4,5 1 1"],
    "softmax_backward": ["3,37 3,37 3,37 1 0", "3,4,5 3,4,5 3,4,5 1 1"],
    "rms_norm": ["3,37 3,37 37 0.1", "3,37 3,37 none 0.1"],
    "layer_norm": ["3,37 3,37 37 37 0.1", "3,37 3,37 none none 0.1"],
    "batch_norm": ["2,3,37 2,3,37 3 3 3 3 0.1", "5,37 5,37 none 37 none none 0.1"],
    "whiten_channels": ["2,3,37 2,3,37 3 3 3 3 3", "5,37 5,37 none none 37 37 37"],
    "channel_moments": ["3 3 3 2,3,37", "5 5 5 4,5"],
    "group_norm": ["2,6,37 2,6,37 6 6 3 0.1", "2,6,5 2,6,5 none none 1 0.1"],
    "one_hot": ["3,5:i64 3:i64=0,4,2", "2,2,3:i64 2,2:i64=0,1,2,2"],
    "vecdot": ["3 3,37 3,37 0", "2,3 2,3,5 2,3,5 1"],
    "row_distances": ["3 3,37 3,37 0.5", "2,3 2,3,5 2,3,5 1e-6"],
    "logsumexp": ["3 3,37", "2,3 2,3,5"],
    "label_nll": ["3 3,37 3:i64=0,36,5 1", "3 3,5 3:i64=0,4,2 0"],
    "rms_norm_backward": ["3,37 37 0 3,37 3,37 37 0.1", "3,37 0 0 3,37 3,37 none 0.1"],
    "layer_norm_backward": ["3,37 37 37 3,37 3,37 37 0.1"],
    "linear_scan": ["3,4,5 3,4,5 3,4,5 1"],
    **{name: ["3,4,5 3,4,5 1", "3,37 3,37 1"] for name in ("cumsum", "cumprod", "logcumsumexp")},
    **{name: ["3,4,5 3,4,5:i64 3,4,5 1"] for name in ("cummax", "cummin")},
    **{name: ["3,1:i64 3,37 1", "1,37:i64 3,37 0"] for name in ("argmax", "argmin")},
    **{name: ["3,1 3,37 2", "1,37 3,37 1"] for name in ("sum", "mean", "prod", "amax", "amin")},
    "var": ["3,1 3,37 2 1", "1,37 3,37 1 0.5"],
    **{name: ["3,1:bool_ 3,37 2", "1,37:bool_ 3,37 1"] for name in ("any", "all")},
    **{
        name: [
            " ".join(["3,37", *["3,37"] * states, "3,37", numbers]),
            " ".join(["3,37", *["3,37:f32"] * states, "3,37", numbers]),
            " ".join(["3,37", *["3,37:f32"] * (states - 1), "0:f32 3,37", numbers]),
        ]
        for name, (states, numbers) in _OPTIMISED.items()
    },
}
# Arrays of which a kernel has to look at every element along an axis that no output shares: there a
# huge size is long, honest work. (kernel, argument): the axes.
HONEST = {
    **{(name, 1): {0, 1} for name in ("any", "all", "sum", "mean", "prod", "amax", "amin")},
    **{(name, 1): {0, 1} for name in ("argmax", "argmin", "var")},
    ("conv_weight_grad", 1): {2, 3},
    ("order_statistic", 2): {1},
    ("topk", 2): {1},
    ("sample", 1): {0},
    ("sample", 2): {0},
    ("row_order", 1): {1},
    ("plane_scatter", 0): {2},
}
TESTS = "eq ne lt le gt ge logical_and logical_or logical_xor logical_not isnan isinf isfinite"
TESTS += " isneginf isposinf signbit"


def calls(name: str) -> list[str]:
    """The valid calls of a kernel; an elementwise one is known by its signature."""
    if name in CALLS:
        return CALLS[name]
    modes = [word.split(":")[1] for word in SIGNATURES[name].split()]
    if modes[0] != "out" or set(modes[1:]) - {"in", "f"} or modes.count("out") > 1:
        raise KeyError(f"{name} ({SIGNATURES[name]}) has no valid call in this table")
    first = "3,37:bool_" if name in TESTS.split() else "3,37"
    return [" ".join([first, *("3,37" if mode == "in" else "0.5" for mode in modes[1:])])]


@dataclass(frozen=True)
class ArrayText:
    """One array of a call: `values` None where any will do; `dtype` None where it is free."""

    shape: tuple[int, ...]
    dtype: int | None
    values: tuple[float, ...] | None


def parse(text: str, modes: list[str]) -> list[ArrayText | int | float | None]:
    """The arguments of a call."""
    parsed: list[ArrayText | int | float | None] = []
    for word, mode in zip(text.split(), modes, strict=True):
        if word == "none":
            parsed.append(None)
        elif mode == "i":
            parsed.append(int(word))
        elif mode == "f":
            parsed.append(float(word))
        else:
            form, _, listed = word.partition("=")
            sizes, _, dtype = form.partition(":")
            values = tuple(float(v) for v in listed.split(",")) if listed else None
            shape = tuple(int(n) for n in sizes.split(","))
            parsed.append(ArrayText(shape, CODES[dtype] if dtype else None, values))
    return parsed


def environment(**more: str) -> dict[str, str]:
    """What a program of this folder needs to find it, and the library that is tested."""
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **more}


def modes_of(name: str) -> list[str]:
    return [word.split(":")[1] for word in SIGNATURES[name].split()]


@lru_cache(4096)
def contents(array: ArrayText, dtype: int, seed: int = 0) -> bytes:
    """Plausible elements: floats in (0, 1), small integers, or what the call says."""
    count = product(array.shape)
    draw = random.Random(seed)
    if KINDS[dtype] == "q":
        flat = _native.Array.from_list([draw.random() for _ in range(count)], CODES["f32"])
        return flat.cast(dtype).raw_bytes()
    if array.values is not None:
        values = [array.values[i % len(array.values)] for i in range(count)]
    elif KINDS[dtype] in "iub":
        values = [draw.randrange(1 if KINDS[dtype] != "b" else 0, 4) for _ in range(count)]
    else:
        values = [draw.uniform(0.05, 0.95) for _ in range(count)]
    flat = struct.pack(f"<{count}d", *values)
    if KINDS[dtype] == "b":
        return bytes(v != 0 for v in values)
    made = _native.Array.from_buffer(flat, CODES["f64"], [count], 0).cast(dtype)
    return made.raw_bytes()


def product(shape: tuple[int, ...] | list[int]) -> int:
    total = 1
    for n in shape:
        total *= n
    return total


# --- layouts: how elements of a shape lie, in elements of memory ----------------------------------


def _rows(shape: tuple[int, ...]) -> list[int]:
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return strides[::-1]


def layout(kind: str, shape: tuple[int, ...]) -> tuple[list[int], int, int]:
    """Strides, the place of the first element, and the elements of memory that they need."""
    strides = _rows(shape)
    if kind == "apart":  # gaps between all elements, and one before the first
        strides = [2 * s for s in strides]
    if kind == "transposed":
        strides = _rows(shape[::-1])[::-1]
    first = 1 if kind == "apart" else 0
    reach = sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if product(shape) == 0:
        return strides, 0, 0
    if kind == "reversed":
        return [-s for s in strides], reach, reach + 1
    return strides, first, first + reach + 1 + (kind == "apart")


LAYOUTS = ("contiguous", "apart", "reversed", "transposed")

# --- memory --------------------------------------------------------------------------------------

_mprotect = ctypes.CDLL(None, use_errno=True).mprotect
_mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_PAGE = mmap.PAGESIZE


class Memory:
    """Bytes between two pages that nobody may touch, at the end of their pages or at the start."""

    def __init__(self, size: int, alignment: int, at_end: bool) -> None:
        pages = (size + _PAGE - 1) // _PAGE + 2
        self.map = mmap.mmap(-1, pages * _PAGE)
        self.all = np.frombuffer(self.map, np.uint8)
        self.address = self.all.ctypes.data
        room = (pages - 2) * _PAGE
        self.start = _PAGE + (room - size) // alignment * alignment * at_end
        self.bytes = self.all[self.start : self.start + size]
        self._protect(0, _PAGE, 0)
        self._protect((pages - 1) * _PAGE, _PAGE, 0)
        self.room = room

    def _protect(self, first: int, size: int, rights: int) -> None:
        if size and _mprotect(self.address + first, size, rights):
            raise OSError(ctypes.get_errno(), "mprotect")

    def lock(self) -> None:
        """A write ends the process from now on."""
        self._protect(_PAGE, self.room, mmap.PROT_READ)


class Laid:
    """An array of some layout in memory of its own, to look at what a call left there."""

    def __init__(
        self, array: ArrayText, dtype: int, kind: str, *, at_end: bool, locked: bool
    ) -> None:
        block, size = BLOCKS[dtype], BYTES[dtype]
        self.shape, self.size = array.shape, size
        if block > 1:  # blocks lie in order
            self.blocks = product(array.shape) // block
            self.memory = Memory(self.blocks * size, size, at_end)
            self.strides, self.first, total = [1], 0, self.blocks
        else:
            self.strides, self.first, total = layout(kind, array.shape)
            self.memory = Memory(total * size, _native.alignment_of(dtype), at_end)
        self.block, self.dtype, self.kind, self.total = block, dtype, kind, total
        self.locked = locked
        self.array: _native.Array | None = None

    def view(self, all_: np.ndarray) -> np.ndarray:
        """The elements, as uninterpreted bytes, of a copy of the memory or of itself."""
        words = all_.view(f"V{self.size}")
        if self.block > 1 or self.kind == "contiguous":
            return words
        return np.lib.stride_tricks.as_strided(
            words[self.first :], self.shape, [s * self.size for s in self.strides]
        )

    def fill(self, raw: bytes | None, pattern: int) -> None:
        """`raw` elements, and `pattern` in the gaps; without them the pattern everywhere."""
        self.memory.bytes[:] = pattern
        if raw is not None and self.total:
            flat = np.frombuffer(raw, f"V{self.size}")
            target = self.view(self.memory.bytes)
            target[...] = flat.reshape(target.shape)
        if self.locked:
            self.memory.lock()
        whole = memoryview(self.memory.map)
        if self.block > 1:
            shape: list[int] = [*self.shape]
        else:
            shape = [self.total]
        array = _native.Array.from_buffer(
            whole.toreadonly() if self.locked else whole, self.dtype, shape, self.memory.start
        )
        if self.block == 1:
            array = array.strided(self.shape, self.strides, self.first)
        self.array = array

    def elements(self) -> bytes:
        return self.view(self.memory.bytes).tobytes() if self.total else b""

    def gaps(self) -> bytes:
        """What lies between the elements."""
        if not self.total or self.block > 1 or self.kind == "contiguous":
            return b""
        rest = self.memory.bytes.copy()
        self.view(rest)[...] = np.zeros((), f"V{self.size}")
        return rest.tobytes()
