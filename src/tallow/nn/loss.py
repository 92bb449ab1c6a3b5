"""Losses as modules; the formulas stand with the functions of the same meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tallow.errors import ArgumentError, expect
from tallow.nn import functional as F
from tallow.nn.module import Module
from tallow.nn.shaping import PairwiseDistance
from tallow.tensor import Tensor


class _Loss(Module):
    """A loss that is reduced by `none`, `mean` or `sum`.

    It calls the function named `_function`, whose arguments `_options` are its attributes.
    """

    _function = ""
    _options: tuple[str, ...] = ()

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        if size_average is not None or reduce is not None:
            from tallow.ops.loss import mode

            reduction = mode(type(self), reduction, size_average, reduce)
        self.reduction = reduction

    def _of(self, *given: Any) -> Tensor:
        options = {name: getattr(self, name) for name in self._options}
        return getattr(F, self._function)(*given, reduction=self.reduction, **options)


class _PairLoss(_Loss):
    """A loss of an input and a target."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two of one shape; a number, or that shape without reduction."""
        return self._of(input, target)


class _Weighted(_PairLoss):
    """A loss with a fixed `weight`, which is a buffer."""

    _options: tuple[str, ...] = ("weight",)
    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class L1Loss(_PairLoss):
    """`|input - target|`."""

    _function = "l1_loss"


class MSELoss(_PairLoss):
    """`(input - target) ** 2`."""

    _function = "mse_loss"


class SmoothL1Loss(_PairLoss):
    """A parabola within `beta` of the target, then lines of slope 1."""

    _function = "smooth_l1_loss"
    _options = ("beta",)

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta


class HuberLoss(_PairLoss):
    """A parabola within `delta` of the target, then lines of slope `delta`."""

    _function = "huber_loss"
    _options = ("delta",)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta


class NLLLoss(_Weighted):
    """`-input[target]`, for log-probabilities and labels; labels `ignore_index` do not count.

    Takes `(batch, classes, ...)` and labels `(batch, ...)`.
    """

    _function = "nll_loss"
    _options = ("weight", "ignore_index")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index


class NLLLoss2d(NLLLoss):
    """`NLLLoss`, by its older name for images."""


class CrossEntropyLoss(_Weighted):
    """`-log_softmax(input)[target]`, for logits and labels, or probabilities as targets.

    Takes `(batch, classes, ...)` and labels `(batch, ...)`, or floats of the input's shape.
    """

    _function = "cross_entropy"
    _options = ("weight", "ignore_index", "label_smoothing")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing


class BCELoss(_Weighted):
    """Minus the log-probability of targets in [0, 1] under probabilities."""

    _function = "binary_cross_entropy"


class BCEWithLogitsLoss(_Weighted):
    """`BCELoss` of sigmoid(input); `pos_weight` multiplies the part of the target."""

    _function = "binary_cross_entropy_with_logits"
    _options = ("weight", "pos_weight")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.pos_weight: Tensor | None
        self.register_buffer("pos_weight", pos_weight)


class KLDivLoss(_PairLoss):
    """`target * (log(target) - input)`, for log-probabilities `input`."""

    _function = "kl_div"
    _options = ("log_target",)

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target


class PoissonNLLLoss(_Loss):
    """Minus the log-probability of counts under the rates `exp(input)`, or `input` itself."""

    _function = "poisson_nll_loss"
    _options = ("log_input", "full", "eps")

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        """Two of one shape; a number, or that shape without reduction."""
        return self._of(log_input, target)


class GaussianNLLLoss(_Loss):
    """Minus the log-probability under normal distributions."""

    _function = "gaussian_nll_loss"
    _options = ("full", "eps")

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor) -> Tensor:
        """Means, values and variances."""
        return self._of(input, target, var)


class CTCLoss(_Loss):
    """The loss of label sequences under frames (Graves et al. 2006)."""

    _function = "ctc_loss"
    _options = ("blank", "zero_infinity")

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(
        self,
        log_probs: Tensor,
        targets: Tensor,
        input_lengths: Tensor | Sequence[int],
        target_lengths: Tensor | Sequence[int],
    ) -> Tensor:
        """`(time, batch, symbols)`; other arguments as of `functional.ctc_loss`."""
        return self._of(log_probs, targets, input_lengths, target_lengths)


class _PairMarginLoss(_Loss):
    """A loss of two inputs and a target of 1 or -1 for the pair."""

    _options = ("margin",)

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """Inputs of one shape, whose targets the class tells."""
        return self._of(input1, input2, target)


class CosineEmbeddingLoss(_PairMarginLoss):
    """`1 - cos` of vectors `(n, d)` or `(d,)` for targets of 1, `max(0, cos - margin)` for -1."""

    _function = "cosine_embedding_loss"


class MarginRankingLoss(_PairMarginLoss):
    """`max(0, margin - target * (input1 - input2))`, for targets of 1 and -1 of their shape."""

    _function = "margin_ranking_loss"


class HingeEmbeddingLoss(_PairLoss):
    """`input` for targets of 1, `max(0, margin - input)` for -1."""

    _function = "hinge_embedding_loss"
    _options = ("margin",)

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin


class SoftMarginLoss(_PairLoss):
    """`log(1 + exp(-target * input))`, for targets of 1 and -1."""

    _function = "soft_margin_loss"


class MultiMarginLoss(_Weighted):
    """The hinge of each label's score over the other classes' scores.

    Takes scores `(n, classes)` and labels `(n,)`.
    """

    _function = "multi_margin_loss"
    _options = ("p", "margin", "weight")

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        expect(p in (1, 2), "MultiMarginLoss", "p 1 or 2", p, ArgumentError)
        if weight is not None:
            expect(weight.ndim == 1, "MultiMarginLoss", "a weight of 1 axis", weight.shape)
        self.p, self.margin = p, margin


class MultiLabelMarginLoss(_PairLoss):
    """The hinge of the labels' scores over the other classes' scores.

    Takes scores `(n, classes)` and labels of that shape, ended by -1.
    """

    _function = "multilabel_margin_loss"


class MultiLabelSoftMarginLoss(_Weighted):
    """The mean over classes of `BCEWithLogitsLoss`.

    Takes scores and targets `(n, classes)`.
    """

    _function = "multilabel_soft_margin_loss"


class _TripletLoss(_Loss):
    """A loss by the distances of an anchor from what is like it and from what is not."""

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Three of one shape, `(n, d)` but for distances that take others."""
        return self._of(anchor, positive, negative)


class TripletMarginLoss(_TripletLoss):
    """`max(0, d(anchor, positive) - d(anchor, negative) + margin)`."""

    _function = "triplet_margin_loss"
    _options = ("margin", "p", "eps", "swap")

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        expect(margin > 0, "TripletMarginLoss", "a margin above 0", margin, ArgumentError)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap


class TripletMarginWithDistanceLoss(_TripletLoss):
    """`TripletMarginLoss` by any distance."""

    _function = "triplet_margin_with_distance_loss"
    _options = ("distance_function", "margin", "swap")

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        where = "TripletMarginWithDistanceLoss"
        expect(margin > 0, where, "a margin above 0", margin, ArgumentError)
        self.distance_function: Any = distance_function or PairwiseDistance()
        self.margin, self.swap = margin, swap
