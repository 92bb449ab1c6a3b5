"""Cases of the activation functions and of the ops that are their gradients."""

from ops.table import FLOATS, Case

SHAPES = [(), (3,), (2, 0), (4, 1, 5), (7, 33)]


def act(*arguments, **more):
    return Case(lambda d: [d(d.x(shape), *arguments) for shape in SHAPES], FLOATS, **more)


def slope(torch, **more):
    return Case(
        lambda d: [d(d.x((4, 5)), d.x((4, 5))), d(d.x((2, 0)), d.x((2, 0)))],
        FLOATS,
        torch=torch,
        factor=4,
        **more,
    )


def by_autograd(name):
    def call(g, x):
        import torch

        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            return torch.autograd.grad(getattr(torch.nn.functional, name)(leaf), leaf, g)[0]

    return call


CASES = {
    "relu_grad": slope(lambda g, out: g * (out > 0)),
    "sigmoid_grad": slope(lambda g, out: g * out * (1 - out)),
    "silu_grad": slope(by_autograd("silu")),
    "gelu_grad": slope(by_autograd("gelu")),
    "logsigmoid": act(),
    "mish": act(factor=2),
    "hardsigmoid": act(torch_error=1e-7),
    "hardswish": act(),
    "softsign": act(factor=2),
    "tanhshrink": act(factor=2),
    "leaky_relu": Case(lambda d: [d(d.x((4, 5))), d(d.x((3, 1)), 0.2)], FLOATS),
    "scaled_elu": Case(
        lambda d: [d(d.x((4, 5)), 0.7, 1.2, 1.1)],
        FLOATS,
        torch=lambda x, low, slope, high: (x > 0) * x * high + (x <= 0) * (x * slope).expm1() * low,
        factor=4,
    ),
    "elu": Case(lambda d: [d(d.x((4, 5))), d(d.x((3, 1)), 0.5)], FLOATS, factor=2),
    "selu": act(factor=2),
    "celu": Case(lambda d: [d(d.x((4, 5))), d(d.x((3, 1)), 0.5)], FLOATS, factor=2),
    "softplus": Case(
        lambda d: [d(d.x((4, 5))), d(d.x((3, 1)), 2.0), d(d.x((9,)), 1.0, 1.5)], FLOATS, factor=2
    ),
    "hardshrink": Case(lambda d: [d(d.x((4, 5))), d(d.x((3, 1)), 1.0)], FLOATS),
    "softshrink": Case(lambda d: [d(d.x((4, 5))), d(d.x((3, 1)), 1.0)], FLOATS),
    "threshold": Case(lambda d: [d(d.x((4, 5)), 0.5, -2.0)], FLOATS),
    "hardtanh": Case(lambda d: [d(d.x((4, 5))), d(d.x((3, 1)), -2.0, 0.5)], FLOATS),
    "relu6": Case(lambda d: [d(d.x((4, 5), -3, 9))], FLOATS),
    "nn.prelu": Case(
        lambda d: [d(d.x((4, 5)), d.x((4, 5))), d(d.x((2, 3, 4)), d.x((3, 1)))],
        FLOATS,
        torch=lambda x, weight: x.where(x > 0, x * weight),
        hypothesis=False,
    ),
    "prelu": Case(
        lambda d: [d(d.x((4, 5)), d.x((1,))), d(d.x((2, 3, 4)), d.x((3,)))],
        FLOATS,
        hypothesis=False,
    ),
    "glu": Case(
        lambda d: [d(d.x((4, 6))), d(d.x((4, 5)), 0), d(d.x((2, 4, 3)), dim=1)],
        FLOATS,
        hypothesis=False,
        factor=2,
    ),
    "rrelu": Case(lambda d: [d(d.x((4, 5))), d(d.x((3,)), 0.1, 0.3)], FLOATS),
}
