"""Tables of vectors that are looked up by index."""

from __future__ import annotations

from typing import Self

from tallow.autograd.mode import no_grad
from tallow.dtype import DType
from tallow.errors import ArgumentError, expect
from tallow.nn import functional as F
from tallow.nn.init import normal_
from tallow.nn.layer import Layer
from tallow.nn.parameter import Init, Parameter, declare
from tallow.ops import embedding
from tallow.tensor import Tensor


def _table_rule(padding_idx: int | None) -> Init:
    return normal_ if padding_idx is None else _Padded(padding_idx)


class _Padded:
    """A normal distribution, with zeros in one row."""

    def __init__(self, row: int) -> None:
        self.row = row

    def __call__(self, tensor: Tensor) -> None:
        normal_(tensor)
        with no_grad():
            tensor[self.row] = 0


class _Table(Layer):
    """What the two layers share."""

    def _declare_table(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        dtype: DType | str | None,
        given: Tensor | None,
        freeze: bool,
    ) -> None:
        n = num_embeddings
        if padding_idx is not None:
            wanted = f"padding_idx in [{-n}, {n})"
            expect(-n <= padding_idx < n, type(self), wanted, padding_idx, ArgumentError)
            padding_idx %= n
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx
        if given is None:
            rule = _table_rule(padding_idx)
            self.weight = declare(num_embeddings, embedding_dim, init=rule, dtype=dtype)
            self.reset_parameters()
        else:
            shape = (num_embeddings, embedding_dim)
            expect(given.shape == shape, type(self), f"a weight of shape {shape}", given.shape)
            self.weight = Parameter(given, requires_grad=not freeze)


class Embedding(_Table):
    """Rows of a table by index; a block-quantised table is unpacked row by row.

    The options are as of `functional.embedding`. Initially normal, row `padding_idx` zero.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: object = None,
        dtype: DType | str | None = None,
    ) -> None:
        self._declare_table(num_embeddings, embedding_dim, padding_idx, dtype, _weight, _freeze)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self._plain = padding_idx is None and max_norm is None and not scale_grad_by_freq

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """A layer on a given table (rows, size), which is not trained if `freeze`."""
        expect(embeddings.ndim == 2, cls, "embeddings of shape (rows, size)", embeddings.shape)
        rows, size = embeddings.shape
        return cls(
            rows, size, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse,
            _weight=embeddings, _freeze=freeze,
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        """`(...)` of integers → `(..., embedding_dim)`."""
        if self._plain:
            return embedding(input, self.weight)
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type,
            self.scale_grad_by_freq, self.sparse,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """Number and length of the rows, and the options."""
        said = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            said += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            said += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            said += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            said += ", scale_grad_by_freq=True"
        return f"{said}, sparse=True" if self.sparse else said


class EmbeddingBag(_Table):
    """Sum, mean or max of the rows that a bag of indices names; as `functional.embedding_bag`."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: object = None,
        dtype: DType | str | None = None,
    ) -> None:
        self._declare_table(num_embeddings, embedding_dim, padding_idx, dtype, _weight, False)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.mode, self.sparse = scale_grad_by_freq, mode, sparse
        self.include_last_offset = include_last_offset

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> Self:
        """A layer on a given table (rows, size), which is not trained if `freeze`."""
        expect(embeddings.ndim == 2, cls, "embeddings of shape (rows, size)", embeddings.shape)
        rows, size = embeddings.shape
        made = cls(
            rows, size, max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings,
            include_last_offset, padding_idx,
        )  # fmt: skip
        made.weight.requires_grad_(not freeze)
        return made

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        """`(bags, n)`, or `(n,)` with `(bags,)` offsets → `(bags, embedding_dim)`."""
        return F.embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq,
            self.mode, self.sparse, per_sample_weights, self.include_last_offset,
            self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """Number and length of the rows, the mode, and the options that differ from the usual."""
        said = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.max_norm is not None:
            said += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            said += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            said += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        said += f", mode={self.mode!r}"
        return said if self.padding_idx is None else f"{said}, padding_idx={self.padding_idx}"
