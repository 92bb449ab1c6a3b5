"""How ops hand matrices to numpy's LAPACK: dtypes, batches and errors in one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import borrowing
from ..borrowing import from_numpy
from ..dtype import DType, complex64, f32, f64
from ..errors import DTypeError, LinAlgError, NoKernelError, expect
from ..tensor import Tensor, broadcast_shapes, unwrap_tensor

KINDS = (f32, f64, complex64)
FINITE = "finite matrices"


def to_numpy(x: Tensor, where: object) -> Any:
    """A numpy array on the tensor's memory.

    Refused while a plan is captured of what depends on an input: numpy's work is no part of it.
    """
    array = unwrap_tensor(x, where)
    cpu = array.device < 2
    expect(cpu, where, "a device with a kernel for it", f"{x.dtype} on {x.device}", NoKernelError)
    return borrowing.to_numpy(x, str(getattr(where, "__name__", where)))


def real_dtype(dtype: DType) -> DType:
    """The dtype of the sizes of such numbers."""
    return f32 if dtype is complex64 else dtype


def solution(A: Tensor, B: Tensor) -> Any:
    """What solves `A @ X = B`, batches broadcast: shape and dtype."""
    batch = broadcast_shapes(A.shape[:-2], B.shape[:-2], "linalg.solve")
    return (*batch, A.shape[-1], B.shape[-1]), A.dtype


def check(x: Tensor, where: object, *, square: bool = False) -> None:
    """Refuse what is no (batch of) matrices of f32, f64 or complex64."""
    if type(x) is not Tensor:
        unwrap_tensor(x, where)
    if x.dtype not in KINDS:
        expect(False, where, "f32, f64 or complex64", x.dtype.name, NoKernelError)
    shape = x.shape
    if len(shape) < 2:
        expect(False, where, "a matrix or a batch of matrices", f"shape {shape}")
    if square and shape[-1] != shape[-2]:
        expect(False, where, "square matrices", f"shape {shape}")


def lapack(where: object, wanted: str, run: Any, *tensors: Tensor) -> Tensor:
    """`run` on numpy arrays; its LinAlgError becomes `where: expected wanted`.

    When `wanted` is FINITE, infinities and NaN are refused: LAPACK may make nonsense of them.
    """
    return lapack_many(where, wanted, lambda *arrays: (run(*arrays),), *tensors)[0]


def lapack_many(where: object, wanted: str, run: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
    """`lapack` of what gives several arrays."""
    return tuple(tensor_of(y, tensors[0]) for y in _run(where, wanted, run, tensors))


def _run(where: object, wanted: str, run: Any, tensors: Sequence[Tensor]) -> Any:
    import numpy as np

    arrays = [to_numpy(x, where) for x in tensors]
    if wanted is FINITE:
        finite = all(np.isfinite(a).all() for a in arrays)
        expect(finite, where, wanted, "one with infinity or NaN", LinAlgError)
    try:
        with np.errstate(all="ignore"):
            return run(*arrays)
    except np.linalg.LinAlgError as error:
        name = getattr(where, "__name__", where)
        said = f"{name}: expected {wanted}, got one of which LAPACK says: {error}"
        raise LinAlgError(said) from None


def tensor_of(array: Any, like: Tensor) -> Tensor:
    """A tensor of what numpy computed, in f32 or complex64 when the source was no wider."""
    import numpy as np

    out: Any = np.asarray(array)
    if like.dtype is not f64 and out.dtype.kind in "fc":
        out = out.astype(np.float32 if out.dtype.kind == "f" else np.complex64, copy=False)
    if out.dtype.char == "D":
        expect(False, "linalg", "f32 (there is no complex128)", "f64", DTypeError)
    return from_numpy(np.ascontiguousarray(out) if out.ndim else out.copy())
