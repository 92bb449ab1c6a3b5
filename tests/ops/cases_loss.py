"""Cases of the losses and distances."""

from __future__ import annotations

import numpy as np

from ops.table import WIDE, Case


def labels_like(d, *shape, classes):
    return d.ints(shape, 0, classes)


def logits(d, *shape):
    return d.x(shape)


def log_probs(d, *shape):
    x = d.x(shape).astype(float)
    return (x - np.log(np.exp(x).sum(-1, keepdims=True))).astype(d.x((1,)).dtype)


def unit(d, *shape):
    return d.x(shape, 0.1, 0.9)


def signs(d, *shape):
    return np.where(d.bools(shape), 1, -1).astype(d.x((1,)).dtype)


def pairs(d, **options):
    """Two of one shape under each reduction."""
    return [
        d(d.x((4, 5)), d.x((4, 5)), reduction="none", **options),
        d(d.x((4, 5)), d.x((4, 5)), **options),
        d(d.x((3,)), d.x((3,)), reduction="sum", **options),
        d(d.x((0, 2)), d.x((0, 2)), reduction="none", **options),
    ]


def weighted(d):
    return [
        d(d.x((5, 4)), d.ints((5,), 0, 4)),
        d(d.x((5, 4)), d.ints((5,), 0, 4), d.positive((4,)), ignore_index=1),
        d(d.x((2, 4, 3)), d.ints((2, 3), 0, 4), d.positive((4,)), reduction="none"),
        d(d.x((4,)), d.ints((), 0, 4), reduction="sum"),
    ]


def cross_entropy(d):
    return [
        *weighted(d),
        d(d.x((5, 4)), d.ints((5,), 0, 4), d.positive((4,)), ignore_index=1, label_smoothing=0.3),
        d(d.x((5, 4)), d.ints((5,), 0, 4), label_smoothing=0.3, reduction="none"),
        d(d.x((5, 4)), unit(d, 5, 4), d.positive((4,)), label_smoothing=0.2),
        d(d.x((2, 4, 3)), unit(d, 2, 4, 3), reduction="none"),
    ]


def ctc(d):
    targets, lengths, sizes = d.ints((3, 3), 1, 4), np.array([6, 5, 4]), np.array([3, 2, 0])
    return [
        d(log_probs(d, 6, 3, 4), targets, lengths, sizes, reduction="none"),
        d(log_probs(d, 6, 3, 4), d.ints((5,), 1, 4), lengths, sizes),
        d(log_probs(d, 6, 4), d.ints((2,), 1, 4), np.array(6), np.array(2), reduction="sum"),
        d(
            log_probs(d, 2, 1, 4),
            np.array([[1, 1]]),
            np.array([2]),
            np.array([2]),
            zero_infinity=True,
        ),
    ]


def embedding_pairs(d):
    return [
        d(d.x((4, 5)), d.x((4, 5)), signs(d, 4), margin=0.1),
        d(d.x((5,)), d.x((5,)), signs(d), reduction="none"),
    ]


def triplets(d):
    a, b, c = (d.x((4, 5)) for _ in range(3))
    return [d(a, b, c), d(a, b, c, margin=2.0, p=3.0, swap=True, reduction="none")]


def torch_log_add(terms):
    import torch

    return torch.stack(list(terms)).logsumexp(0)


def torch_log1p_exp(input):
    import torch

    return torch.nn.functional.softplus(input, threshold=100)


def torch_huber(input, target, delta, scale=1.0):
    import torch

    return scale * torch.nn.functional.huber_loss(input, target, reduction="none", delta=delta)


def torch_label_nll(input, target):
    import torch

    return torch.nn.functional.cross_entropy(input, target, reduction="none")


def torch_bernoulli_nll(input, target):
    import torch

    return torch.nn.functional.binary_cross_entropy(input, target, reduction="none")


# torch's own have no gradient for weights and some targets: here by their formulas.


def torch_reduced(loss, reduction):
    return loss if reduction == "none" else getattr(loss, reduction)()


def torch_bce(input, target, weight=None, reduction="mean"):
    import torch

    loss = torch.nn.functional.binary_cross_entropy(input, target, reduction="none")
    return torch_reduced(loss if weight is None else loss * weight, reduction)


def torch_bce_with_logits(input, target, weight=None, reduction="mean", pos_weight=1):
    import torch

    log = torch.nn.functional.logsigmoid
    loss = -pos_weight * target * log(input) - (1 - target) * log(-input)
    return torch_reduced(loss if weight is None else loss * weight, reduction)


def torch_nll(input, target, weight=None, ignore_index=-100, reduction="mean"):
    axis = 1 if input.ndim > 1 else 0
    keep = target.ne(ignore_index)
    safe = target.where(keep, 0)
    share = keep.to(input.dtype) * (1 if weight is None else weight[safe])
    loss = -input.gather(axis, safe.unsqueeze(axis)).squeeze(axis) * share
    return loss.sum() / share.sum() if reduction == "mean" else torch_reduced(loss, reduction)


def torch_cross_entropy(input, target, weight=None, label_smoothing=0.0, **options):
    import torch

    if target.is_floating_point():
        options["label_smoothing"] = label_smoothing
        return torch.nn.functional.cross_entropy(input, target, weight, **options)
    logs = input.log_softmax(1 if input.ndim > 1 else 0)
    loss = torch_nll(logs, target, weight, **options)
    if not label_smoothing:
        return loss
    # Labels elsewhere stand for the uniform part: one pass for each class, each by its own weight.
    reduction = options.get("reduction", "mean")
    keep = target.ne(options.get("ignore_index", -100))
    share = 1 if weight is None else weight
    spread = -(logs * share).sum(1) * keep
    if reduction == "mean":
        safe = target.where(keep, 0)
        spread = spread.sum() / (keep if weight is None else weight[safe] * keep).sum()
    else:
        spread = torch_reduced(spread, reduction)
    return loss * (1 - label_smoothing) + spread * label_smoothing / input.shape[1]


def torch_multi_margin(input, target, p=1, margin=1.0, weight=None, reduction="mean"):
    import torch

    loss = (margin - input.gather(1, target.unsqueeze(1)) + input).clamp(min=0) ** p
    loss = loss if weight is None else loss * weight[target].unsqueeze(1)
    other = 1 - torch.nn.functional.one_hot(target, input.shape[1])
    return torch_reduced((loss * other).sum(1) / input.shape[1], reduction)


def torch_ctc(log_probs, targets, ends, sizes, blank=0, reduction="mean", zero_infinity=False):
    """By the recursion; torch's own gradient supposes that a log_softmax stands before."""
    import torch

    single = log_probs.ndim == 2
    lp = log_probs.unsqueeze(1) if single else log_probs
    ends, sizes = ends.reshape(-1).tolist(), sizes.reshape(-1).tolist()
    rows = targets.reshape(len(sizes), -1) if targets.numel() % len(sizes) == 0 else None
    if targets.ndim == 1 and not single:
        rows = targets.split(sizes)
    losses = []
    for b, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        labels = [blank]
        for label in rows[b][:size].tolist():
            labels += [label, blank]
        none = torch.full((), -1e30, dtype=lp.dtype)
        alpha = [lp[0, b, label] if s < 2 else none for s, label in enumerate(labels)]
        for t in range(1, end):
            fresh = []
            for s, label in enumerate(labels):
                terms = [alpha[s], *(alpha[s - 1 : s] if s else [])]
                if s > 1 and label not in (blank, labels[s - 2]):
                    terms.append(alpha[s - 2])
                fresh.append(torch.stack(terms).logsumexp(0) + lp[t, b, label])
            alpha = fresh
        loss = -torch.stack(alpha[-2:]).logsumexp(0)
        if loss > 1e20:
            loss = loss * 0 if zero_infinity else loss * float("inf")
        losses.append(loss / max(size, 1) if reduction == "mean" else loss)
    loss = torch.stack(losses)
    return torch_reduced(loss.squeeze(0) if single and reduction == "none" else loss, reduction)


def torch_alignment(lp, skips, ends, sizes):
    """By enumeration of all paths through the states."""
    import itertools

    import torch

    losses = []
    for b, (end, size) in enumerate(zip(ends.tolist(), sizes.tolist(), strict=True)):
        ways = []
        for path in itertools.product(range(2 * size + 1), repeat=end):
            moves = [(q - p, q) for p, q in itertools.pairwise(path)]
            good = all(d in (0, 1) or (d == 2 and skips[b, q]) for d, q in moves)
            if good and path[0] < 2 and path[-1] >= 2 * size - 1:
                ways.append(sum(lp[t, b, s] for t, s in enumerate(path)))
        losses.append(-torch.stack(ways).logsumexp(0))
    return torch.stack(losses)


def torch_soft_margin(input, target):
    return (-target * input).exp().log1p().mean()


CASES = {
    "nn.log1p_exp": Case(lambda d: [d(d.x((4, 5), -30, 30))], torch=torch_log1p_exp),
    "nn.squared_error": Case(
        lambda d: [d(d.x((4, 5)), d.x((4, 5))), d(d.x((4, 5)), d.x((5,)))],
        torch=lambda x, target: (x - target) ** 2,
    ),
    "nn.absolute_error": Case(
        lambda d: [d(d.x((4, 5)), d.x((4, 5))), d(d.x((4, 5)), d.x((5,)))],
        torch=lambda x, target: (x - target).abs(),
    ),
    "nn.huber": Case(
        lambda d: [d(d.x((4, 5)), d.x((4, 5)), 0.7), d(d.x((4, 5)), d.x((5,)), 2.0, 0.5)],
        torch=torch_huber,
        hypothesis=False,
    ),
    "nn.row_products": Case(
        lambda d: [d(d.x((4, 5)), d.x((4, 5))), d(d.x((2, 3, 40)), d.x((2, 3, 40)))],
        torch=lambda x, y: (x * y).sum(-1),
        factor=4,
        hypothesis=False,
    ),
    "nn.row_distances": Case(
        lambda d: [d(d.x((4, 5)), d.x((4, 5)), 1e-6), d(d.x((2, 3, 40)), d.x((2, 3, 40)), 0.5)],
        torch=lambda x, y, eps: (x - y + eps).norm(2, -1),
        factor=4,
        hypothesis=False,
    ),
    "nn.picked_nll": Case(
        lambda d: [d(d.x((5, 4)), d.ints((5,), 0, 4))],
        torch=lambda x, labels: -x.gather(1, labels[:, None])[:, 0],
        hypothesis=False,
    ),
    "nn.label_nll": Case(
        lambda d: [d(d.x((5, 4)), d.ints((5,), 0, 4))], torch=torch_label_nll, hypothesis=False
    ),
    "nn.bernoulli_nll": Case(
        lambda d: [d(unit(d, 4, 5), unit(d, 4, 5))], torch=torch_bernoulli_nll, hypothesis=False
    ),
    "nn.log_add": Case(lambda d: [d([d.x((4,)), d.x((4,))])], torch=torch_log_add),
    "nn.alignment_nll": Case(
        lambda d: [
            d(
                d.x((5, 2, 5)),
                np.array([[0, 0, 0, 1, 0], [0, 0, 0, 0, 0]], bool),
                np.array([5, 4]),
                np.array([2, 1]),
            )
        ],
        dtypes=WIDE,
        torch=torch_alignment,
        hypothesis=False,
    ),
    "nll_loss": Case(weighted, torch=torch_nll, hypothesis=False),
    "cross_entropy": Case(cross_entropy, torch=torch_cross_entropy, hypothesis=False),
    "mse_loss": Case(pairs),
    "l1_loss": Case(pairs),
    "smooth_l1_loss": Case(lambda d: [*pairs(d), d(d.x((4,)), d.x((4,)), beta=0.3)]),
    "huber_loss": Case(lambda d: [*pairs(d), d(d.x((4,)), d.x((4,)), delta=0.3)]),
    "binary_cross_entropy": Case(
        lambda d: [
            d(unit(d, 4, 5), unit(d, 4, 5)),
            d(unit(d, 4, 5), unit(d, 4, 5), d.positive((5,)), reduction="none"),
        ],
        torch=torch_bce,
        hypothesis=False,
    ),
    "binary_cross_entropy_with_logits": Case(
        lambda d: [
            d(d.x((4, 5)), unit(d, 4, 5)),
            d(d.x((4, 5)), unit(d, 4, 5), d.positive((5,)), pos_weight=d.positive((5,))),
        ],
        torch=torch_bce_with_logits,
    ),
    "kl_div": Case(
        lambda d: [
            d(d.x((4, 5)), unit(d, 4, 5), reduction="batchmean"),
            d(d.x((4, 5)), d.x((4, 5)), log_target=True, reduction="sum"),
        ]
    ),
    "poisson_nll_loss": Case(
        lambda d: [
            d(d.x((4, 5)), d.x((4, 5), 0, 4), full=True),
            d(unit(d, 4), d.x((4,), 0, 4), log_input=False, reduction="none"),
        ],
        gradgrad=False,
    ),
    "gaussian_nll_loss": Case(
        lambda d: [
            d(d.x((4, 5)), d.x((4, 5)), d.positive((4, 5)), full=True),
            d(d.x((4, 5)), d.x((4, 5)), d.positive((4,)), reduction="none"),
            d(d.x((4, 5)), d.x((4, 5)), 1.5, full=True),
        ],
        hypothesis=False,
    ),
    "ctc_loss": Case(ctc, dtypes=WIDE, torch=torch_ctc, hypothesis=False),
    "soft_margin_loss": Case(lambda d: [d(d.x((6,)), signs(d, 6))], torch=torch_soft_margin),
    "cosine_embedding_loss": Case(embedding_pairs, hypothesis=False, gradient=True),
    "margin_ranking_loss": Case(lambda d: [d(d.x((6,)), d.x((6,)), signs(d, 6), margin=0.1)]),
    "hinge_embedding_loss": Case(lambda d: [d(d.x((6,)), signs(d, 6))]),
    "triplet_margin_loss": Case(triplets, hypothesis=False),
    "multi_margin_loss": Case(
        lambda d: [
            d(d.x((4, 5)), d.ints((4,), 0, 5)),
            d(d.x((4, 5)), d.ints((4,), 0, 5), 2, 0.5, d.positive((5,)), reduction="none"),
        ],
        dtypes=WIDE,
        torch=torch_multi_margin,
        hypothesis=False,
    ),
    "multilabel_margin_loss": Case(
        lambda d: [d(d.x((2, 4)), np.array([[3, 0, -1, 1], [2, 1, 0, 3]]))],
        dtypes=WIDE,
        hypothesis=False,
    ),
    "multilabel_soft_margin_loss": Case(
        lambda d: [d(d.x((4, 5)), unit(d, 4, 5), d.positive((5,)))]
    ),
    "pairwise_distance": Case(
        lambda d: [d(d.x((4, 5)), d.x((4, 5))), d(d.x((5,)), d.x((4, 5)), 3.0, keepdim=True)]
    ),
    "cosine_similarity": Case(
        lambda d: [d(d.x((4, 5)), d.x((4, 5))), d(d.x((4, 1, 5)), d.x((3, 5)), -1)]
    ),
    "pdist": Case(lambda d: [d(d.x((4, 3))), d(d.x((4, 3)), 3.0)], dtypes=WIDE),
    "bilinear": Case(
        lambda d: [
            d(d.x((2, 3)), d.x((2, 4)), d.x((5, 3, 4)), d.x((5,))),
            d(d.x((3,)), d.x((4,)), d.x((5, 3, 4))),
        ],
        hypothesis=False,
    ),
}
