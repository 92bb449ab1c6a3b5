"""torch.sparse: sparse tensors are not there."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={"tallow.ops": "softmax log_softmax"},
    refuses={
        "sparse tensors are not supported": (
            "mm addmm sampled_addmm sum spdiags to_sparse_semi_structured "
            "SparseSemiStructuredTensor check_sparse_tensor_invariants spsolve"
        )
    },
)
