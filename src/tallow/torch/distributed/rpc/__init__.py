"""torch.distributed.rpc: calls between processes, of which there is one."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    modules="functions",
    refuses={
        "calls between processes are not supported": (
            "RRef init_rpc shutdown remote rpc_async rpc_sync get_worker_info "
            "TensorPipeRpcBackendOptions RpcBackendOptions BackendType WorkerInfo"
        )
    },
)
