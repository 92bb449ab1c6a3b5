"""torch.distributed.checkpoint: folders of shards, which are not read or written."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    modules="state_dict default_planner",
    refuses={
        "checkpoints of shards are not supported (use torch.save)": (
            "FileSystemReader FileSystemWriter load load_state_dict save save_state_dict "
            "async_save "
            "StorageReader StorageWriter"
        )
    },
)
