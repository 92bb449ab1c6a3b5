"""Connectionist temporal classification: the loss of a label sequence under frames of symbols."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..dtype import DType, f32, i64
from ..errors import ArgumentError, NoKernelError, expect
from ..factories import arange, full, tensor
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .elementwise_binary import logaddexp
from .elementwise_ternary import where
from .loss import mode, reduced


@op(name="nn.log_add")
def log_add(terms: Sequence[Tensor]) -> Tensor:
    """`log(sum of exp(terms))`, elementwise, where terms may be -inf, also all of them."""
    top = terms[0]
    for term in terms[1:]:
        top = top.maximum(term)
    safe = where(top.eq(-math.inf), 0, top).detach()
    total = (terms[0] - safe).exp()
    for term in terms[1:]:
        total = total + (term - safe).exp()
    return total.log() + safe


@log_add.kernel
def _(terms: Sequence[Tensor]) -> Tensor:
    out = terms[0]
    for term in terms[1:]:
        out = logaddexp(out, term)
    return out


@log_add.grad(copied=("terms", "out"))
def _(g: Tensor, terms: Sequence[Tensor], out: Tensor) -> list[Tensor]:
    # exp(-inf - -inf) would be NaN; a sum of nothing has no share to give.
    safe = where(out.eq(-math.inf), 0, out)
    return [g * (term - safe).exp() for term in terms]


def _lengths(name: str, given: Tensor | Sequence[int], batch: int, most: int, what: str) -> Tensor:
    made = given if isinstance(given, Tensor) else tensor(list(given), dtype=i64)
    made = made.reshape(1) if made.ndim == 0 else made
    expect(made.dtype.kind in "iu", name, f"integer {what}", made.dtype.name, NoKernelError)
    expect(made.shape == (batch,), name, f"{what} of shape ({batch},)", made.shape)
    if batch and not made.is_meta:
        low, high = made.amin().item(), made.amax().item()
        good = low >= 0 and high <= most
        expect(good, name, f"{what} in [0, {most}]", low if low < 0 else high, ArgumentError)
    return made.long()


def _padded(name: str, targets: Tensor, lengths: Tensor, batch: int) -> Tensor:
    """Targets as (batch, longest), whether they came so or one after the other."""
    if targets.ndim == 2:
        expect(targets.shape[0] == batch, name, f"targets of {batch} rows", targets.shape)
        return targets.long()
    expect(targets.ndim == 1, name, "targets of shape (batch, s) or (sum,)", targets.shape)
    if targets.is_meta:  # the longest is not known, nor does the result's shape depend on it
        return targets.long().expand(batch, targets.shape[0])
    counts = lengths.tolist()
    total = sum(counts)
    expect(targets.shape[0] == total, name, f"{total} targets", targets.shape[0])
    flat, rows, at, width = targets.tolist(), [], 0, max(counts, default=0)
    for count in counts:
        rows.append(flat[at : at + count] + [0] * (width - count))
        at += count
    return tensor(rows, dtype=i64).reshape(batch, width)


@op
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Minus the log-probability of each target over all alignments (Graves et al. 2006).

    `log_probs` is (time, batch, symbols) or (time, symbols); `targets` (batch, s), padded, or one
    after the other (sum of lengths,). A target that does not fit gives infinity, or 0 with
    `zero_infinity`. The mean is over the batch, of losses over target lengths. The gradient is
    that of `log_probs` itself, also where they are not normalised.
    """
    name = "ctc_loss"
    reduction = mode(name, reduction)
    unwrap_tensor(log_probs, name), unwrap_tensor(targets, name)
    wanted = "log_probs (time, batch, symbols) or (time, symbols)"
    expect(log_probs.ndim in (2, 3), name, wanted, log_probs.shape)
    single = log_probs.ndim == 2
    lp = log_probs.unsqueeze(1) if single else log_probs
    lp = lp.to(f32) if lp.dtype.itemsize < 4 else lp
    steps, batch, symbols = lp.shape
    expect(0 <= blank < symbols, name, f"blank in [0, {symbols})", blank, ArgumentError)
    if single and targets.ndim == 1:
        targets = targets.unsqueeze(0)
    limit = targets.shape[1] if targets.ndim == 2 else targets.shape[0]
    ends = _lengths(name, input_lengths, batch, steps, "input_lengths")
    sizes = _lengths(name, target_lengths, batch, limit, "target_lengths")
    labels = _padded(name, targets, sizes, batch)
    loss = _scan(lp, _checked(name, labels, sizes, symbols), ends, sizes, blank)
    if zero_infinity:
        loss = where(loss.eq(math.inf), 0, loss)
    if reduction == "mean":
        loss = loss / sizes.clamp(min=1).to(loss.dtype)
    loss = loss.to(log_probs.dtype)
    return reduced(loss.squeeze(0) if single and reduction == "none" else loss, reduction)


def _checked(name: str, labels: Tensor, sizes: Tensor, symbols: int) -> Tensor:
    """Labels with 0 behind their end; ArgumentError for one that is no symbol."""
    if not labels.numel() or labels.is_meta:
        return labels
    labels = where(arange(labels.shape[1]) < sizes.unsqueeze(1), labels, 0)
    low, high = labels.amin().item(), labels.amax().item()
    good = low >= 0 and high < symbols
    expect(good, name, f"labels in [0, {symbols})", low if low < 0 else high, ArgumentError)
    return labels


def _scan(lp: Tensor, labels: Tensor, ends: Tensor, sizes: Tensor, blank: int) -> Tensor:
    """(batch,) from log-probabilities (time, batch, symbols): states alternate blank and label."""
    from .join import cat, stack

    steps, batch, _ = lp.shape
    width = 2 * labels.shape[1] + 1
    blanks = full((batch, labels.shape[1]), blank, i64)
    between = stack([blanks, labels], 2).reshape(batch, width - 1)
    states = cat([between, full((batch, 1), blank, i64)], 1)
    # A label may follow the one before it without a blank unless they are equal.
    before = cat([full((batch, 2), blank, i64), states], 1)[:, :width]
    skips = states.ne(blank).bitwise_and(states.ne(before))
    if steps:
        lp = lp.gather(2, states.unsqueeze(0).expand(steps, batch, width))
    else:
        lp = full((0, batch, width), 0.0, lp.dtype)
    return alignment_nll(lp, skips, ends, sizes)


def _log(mask: Tensor, dtype: DType) -> Tensor:
    """0 where the mask is true, else -inf."""
    return where(mask, full((), 0.0, dtype), -math.inf)


def _forwards(lp: Tensor, skips: Tensor, ends: Tensor) -> list[Tensor]:
    """Log-probability of all ways into each state at each step; a last state stands still."""
    from .join import cat

    steps, batch, width = lp.shape
    place = arange(width)
    kind = lp.dtype
    barred = _log(skips, kind)
    never = full((batch, 2), -math.inf, kind)
    alpha = _log(place.expand(batch, width).eq(0), kind)
    rows = lp.unbind(0)
    even = not batch or ends.is_meta or int(ends.amin().item()) == steps
    out = [alpha]
    for t in range(steps):
        if t == 0:
            fresh = rows[0] + _log(place < 2, kind)
        else:
            padded = cat([never, alpha], 1)
            stay, step, skip = (padded.narrow(1, i, width) for i in (2, 1, 0))
            fresh = log_add([stay, step, skip + barred]) + rows[t]
        alpha = fresh if even else where((ends > t).unsqueeze(1), fresh, alpha)
        out.append(alpha)
    return out


def _finish(sizes: Tensor, width: int, dtype: DType) -> Tensor:
    """0 for the states in which an alignment may end, (batch, width), else -inf."""
    place, last = arange(width), (sizes * 2).unsqueeze(1)
    # With no labels, -1 is no place.
    return _log(place.eq(last).bitwise_or(place.eq(last - 1)), dtype)


@op(name="nn.alignment_nll")
def alignment_nll(lp: Tensor, skips: Tensor, ends: Tensor, sizes: Tensor) -> Tensor:
    """Minus the log-probability of all alignments: (batch,) from `lp` (time, batch, states).

    The middle of `ctc_loss`: states are blank, label, blank, …; `skips` (batch, states) says which
    may be entered from two states before.
    """
    from .join import cat

    alpha = _forwards(lp, skips, ends)[-1]
    last = (sizes * 2).unsqueeze(1)
    alpha = cat([full((alpha.shape[0], 1), -math.inf, alpha.dtype), alpha], 1)  # a place for -1
    return -log_add([alpha.gather(1, last + 1).squeeze(1), alpha.gather(1, last).squeeze(1)])


@alignment_nll.grad(copied=("lp", "skips", "ends", "sizes"))
def _(g: Tensor, lp: Tensor, skips: Tensor, ends: Tensor, sizes: Tensor) -> Any:
    from .join import cat, stack

    steps, batch, width = lp.shape
    if not steps:
        return lp * 0, None, None, None
    alpha = _forwards(lp, skips, ends)
    finish = _finish(sizes, width, lp.dtype)
    barred = cat([_log(skips, lp.dtype), full((batch, 2), -math.inf, lp.dtype)], 1)
    barred = barred.narrow(1, 2, width)
    never = full((batch, 2), -math.inf, lp.dtype)
    rows = lp.unbind(0)
    beta = finish
    ways: list[Tensor] = []
    for t in reversed(range(steps)):
        if t < steps - 1:
            padded = cat([beta + rows[t + 1], never], 1)
            stay, step, skip = (padded.narrow(1, i, width) for i in (0, 1, 2))
            beta = where((ends <= t + 1).unsqueeze(1), finish, log_add([stay, step, skip + barred]))
        ways.append(alpha[t + 1] + beta)
    through = stack(ways[::-1])
    total = log_add(list((alpha[-1] + finish).unbind(1)))
    total = where(total.eq(-math.inf), 0, total).unsqueeze(1)
    share = (through - total).exp()
    live = (arange(steps).unsqueeze(1) < ends).unsqueeze(2)
    return where(live, share, 0) * -g.unsqueeze(1), None, None, None
