"""torch.utils.tensorboard: event files are not written."""

from __future__ import annotations

from tallow.torch._names import namespace

_WHY = (
    "writing event files of TensorBoard is not supported (tensorboardX writes them without PyTorch)"
)

__getattr__, __dir__ = namespace(
    __name__, refuses={_WHY: "SummaryWriter FileWriter RecordWriter writer summary"}
)
