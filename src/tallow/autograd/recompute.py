"""Memory for time: a part of the graph is computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tensor import Tensor, wrap
from . import engine
from .mode import MODE, enable_grad, no_grad
from .node import FLOATING, record_call


def checkpoint(
    fn: Callable[..., Any], *args: Any, preserve_rng_state: bool = True, **options: Any
) -> Any:
    """`fn(*args)`, keeping only the arguments; backward runs `fn` again (Chen et al. 2016).

    Random numbers come out alike the second time, unless `preserve_rng_state` is off. Parameters
    that `fn` reaches without taking them as arguments get their gradients too.
    """
    if not MODE.enabled:
        return fn(*args, **options)
    from ..random import get_rng_state, set_rng_state

    state = get_rng_state() if preserve_rng_state else None
    with no_grad():
        out = fn(*args, **options)
    single = isinstance(out, Tensor)
    outputs = [wrap(y._array) for y in ([out] if single else out)]
    inputs = [a for a in args if isinstance(a, Tensor)]
    # A leaf of its own makes the node needed even when only parameters inside want gradients.
    anchor = wrap(outputs[0]._array.basic_index((slice(0, 0),) if outputs[0].ndim else ()))
    anchor = anchor.requires_grad_() if outputs[0].dtype.kind in FLOATING else anchor

    def rule(*grads: Tensor | None) -> tuple[Any, ...]:
        current = get_rng_state() if state is not None else None
        if state is not None:
            set_rng_state(state)
        try:
            with enable_grad():
                fresh = [a.detach() if isinstance(a, Tensor) else a for a in args]
                for a, b in zip(args, fresh, strict=True):
                    if isinstance(a, Tensor) and a.requires_grad:
                        b.requires_grad_()
                again = fn(*fresh, **options)
        finally:
            if current is not None:
                set_rng_state(current)
        made = [again] if isinstance(again, Tensor) else list(again)
        pairs = [
            (y, g) for y, g in zip(made, grads, strict=True) if g is not None and y.requires_grad
        ]
        if pairs:
            engine.run(pairs, retain_graph=False, create_graph=False)
        found = [b.grad for b in fresh if isinstance(b, Tensor)]
        return (*found, None)

    record_call("checkpoint", [*inputs, anchor], outputs, rule)
    return outputs[0] if single else type(out)(outputs)
