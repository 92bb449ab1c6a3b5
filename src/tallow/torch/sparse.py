"""torch.sparse: what is sparse in PyTorch is kept dense here (`torch.sparse_coo_tensor`)."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={"tallow.ops": "softmax log_softmax mm=matmul addmm sum"},
    refuses={
        "sparse tensors are not supported": (
            "sampled_addmm spdiags to_sparse_semi_structured "
            "SparseSemiStructuredTensor check_sparse_tensor_invariants spsolve"
        )
    },
)
