"""torch.utils.data: Tallow's datasets, samplers and loaders."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={
        "tallow.torch.utils.data._more": "DistributedSampler StackDataset",
        "tallow.data.collate": "default_convert",
    },
    behind=("tallow.data",),
    refuses={"data pipes are not supported": "IterDataPipe MapDataPipe functional_datapipe"},
)
