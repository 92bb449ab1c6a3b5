"""Layers and helpers that only PyTorch names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tallow import nn, ops
from tallow.errors import ArgumentError, expect
from tallow.nn import functional as F
from tallow.nn.norm import _BatchNorm
from tallow.tensor import Tensor


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over all processes, of which there is one, for any number of axes."""

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1,
        affine: bool = True, track_running_stats: bool = True, process_group: Any = None,
        device: Any = None, dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias
        )

    def _check_input_dim(self, x: Tensor) -> None:
        expect(x.ndim >= 2, "SyncBatchNorm", "input of at least 2 axes", x.shape)

    @classmethod
    def convert_sync_batchnorm(cls, module: nn.Module, process_group: Any = None) -> nn.Module:
        """The module itself: with one process, batch normalisation is that of all."""
        return module


class CrossMapLRN2d(nn.Module):
    """Responses over the sum of squares of neighbouring channels, by its older name."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        """Normalise."""
        out: Tensor = F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)
        return out

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class Container(nn.Module):
    """A module of modules by name, by its older name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()
        for name, module in kwargs.items():
            self.add_module(name, module)


class _Adaptive(NamedTuple):
    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(nn.Module):
    """Softmax over many classes in clusters by frequency (Grave et al., arXiv 1609.04309).

    `cutoffs` end the clusters; classes are numbered from the most frequent on.
    """

    def __init__(
        self, in_features: int, n_classes: int, cutoffs: Sequence[int], div_value: float = 4.0,
        head_bias: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        ends = list(cutoffs)
        good = (
            bool(ends) and ends == sorted(set(ends)) and ends[0] > 0 and ends[-1] <= n_classes - 1
        )
        expect(good, "AdaptiveLogSoftmaxWithLoss", f"rising cutoffs below {n_classes}", ends,
               ArgumentError)  # fmt: skip
        self.in_features, self.n_classes, self.div_value = in_features, n_classes, div_value
        self.cutoffs = [*ends, n_classes]
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        self.head_bias = head_bias
        self.head = nn.Linear(in_features, self.head_size, bias=head_bias, dtype=dtype)
        self.tail = nn.ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // (div_value ** (i + 1)))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                nn.Sequential(
                    nn.Linear(in_features, hidden, bias=False, dtype=dtype),
                    nn.Linear(hidden, size, bias=False, dtype=dtype),
                )
            )

    def reset_parameters(self) -> None:
        """Draw all weights again."""
        for layer in (self.head, *(layer for part in self.tail for layer in part)):
            layer.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _Adaptive:
        """The log-probability of each target, and their mean as a loss."""
        whole = self.log_prob(input_ if input_.ndim == 2 else input_.unsqueeze(0))
        target = target_
        wanted = target if target.ndim else target.unsqueeze(0)
        output = whole.gather(1, wanted.unsqueeze(1)).squeeze(1)
        loss = -output.mean()
        return _Adaptive(output if target.ndim else output.squeeze(0), loss)

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes: (batch, classes)."""
        head = F.log_softmax(self.head(input), dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, layer in enumerate(self.tail):
            inside = F.log_softmax(layer(input), dim=1)
            parts.append(inside + head[:, self.shortlist_size + i].unsqueeze(1))
        return ops.cat(parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """The class of the highest probability."""
        return self.log_prob(input).argmax(1)
