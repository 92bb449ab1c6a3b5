"""Operations of models that are several small ones in a naive library, for bench/ops_vs_torch.py.

Each at the size of a layer, where memory and arithmetic count, and of a few hundred elements, where
only the call does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from _ops_rows import Benchmark, array, functional, indices

Shapes = tuple[tuple[int, ...], ...]
Call = Callable[..., Any]
IMAGE, IMAGE_SMALL = (1, 64, 56, 56), (1, 8, 8, 8)
ROWS, ROWS_SMALL = (512, 1024), (4, 16)
BATCH, BATCH_SMALL = (8, 64, 28, 28), (2, 8, 4, 4)


# name: the call of (functional, lib, *arrays), the shapes of a layer, those of a small call
FLOAT: dict[str, tuple[Call, Shapes, Shapes]] = {
    "avg_pool2d 2": (lambda f, lib, x: f.avg_pool2d(x, 2), (IMAGE,), (IMAGE_SMALL,)),
    "avg_pool2d 3/2, padded": (
        lambda f, lib, x: f.avg_pool2d(x, 3, 2, 1), (IMAGE,), (IMAGE_SMALL,),
    ),
    "max_pool2d 3/2, padded": (
        lambda f, lib, x: f.max_pool2d(x, 3, 2, 1), (IMAGE,), (IMAGE_SMALL,),
    ),
    "max_pool2d 2": (lambda f, lib, x: f.max_pool2d(x, 2), (IMAGE,), (IMAGE_SMALL,)),
    "adaptive_avg_pool2d 1": (
        lambda f, lib, x: f.adaptive_avg_pool2d(x, 1), ((8, 512, 7, 7),), (IMAGE_SMALL,),
    ),
    "adaptive_avg_pool2d 3": (
        lambda f, lib, x: f.adaptive_avg_pool2d(x, 3), (IMAGE,), (IMAGE_SMALL,),
    ),
    "batch_norm": (
        lambda f, lib, x, m, v, w, b: f.batch_norm(x, m, v, w, b),
        (IMAGE, (64,), (64,), (64,), (64,)), (IMAGE_SMALL, (8,), (8,), (8,), (8,)),
    ),
    "batch_norm, training": (
        lambda f, lib, x, w, b: f.batch_norm(x, None, None, w, b, True),
        (BATCH, (64,), (64,)), (BATCH_SMALL, (8,), (8,)),
    ),
    "group_norm": (
        lambda f, lib, x, w, b: f.group_norm(x, 4, w, b),
        (IMAGE, (64,), (64,)), (IMAGE_SMALL, (8,), (8,)),
    ),
    "instance_norm": (
        lambda f, lib, x, w, b: f.instance_norm(x, None, None, w, b),
        (IMAGE, (64,), (64,)), (IMAGE_SMALL, (8,), (8,)),
    ),
    "local_response_norm": (
        lambda f, lib, x: f.local_response_norm(x, 5), (IMAGE,), (IMAGE_SMALL,),
    ),
    "normalize": (lambda f, lib, x: f.normalize(x, dim=-1), (ROWS,), (ROWS_SMALL,)),
    "cosine_similarity": (
        lambda f, lib, x, y: f.cosine_similarity(x, y, -1), (ROWS,) * 2, (ROWS_SMALL,) * 2,
    ),
    "pairwise_distance": (
        lambda f, lib, x, y: f.pairwise_distance(x, y), (ROWS,) * 2, (ROWS_SMALL,) * 2,
    ),
    "interpolate nearest": (
        lambda f, lib, x: f.interpolate(x, scale_factor=2), (IMAGE,), (IMAGE_SMALL,),
    ),
    "interpolate bilinear": (
        lambda f, lib, x: f.interpolate(x, scale_factor=2, mode="bilinear"),
        (IMAGE,), (IMAGE_SMALL,),
    ),
    "pixel_shuffle": (lambda f, lib, x: f.pixel_shuffle(x, 2), (IMAGE,), (IMAGE_SMALL,)),
    "pad": (lambda f, lib, x: f.pad(x, (1, 1, 1, 1)), (IMAGE,), (IMAGE_SMALL,)),
    "pad reflect": (
        lambda f, lib, x: f.pad(x, (1, 1, 1, 1), mode="reflect"), (IMAGE,), (IMAGE_SMALL,),
    ),
    "roll": (lambda f, lib, x: lib.roll(x, (3, 3), (2, 3)), (IMAGE,), (IMAGE_SMALL,)),
    "flip": (lambda f, lib, x: lib.flip(x, (3,)), (IMAGE,), (IMAGE_SMALL,)),
    "cat": (lambda f, lib, x, y: lib.cat((x, y), 1), (IMAGE,) * 2, (IMAGE_SMALL,) * 2),
    "stack": (lambda f, lib, x, y: lib.stack((x, y), -1), (ROWS,) * 2, (ROWS_SMALL,) * 2),
    "repeat": (lambda f, lib, x: x.repeat(2, 2), (ROWS,), (ROWS_SMALL,)),
    "channels last": (
        lambda f, lib, x: x.permute(0, 2, 3, 1).contiguous(), (IMAGE,), (IMAGE_SMALL,),
    ),
    "mean of planes": (lambda f, lib, x: x.mean((2, 3)), (IMAGE,), (IMAGE_SMALL,)),
    "norm": (lambda f, lib, x: lib.linalg.vector_norm(x, dim=-1), (ROWS,), (ROWS_SMALL,)),
    "std": (lambda f, lib, x: x.std(-1), (ROWS,), (ROWS_SMALL,)),
    "logsumexp": (lambda f, lib, x: lib.logsumexp(x, -1), (ROWS,), (ROWS_SMALL,)),
    "cumsum": (lambda f, lib, x: x.cumsum(-1), (ROWS,), (ROWS_SMALL,)),
    "topk 10": (lambda f, lib, x: x.topk(10)[0], (ROWS,), (ROWS_SMALL,)),
    "sort": (lambda f, lib, x: x.sort()[0], (ROWS,), (ROWS_SMALL,)),
    "silu": (lambda f, lib, x: f.silu(x), (ROWS,), (ROWS_SMALL,)),
    "hardswish": (lambda f, lib, x: f.hardswish(x), (ROWS,), (ROWS_SMALL,)),
    "mish": (lambda f, lib, x: f.mish(x), (ROWS,), (ROWS_SMALL,)),
    "tanh": (lambda f, lib, x: x.tanh(), (ROWS,), (ROWS_SMALL,)),
    "relu6": (lambda f, lib, x: f.relu6(x), (ROWS,), (ROWS_SMALL,)),
    "glu": (lambda f, lib, x: f.glu(x), (ROWS,), (ROWS_SMALL,)),
    "prelu": (
        lambda f, lib, x, w: f.prelu(x, w), (IMAGE, (64,)), (IMAGE_SMALL, (8,)),
    ),
    "clamp": (lambda f, lib, x: x.clamp(-1, 1), (ROWS,), (ROWS_SMALL,)),
    "add with a number": (
        lambda f, lib, x, y: lib.add(x, y, alpha=2), (ROWS,) * 2, (ROWS_SMALL,) * 2,
    ),
    "lerp": (lambda f, lib, x, y: lib.lerp(x, y, 0.3), (ROWS,) * 2, (ROWS_SMALL,) * 2),
    "linear": (
        lambda f, lib, x, w, b: f.linear(x, w, b), ((128, 576), (576, 576), (576,)),
        ((4, 16), (16, 16), (16,)),
    ),
    "mse_loss": (lambda f, lib, x, y: f.mse_loss(x, y), (ROWS,) * 2, (ROWS_SMALL,) * 2),
    "l1_loss": (lambda f, lib, x, y: f.l1_loss(x, y), (ROWS,) * 2, (ROWS_SMALL,) * 2),
    "huber_loss": (lambda f, lib, x, y: f.huber_loss(x, y), (ROWS,) * 2, (ROWS_SMALL,) * 2),
    "smooth_l1_loss": (
        lambda f, lib, x, y: f.smooth_l1_loss(x, y), (ROWS,) * 2, (ROWS_SMALL,) * 2,
    ),
    "bce with logits": (
        lambda f, lib, x, y: f.binary_cross_entropy_with_logits(x, y),
        (ROWS,) * 2, (ROWS_SMALL,) * 2,
    ),
    "kl_div": (
        lambda f, lib, x, y: f.kl_div(x, y, reduction="batchmean", log_target=True),
        (ROWS,) * 2, (ROWS_SMALL,) * 2,
    ),
}  # fmt: skip
# name: the call of (functional, lib, classes, an array); classes are below 16, one a row
CLASSES: dict[str, Call] = {
    "cross_entropy": lambda f, lib, at, x: f.cross_entropy(x, at),
    "cross_entropy, smoothed": lambda f, lib, at, x: f.cross_entropy(x, at, label_smoothing=0.1),
    "nll_loss": lambda f, lib, at, x: f.nll_loss(x, at),
    "one_hot": lambda f, lib, at, x: f.one_hot(at, x.shape[1]),
    "embedding": lambda f, lib, at, x: f.embedding(at, x[:16]),
    "masked_fill": lambda f, lib, at, x: x.masked_fill((at > 7)[:, None], 0.0),
    "where": lambda f, lib, at, x: lib.where((at > 7)[:, None], x, 0.0),
    "repeat_interleave": lambda f, lib, at, x: x.repeat_interleave(2, 0),
}


def models() -> Iterator[Benchmark]:
    """The rows, those of layers first."""
    for which, label in ((1, "of a layer"), (2, "small")):
        for name, given in FLOAT.items():

            def make(lib: Any, function: Call = given[0], shapes: Any = given[which]) -> Any:
                f, xs = functional(lib), [array(lib, *shape).abs() for shape in shapes]
                return lambda: function(f, lib, *xs)

            yield Benchmark(f"{name}, {label}", f"models, {label}", make)
        for name, function in CLASSES.items():
            shape = (ROWS, (16, 16))[which - 1]

            def make_classes(lib: Any, function: Call = function, shape: Any = shape) -> Any:
                f, x, at = functional(lib), array(lib, *shape), indices(lib, 16, shape[0])
                return lambda: function(f, lib, at, x)

            yield Benchmark(f"{name}, {label}", f"models, {label}", make_classes)
