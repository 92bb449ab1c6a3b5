"""torch.utils.checkpoint: parts of the graph are computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, repeat
from typing import Any

from tallow.autograd.recompute import checkpoint as _checkpoint
from tallow.errors import ArgumentError, expect
from tallow.tensor import Tensor
from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "choosing what is kept is not supported": (
            "CheckpointPolicy SelectiveCheckpointContext create_selective_checkpoint_contexts"
        )
    },
)


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, keeping only the arguments for the backward pass.

    `context_fn()` gives the blocks for the forward pass and for the second one, in backward.
    """
    if context_fn is None:
        return _checkpoint(function, *args, preserve_rng_state=preserve_rng_state, **kwargs)
    first, second = context_fn()
    blocks = chain([first], repeat(second))

    def within(*args: Any, **kwargs: Any) -> Any:
        with next(blocks):
            return function(*args, **kwargs)

    return _checkpoint(within, *args, preserve_rng_state=preserve_rng_state, **kwargs)


def checkpoint_sequential(
    functions: Iterable[Callable[..., Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """Functions one after the other, in so many segments, each but the last a checkpoint."""
    given = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(given) // segments

    def run(start: int, stop: int) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for f in given[start:stop]:
                x = f(x)
            return x

        return forward

    for i in range(segments - 1):
        part = run(i * size, (i + 1) * size)
        input = checkpoint(part, input, preserve_rng_state=preserve_rng_state)
    return run((segments - 1) * size, len(given))(input)


def get_device_states(*args: Any) -> tuple[list[int], list[Tensor]]:
    """The devices of the arguments beside the CPU, and their generators' states: none."""
    return [], []


def set_device_states(devices: Any, states: Any, *, device_type: Any = None) -> None:
    """Give generators of devices their states; there are none beside the CPU's."""
    expect(not len(devices), "set_device_states", "no devices, as there are none", len(devices),
           ArgumentError)  # fmt: skip


def set_checkpoint_debug_enabled(enabled: bool | None) -> Any:
    """A block that changes nothing."""
    from contextlib import nullcontext

    return nullcontext()
