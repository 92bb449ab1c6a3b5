"""torch.autograd.graph: what hangs on the tape."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={"tallow.autograd.node": "Node"},
    refuses={
        "hooks on saved tensors are not supported (use torch.utils.checkpoint)": (
            "saved_tensors_hooks save_on_cpu disable_saved_tensors_hooks register_multi_grad_hook "
            "allow_mutation_on_saved_tensors increment_version GradientEdge get_gradient_edge"
        )
    },
)
