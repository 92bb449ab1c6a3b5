"""Methods of PyTorch's Tensor that cannot be had: they raise one line when they are called.

They stand on Tensor once `tallow.torch` is imported; without it there are no such names.
"""

from __future__ import annotations

from typing import Any, NoReturn

from tallow.errors import TallowError
from tallow.tensor import Tensor
from tallow.torch._names import NoDeviceError, UnsupportedError

REASONS: dict[str, tuple[type[TallowError], str]] = {
    "sparse tensors are not supported: what is sparse in PyTorch is kept dense": (
        UnsupportedError,
        (
            "ccol_indices coalesce col_indices crow_indices dense_dim indices is_coalesced "
            "resize_as_sparse_ row_indices smm sparse_dim sparse_mask sparse_resize_ "
            "sparse_resize_and_clear_ sspaddmm to_sparse_bsc to_sparse_bsr to_sparse_coo "
            "to_sparse_csc to_sparse_csr values"
        ),
    ),
    "PyTorch's quantised tensors are not supported (see tallow quantize)": (
        UnsupportedError,
        (
            "int_repr q_per_channel_axis q_per_channel_scales q_per_channel_zero_points q_scale "
            "q_zero_point qscheme"
        ),
    ),
    "axes have no names here": (
        UnsupportedError,
        "align_as align_to refine_names rename rename_",
    ),
    "Tallow runs on the CPU": (NoDeviceError, "ipu mtia record_stream xpu"),
    "PyTorch has taken it away, or raises too": (
        UnsupportedError,
        "eig lstsq reinforce resize resize_as solve symeig",
    ),
    "it is not supported": (
        UnsupportedError,
        "hash_tensor module_load slice_inverse storage_type to_mkldnn to_padded_tensor",
    ),
}


def _refusing(name: str, reason: str, error: type[TallowError]) -> Any:
    def call(self: Tensor, *_: Any, **__: Any) -> NoReturn:
        raise error(f"Tensor.{name}: {reason}")

    call.__name__ = name
    call.__qualname__ = f"Tensor.{name}"
    call.__doc__ = f"Raises: {reason}."
    return call


def names() -> dict[str, str]:
    """Each refused method and why."""
    return {name: why for why, (_, names) in REASONS.items() for name in names.split()}


def refuse() -> None:
    """Put the refusing methods on Tensor, where it has none of that name."""
    for reason, (error, listed) in REASONS.items():
        for name in listed.split():
            if name not in Tensor.__dict__ and not hasattr(Tensor, name):
                setattr(Tensor, name, _refusing(name, reason, error))
