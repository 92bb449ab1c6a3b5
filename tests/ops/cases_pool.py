"""Cases of pooling and unpooling."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ops.table import FLOATS, WIDE, Case, Draw

SIDES = (5, 7, 6)


def values(d: Draw, shape: tuple[int, ...]) -> np.ndarray:
    """Values far enough apart that a difference quotient does not change the order."""
    count = int(np.prod(shape))
    made = d.rng.permutation(count).reshape(shape) * (1 / 8) - count / 16
    return np.asarray(made if d.floating else d.rng.permutation(count).reshape(shape) % 100).astype(
        d.x((1,)).dtype
    )


def maxima(n: int) -> Callable[[Draw], list[Any]]:
    def samples(d: Draw) -> list[Any]:
        x = values(d, (2, 2, *SIDES[-n:]))
        return [
            d(x, 2),
            d(x, 3, 2, 1),
            d(x, (3, 2, 3)[-n:], (2, 1, 2)[-n:], (1, 0, 1)[-n:], dilation=2 if n < 3 else 1),
            d(x, 3, 2, 1, ceil_mode=True),
            d(x, 2, stride=3, return_indices=True),
            d(values(d, (2, *SIDES[-n:])), 2, return_indices=True),
            d(values(d, (0, 2, *SIDES[-n:])), 2),
        ]

    return samples


def averages(n: int) -> Callable[[Draw], list[Any]]:
    def samples(d: Draw) -> list[Any]:
        x = d.x((2, 2, *SIDES[-n:]))
        made = [
            d(x, 2),
            d(x, 3, 2, 1),
            d(x, (3, 2, 3)[-n:], (2, 1, 2)[-n:], (1, 0, 1)[-n:], count_include_pad=False),
            d(x, 3, 2, 1, True),
            d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
            d(d.x((2, *SIDES[-n:])), 2),
        ]
        return made if n == 1 else [*made, d(x, 2, divisor_override=3)]

    return samples


def parts(n: int, *more: Any) -> Callable[[Draw], list[Any]]:
    def samples(d: Draw) -> list[Any]:
        x = values(d, (2, 2, *SIDES[-n:]))
        sizes: list[Any] = [3, 1, (4, 3, 2)[-n:], 9]
        if n > 1:
            sizes.append((None, 2, None)[-n:])
        found = [d(x, size, *more) for size in sizes]
        return [*found, d(values(d, (2, *SIDES[-n:])), 2, *more)]

    return samples


def powers(n: int) -> Callable[[Draw], list[Any]]:
    def samples(d: Draw) -> list[Any]:
        x = d.x((2, 2, *SIDES[-n:]), 0.5, 3)
        return [
            d(x, 2, 2),
            d(x, 3, 3, 2),
            d(x, 2.0, 2 if n == 1 else (2, 3, 2)[-n:], ceil_mode=True),
        ]

    return samples


def unpooled(n: int) -> Callable[[Draw], list[Any]]:
    def samples(d: Draw) -> list[Any]:
        side, big = (2, 3, 2)[-n:], tuple(2 * s for s in (2, 3, 2)[-n:])
        count, places = int(np.prod(side)), int(np.prod(big))
        at = np.stack([d.rng.permutation(places)[:count] for _ in range(4)])
        at = at.reshape((2, 2, *side)).astype(np.int64)
        x = d.x((2, 2, *side))
        return [
            d(x, at, 2),
            d(x, at, 2, 2, 0, tuple(b + 1 for b in big)),
            d(x[0], at[0], 3, 2, 1, output_size=big),
        ]

    return samples


def gathered(d: Draw) -> list[Any]:
    at = d.ints((2, 3, 4), 0, 5)
    return [d(d.x((2, 3, 5)), at)]


def torch_gathered(input: Any, indices: Any) -> Any:
    return input.gather(2, indices)


def scattered(d: Draw) -> list[Any]:
    return [d(d.x((2, 3, 4)), d.ints((2, 3, 4), 0, 6), 6, True)]


def torch_scattered(input: Any, indices: Any, places: int, add: bool) -> Any:
    zeros = input.new_zeros((*input.shape[:2], places))
    return zeros.scatter_add(2, indices, input)


HOW = ((1, 3, 2), (1, 2, 2), (0, 1, 0), (1, 1, 2))


def windows(d: Draw) -> list[Any]:
    return [d(values(d, (2, 2, 7, 6)), sum(HOW, ()), (4, 2))]


def torch_windows(input: Any, how: Any, size: Any) -> Any:
    return torch_windows_indices(input, how, size)[0]


def torch_windows_indices(input: Any, how: Any, size: Any) -> Any:
    import torch

    numbers = [how[3 * i + 1 : 3 * i + 3] for i in range(4)]
    return torch.nn.functional.max_pool2d(input, *numbers, return_indices=True)


MEANS = ((1, 3, 2), (1, 2, 2), (0, 1, 1), (1, 1, 1))


def averaged(d: Draw) -> list[Any]:
    x = d.x((2, 2, 7, 6))
    return [d(x, sum(MEANS, ()), (4, 4), True, 0), d(x, sum(MEANS, ()), (4, 4), False, 5)]


def torch_averaged(input: Any, how: Any, size: Any, include_pad: bool, divisor: int) -> Any:
    import torch

    numbers = [how[3 * i + 1 : 3 * i + 3] for i in range(3)]
    last = include_pad, divisor or None
    return torch.nn.functional.avg_pool2d(input, *numbers, False, *last)


MAXIMA = (*FLOATS, "i64", "u8")
CASES = {
    **{
        f"max_pool{n}d": Case(
            maxima(n), dtypes=MAXIMA if n > 1 else FLOATS, gradgrad=n < 3, hypothesis=False
        )
        for n in (1, 2, 3)
    },
    **{
        f"avg_pool{n}d": Case(
            averages(n), FLOATS if n < 3 else WIDE, factor=2, gradgrad=n < 3, hypothesis=False
        )
        for n in (1, 2, 3)
    },
    **{
        f"adaptive_max_pool{n}d": Case(parts(n, True), gradgrad=n < 3, hypothesis=False)
        for n in (1, 2, 3)
    },
    **{
        f"adaptive_avg_pool{n}d": Case(parts(n), factor=2, gradgrad=n < 3, hypothesis=False)
        for n in (1, 2, 3)
    },
    **{
        f"lp_pool{n}d": Case(
            powers(n), FLOATS if n < 3 else WIDE, factor=8, gradgrad=n < 3, hypothesis=False
        )
        for n in (1, 2, 3)
    },
    **{f"max_unpool{n}d": Case(unpooled(n), hypothesis=False) for n in (1, 2, 3)},
    "nn.plane_gather": Case(gathered, torch=torch_gathered, hypothesis=False),
    "nn.plane_scatter": Case(scattered, torch=torch_scattered, factor=2, hypothesis=False),
    "nn.avg_pool": Case(averaged, torch=torch_averaged, factor=2, hypothesis=False),
    "nn.max_pool": Case(windows, torch=torch_windows, hypothesis=False),
    "nn.max_pool_indices": Case(windows, torch=torch_windows_indices, hypothesis=False),
}
