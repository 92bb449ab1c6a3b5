"""Methods of Tensor beside the ops: functions under a method's name, questions, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast

from .errors import DTypeError, ShapeError, expect

if TYPE_CHECKING:
    from .tensor import Tensor


class Ops:
    """The ops, for what stands below them: the registry says how one is found by its name."""

    named: ClassVar[Callable[[str], Any]]


class MethodsMixin:
    """The part of Tensor that gives functions with another first argument a method's form."""

    __slots__ = ()

    # --- views ------------------------------------------------------------------------------------

    @property
    def T(self: Any) -> Tensor:  # noqa: N802
        """A view with all axes reversed."""
        if self._array.ndim == 2:
            return cast("Tensor", self.transpose(0, 1))
        return cast("Tensor", self.permute(tuple(range(self._array.ndim - 1, -1, -1))))

    @property
    def mT(self: Any) -> Tensor:  # noqa: N802
        """A view with the last two axes swapped."""
        return cast("Tensor", self.transpose(-2, -1))

    @property
    def H(self: Any) -> Tensor:  # noqa: N802
        """The conjugate transpose of a matrix."""
        return cast("Tensor", self.adjoint())

    @property
    def mH(self: Any) -> Tensor:  # noqa: N802
        """The conjugate transpose of the last two axes."""
        return cast("Tensor", self.adjoint())

    # --- functions --------------------------------------------------------------------------------

    def where(self: Any, condition: Tensor, other: Any) -> Tensor:
        """This tensor's elements where `condition` holds, else those of `other`."""
        return cast("Tensor", Ops.named("where")(condition, self, other))

    def polygamma(self: Any, n: Any) -> Tensor:
        """The n-th derivative of digamma."""
        return cast("Tensor", Ops.named("polygamma")(n, self))

    def polygamma_(self: Any, n: Any) -> Tensor:
        """`polygamma`, written into the tensor."""
        from .autograd.inplace import change

        return change(self, (), {}, lambda x: x.polygamma(n), "polygamma_")

    def narrow_copy(self: Any, dim: Any, start: Any, length: Any) -> Tensor:
        """`narrow`, copied."""
        return cast("Tensor", self.narrow(dim, start, length).clone())

    def unsafe_chunk(self: Any, chunks: Any, dim: Any = 0) -> Any:
        """`chunk`, whose parts may be changed in place: here that is always noticed."""
        from .autograd.views import as_slices

        return as_slices(self.chunk(chunks, dim), self)

    def unsafe_split(self: Any, split_size: Any, dim: Any = 0) -> Any:
        """`split`, whose parts may be changed in place: here that is always noticed."""
        from .autograd.views import as_slices

        return as_slices(self.split(split_size, dim), self)

    def unsafe_split_with_sizes(self: Any, split_sizes: Any, dim: Any = 0) -> Any:
        """`split_with_sizes`, whose parts may be changed in place: here that is always noticed."""
        return self.unsafe_split(split_sizes, dim)

    def nonzero_static(self: Any, *, size: Any, fill_value: Any = -1) -> Tensor:
        """The first `size` positions of nonzero elements, the rest `fill_value`: (size, ndim)."""
        from .factories import full

        expect(size >= 0, "nonzero_static", "a size of at least 0", size)
        found = self.nonzero()[:size]
        missing = size - found.shape[0]
        rest = full((missing, found.shape[1]), fill_value, "i64", self.device)
        return cast("Tensor", Ops.named("cat")([found, rest]))

    def lu(self: Any, pivot: Any = True, get_infos: Any = False) -> Any:
        """The factors of a matrix and the exchanges of rows, counted from 1."""
        from .factories import zeros

        expect(bool(pivot), "lu", "pivot=True", pivot)
        factors, pivots = Ops.named("linalg.lu_factor")(self)
        infos = zeros(self.shape[:-2], dtype="i32", device=self.device)
        return (factors, pivots, infos) if get_infos else (factors, pivots)

    def __rmatmul__(self: Any, other: Any) -> Any:
        from .tensor import Tensor

        return other.matmul(self) if isinstance(other, Tensor) else NotImplemented

    def map2_(self: Any, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
        """Replace every element by `callable(element, of x, of y)`, one by one in Python."""
        from .factories import tensor

        columns = [part.detach().expand(self.shape).flatten().tolist() for part in (self, x, y)]
        made = [callable(*each) for each in zip(*columns, strict=True)]
        return cast("Tensor", self.copy_(tensor(made, dtype=self.dtype).reshape(self.shape)))

    # --- questions --------------------------------------------------------------------------------

    def is_conj(self) -> Any:
        """Whether the conjugate is still to be taken: it is taken at once."""
        return False

    def is_neg(self) -> Any:
        """Whether the sign is still to be changed: it is changed at once."""
        return False

    def is_distributed(self) -> Any:
        """Whether it lies on several devices: never."""
        return False

    def is_nonzero(self: Any) -> Any:
        """Whether the one element is not 0; ShapeError when there is not exactly one."""
        expect(self._array.size == 1, "is_nonzero", "one element", self.shape, ShapeError)
        return bool(self)

    def is_set_to(self: Any, tensor: Tensor) -> Any:
        """Whether both are the same elements of the same memory, in one order."""
        a, b = self._array, tensor._array
        same = a.storage_id == b.storage_id and a.data_ptr == b.data_ptr
        return same and a.shape == b.shape and a.strides == b.strides

    @property
    def retains_grad(self: Any) -> Any:
        """Whether backward will keep the gradient of this result: after `retain_grad()`."""
        from .autograd.hooks import retains

        return not self.is_leaf and retains(self)

    # --- what there is no dtype for ---------------------------------------------------------------

    def cdouble(self, memory_format: Any = None) -> NoReturn:
        """DTypeError: complex numbers here are of two f32."""
        raise DTypeError("cdouble: expected complex64, the only complex dtype, got complex128")

    def chalf(self, memory_format: Any = None) -> NoReturn:
        """DTypeError: complex numbers here are of two f32."""
        raise DTypeError("chalf: expected complex64, the only complex dtype, got complex32")
