"""Gradients against finite differences, in f64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..dtype import f64
from ..errors import ArgumentError, GradError, expect
from ..factories import tensor
from ..tensor import Tensor
from . import engine
from .mode import enable_grad, no_grad


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    out = func(*inputs)
    found = [out] if isinstance(out, Tensor) else list(out)
    return [y for y in found if isinstance(y, Tensor) and y.dtype.kind in "fc"]


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    **options: Any,
) -> bool:
    """Whether backward agrees with central differences of `func`.

    `inputs` that require a gradient must be of f64; each output is weighted by fixed pseudo-random
    numbers, so that one pass checks all of it. GradError tells the worst element, unless
    `raise_exception` is off. Of PyTorch's other options those that ask for less are taken
    (`fast_mode`, `nondet_tol`, …), those that ask for more (`check_forward_ad`, …) refused.
    """
    _refuse_more(options)
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    active = [x for x in given if isinstance(x, Tensor) and x.requires_grad]
    expect(len(active) > 0, gradcheck, "an input that requires a gradient", "none")
    for x in active:
        expect(x.dtype is f64, gradcheck, "inputs of f64", x.dtype.name)
    with enable_grad():
        outputs = _outputs(func, given)
        live = [(y, _weights(y, i)) for i, y in enumerate(outputs)]
        recorded = [(y, w) for y, w in live if y.requires_grad]
        if recorded:
            ours: Sequence[Any] = engine.grad(
                [y for y, _ in recorded], active, [w for _, w in recorded], materialize_grads=True
            )
        else:
            ours = [None] * len(active)
    for number, (x, g) in enumerate(zip(active, ours, strict=True)):
        analytic = [0.0] * x.numel() if g is None else _flat(g)
        numeric = _differences(func, given, x, [w for _, w in live], eps)
        for i, (a, n) in enumerate(zip(analytic, numeric, strict=True)):
            if not abs(a - n) <= atol + rtol * abs(n):
                if raise_exception:
                    raise GradError(
                        f"gradcheck: expected {n:.6g} at element {i} of input {number} (shape"
                        f" {x.shape}), got {a:.6g}"
                    )
                return False
    return True


# PyTorch's options that change nothing here, and those that ask for checks that are not made.
_TAKEN = {
    "nondet_tol", "check_undefined_grad", "check_backward_ad", "check_rev_over_rev", "fast_mode",
    "masked",
}  # fmt: skip
_REFUSED = {
    "check_grad_dtypes", "check_batched_grad", "check_batched_forward_grad", "check_forward_ad",
    "check_fwd_over_rev", "gen_non_contig_grad_outputs",
}  # fmt: skip


def _refuse_more(options: dict[str, Any]) -> None:
    for name, value in options.items():
        if name not in _TAKEN | _REFUSED:
            raise TypeError(f"gradcheck() got an unexpected keyword argument {name!r}")
        more = name in _REFUSED and value
        expect(not more, gradcheck, f"{name}=False (this is not checked)", value, ArgumentError)


def _weights(y: Tensor, seed: int) -> Tensor:
    n = y.numel()
    values = [((37 * i + 11 * seed + 5) % 101) / 101 + 0.1 for i in range(n)]
    if y.dtype.kind == "c":
        return tensor([complex(v, 0.7 - v) for v in values], dtype=y.dtype).reshape(y.shape)
    return tensor(values, dtype=y.dtype).reshape(y.shape)


def _flat(x: Tensor) -> list[Any]:
    return list(x.detach().reshape(-1).tolist())


def _differences(
    func: Callable[..., Any],
    inputs: Sequence[Any],
    x: Tensor,
    weights: Sequence[Tensor],
    eps: float,
) -> list[float]:
    def weighted() -> float:
        total = 0.0
        for y, w in zip(_outputs(func, inputs), weights, strict=True):
            if y.dtype.kind == "c":
                total += sum(
                    (a.conjugate() * b).real for a, b in zip(_flat(w), _flat(y), strict=True)
                )
            else:
                total += sum(a * b for a, b in zip(_flat(w), _flat(y), strict=True))
        return total

    found = []
    with no_grad():
        start = x.detach().clone()
        flat = start.reshape(-1)
        for i in range(flat.numel()):
            middle = flat[i].item()
            values = []
            for step in (eps, -eps):
                flat[i] = middle + step
                x.copy_(start)
                values.append(weighted())
            flat[i] = middle
            found.append((values[0] - values[1]) / (2 * eps))
        x.copy_(start)
    return found


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    **options: Any,
) -> bool:
    """`gradcheck` of the gradient of `func`: second derivatives against differences of first ones.

    The gradient is that of the outputs weighted by `grad_outputs`, which are drawn when missing.
    """
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    weights = [grad_outputs] if isinstance(grad_outputs, Tensor) else grad_outputs

    def slope(*args: Any) -> tuple[Any, ...]:
        with enable_grad():
            active = [x for x in args if isinstance(x, Tensor) and x.requires_grad]
            outputs = [y for y in _outputs(func, args) if y.requires_grad]
            ws = weights or [_weights(y, i + 3) for i, y in enumerate(outputs)]
            return engine.grad(outputs, active, ws, create_graph=True, materialize_grads=True)

    return gradcheck(slope, given, eps, atol, rtol, raise_exception, **options)
