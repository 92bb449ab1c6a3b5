"""torch.nn.parallel for one process on one device: the module passes through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tallow.nn.module import Module
from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={"there is one device": "gather scatter replicate parallel_apply comm"},
)


class DataParallel(Module):
    """Calls `module`, which is reached as `.module`, on the one device there is."""

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[int] = []
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """`module(*inputs, **kwargs)`."""
        return self.module(*inputs, **kwargs)


class DistributedDataParallel(Module):
    """Calls `module`, which is reached as `.module`: the group is of one process."""

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        init_sync: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        **_: Any,
    ) -> None:
        from tallow.torch import distributed
        from tallow.torch._names import UnsupportedError

        super().__init__()
        if not distributed.is_initialized():
            raise UnsupportedError(
                "DistributedDataParallel: expected init_process_group before it, got no group"
            )
        self.module = module
        self.device_ids = device_ids
        self.require_backward_grad_sync = True

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """`module(*inputs, **kwargs)`."""
        return self.module(*inputs, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """A block whose gradients are not averaged: there is nobody to average with."""
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    @contextmanager
    def join(self, *_: Any, **__: Any) -> Iterator[None]:
        """A block for uneven inputs: there is one process."""
        yield


def data_parallel(
    module: Module, inputs: Any, device_ids: Any = None, output_device: Any = None, dim: int = 0,
    module_kwargs: Any = None,
) -> Any:  # fmt: skip
    """`module(*inputs)` on the one device there is."""
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    return module(*given, **(module_kwargs or {}))
