"""Cases of the convolutions, their gradients, and of patches as columns."""

from collections.abc import Callable
from typing import Any

from ops.table import FLOATS, Case, Draw

WITH_COMPLEX = (*FLOATS, "complex64")


def convolutions(n: int) -> Callable[[Draw], list[Any]]:
    """Samples over n axes: strides, paddings, dilations, groups, no batch, an empty batch."""

    def samples(d: Draw) -> list[Any]:
        side = (7, 6, 5)[-n:]
        x, w = d.x((2, 4, *side)), d.x((6, 4, *(3, 2, 3)[-n:]))
        grouped, deep = d.x((6, 2, *(2,) * n)), d.x((4, 1, *(3,) * n))
        return [
            d(x, w, d.x((6,))),
            d(x, w, None, 2, 1),
            d(x, w, d.x((6,)), stride=(1, 2, 3)[-n:], padding=(2, 0, 1)[-n:], dilation=2)
            if n < 3
            else d(x, w, None, (1, 2, 3), (2, 1, 2), (2, 1, 2)),
            d(x, d.x((2, 4, *(3,) * n)), None, padding="same"),
            d(x, w, None, padding="valid", dilation=(1,) * n),
            d(x, grouped, d.x((6,)), 1, 1, 1, 2),
            d(x, deep, None, 2, 2, 1, 4),
            d(x, d.x((8, 1, *(1,) * n)), None, groups=4),
            d(d.x((4, *side)), w, d.x((6,))),
            d(d.x((0, 4, *side)), w),
        ]

    return samples


def transposed(n: int) -> Callable[[Draw], list[Any]]:
    """Samples of the transposed convolutions."""

    def samples(d: Draw) -> list[Any]:
        side = (3, 4, 2)[-n:]
        x, w = d.x((2, 4, *side)), d.x((4, 3, *(3, 2, 3)[-n:]))
        return [
            d(x, w, d.x((3,))),
            d(x, w, None, 2, 1, 1),
            d(x, w, d.x((3,)), (1, 3, 2)[-n:], 1, 0, 1, 2) if n < 3 else d(x, w, None, 3, 1),
            d(x, d.x((4, 2, *(2,) * n)), d.x((4,)), stride=3, groups=2),
            d(x, d.x((4, 1, *(3,) * n)), None, 1, 1, groups=4),
            d(d.x((4, *side)), w, output_padding=1, stride=2),
        ]

    return samples


def large(d: Draw) -> list[Any]:
    """As many channels as Winograd's way and the blocks of the product need, on odd sides."""
    few = 1 / 8
    return [
        *convolutions(2)(d),
        d(d.x((2, 26, 13, 11)), d.x((25, 26, 3, 3), -few, few), d.x((25,)), 1, 1),
        d(d.x((1, 60, 9, 10)), d.x((52, 30, 3, 3), -few, few), None, padding=(0, 2), groups=2),
        d(d.x((3, 40, 7, 7)), d.x((50, 40, 1, 1), -few, few), None, 2),
        d(d.x((1, 3, 20, 33)), d.x((8, 3, 7, 7), -few, few), None, 2, 3),
    ]


def torch_input_grad(g: Any, weight: Any, bias: Any, *params: Any) -> Any:
    import torch

    stride, padding, dilation, groups, size = params
    shape = [g.shape[0], weight.shape[1] * groups, *size]
    numbers = (stride, padding, dilation, False, [0, 0], groups, [True, False, False])
    made = torch.ops.aten.convolution_backward(g, g.new_zeros(shape), weight, None, *numbers)[0]
    return made if bias is None else made + bias.reshape(-1, 1, 1)


def torch_weight_grad(g: Any, input: Any, *params: Any) -> Any:
    import torch

    stride, padding, dilation, groups, size = params
    weight = g.new_zeros([g.shape[1], input.shape[1] // groups, *size])
    numbers = (stride, padding, dilation, False, [0, 0], groups, [False, True, False])
    return torch.ops.aten.convolution_backward(g, input, weight, None, *numbers)[1]


def torch_convolution(input: Any, weight: Any, bias: Any, *params: Any) -> Any:
    import torch

    stride, padding, dilation, groups, _ = params
    return torch.nn.functional.conv2d(input, weight, bias, stride, padding, dilation, groups)


PARAMS = (((2, 1), (1, 0), (1, 2), 2), ((1, 1), (1, 1), (1, 1), 1), ((3, 2), (0, 2), (1, 1), 4))


def rows(kind: str) -> Callable[[Draw], list[Any]]:
    """Samples of the three native ops, for inputs of 8 × 9 and kernels of 3 × 2."""

    def samples(d: Draw) -> list[Any]:
        made = []
        for stride, padding, dilation, groups in PARAMS:
            size = tuple(
                (length + 2 * p - e * (k - 1) - 1) // s + 1
                for length, p, e, k, s in zip(
                    (8, 9), padding, dilation, (3, 2), stride, strict=True
                )
            )
            x, w, o = d.x((2, 4, 8, 9)), d.x((8, 4 // groups, 3, 2)), d.x((2, 8, *size))
            params = (stride, padding, dilation, groups)
            if kind == "forward":
                made.append(d(x, w, d.x((8,)), *params, size))
            elif kind == "input":
                made.append(d(o, w, d.x((4,)) if groups == 1 else None, *params, (8, 9)))
            else:
                made.append(d(o, x, *params, (3, 2)))
        return made

    return samples


def unfolds(d: Draw) -> list[Any]:
    image = d.x((2, 3, 6, 7))
    return [
        d(image, 2),
        d(image, (3, 2), dilation=(1, 2), padding=(1, 0), stride=(2, 1)),
        d(d.x((3, 4, 5)), (2, 3), padding=2, stride=3),
        d(d.x((0, 3, 4, 4)), 2),
    ]


def folds(d: Draw) -> list[Any]:
    return [
        d(d.x((2, 12, 20)), (5, 6), 2),
        d(d.x((2, 6, 16)), (4, 5), (3, 2), 1, (1, 0), 1),
        d(d.x((8, 4)), output_size=4, kernel_size=2, stride=2),
        d(d.x((1, 4, 4)), 3, 2),
    ]


def columns(d: Draw) -> list[Any]:
    return [
        d(d.x((2, 3, 6, 7)), (3, 2, 1, 2, 1, 0, 2, 1)),
        d(d.x((1, 2, 4, 4)), (2, 2, 1, 1, 0, 0, 2, 2)),
    ]


def torch_columns(image: Any, how: Any) -> Any:
    import torch

    pairs = [how[2 * i : 2 * i + 2] for i in range(4)]
    return torch.nn.functional.unfold(image, *pairs)


def torch_image(columns: Any, size: Any, how: Any) -> Any:
    import torch

    pairs = [how[2 * i : 2 * i + 2] for i in range(4)]
    return torch.nn.functional.fold(columns, size, *pairs)


CASES = {
    "conv1d": Case(convolutions(1), dtypes=WITH_COMPLEX, factor=4),
    "conv2d": Case(large, dtypes=WITH_COMPLEX, factor=8, gradgrad=False, hypothesis=False),
    "conv3d": Case(convolutions(3), factor=4, gradgrad=False, hypothesis=False),
    "conv_transpose1d": Case(transposed(1), dtypes=WITH_COMPLEX, factor=4),
    "conv_transpose2d": Case(transposed(2), factor=4),
    "conv_transpose3d": Case(transposed(3), factor=4, gradgrad=False, hypothesis=False),
    "nn.convolution": Case(rows("forward"), torch=torch_convolution, factor=4, hypothesis=False),
    "nn.convolution_input_grad": Case(
        rows("input"), torch=torch_input_grad, factor=4, hypothesis=False
    ),
    "nn.convolution_weight_grad": Case(
        rows("weight"), torch=torch_weight_grad, factor=8, hypothesis=False
    ),
    "nn.unfold": Case(unfolds, torch="nn.functional.unfold", hypothesis=False),
    "nn.fold": Case(folds, torch="nn.functional.fold", factor=2, hypothesis=False),
    "nn.image_to_columns": Case(columns, torch=torch_columns, hypothesis=False),
    "nn.columns_to_image": Case(
        lambda d: [d(d.x((2, 12, 9)), (4, 4), (2, 2, 1, 1, 0, 0, 1, 1))],
        torch=torch_image,
        factor=2,
        hypothesis=False,
    ),
}
