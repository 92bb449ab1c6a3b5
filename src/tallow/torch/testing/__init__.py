"""torch.testing: comparison of tensors."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={"tallow.torch.testing._compare": "assert_close assert_allclose make_tensor"},
    refuses={"it is PyTorch's own test suite": "FileCheck"},
)
