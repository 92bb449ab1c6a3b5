"""Let torchvision import beside a torch that it was not built for, such as a CPU build.

Its own C++ ops are then missing, and it registers rules for them when it is imported: they are
declared here, without kernels. transformers and timm import torchvision; no golden uses its ops.
"""

from __future__ import annotations

import importlib.metadata

import torch

_OPS = (
    "nms", "qnms", "roi_align", "qroi_align", "ps_roi_align", "roi_pool", "ps_roi_pool",
    "deform_conv2d", "_roi_align_backward", "_ps_roi_align_backward", "_roi_pool_backward",
    "_ps_roi_pool_backward", "_deform_conv2d_backward",
)  # fmt: skip
_library = None
if torch.version.cuda is None and "+cpu" not in importlib.metadata.version("torchvision"):
    _library = torch.library.Library("torchvision", "DEF")
    for _name in _OPS:
        _library.define(f"{_name}(Tensor x) -> Tensor")
