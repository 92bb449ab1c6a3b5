"""Mixtures of experts: routers, stacked experts, and the layer of both (arXiv 1701.06538)."""

from __future__ import annotations

import math
from collections.abc import Callable

from tallow.factories import arange, zeros
from tallow.models.blocks.activation import Activation
from tallow.nn import Linear, Module
from tallow.nn.init import uniform
from tallow.nn.layer import Layer
from tallow.nn.parameter import Buffer, declare
from tallow.ops import expert_linear, linear, silu_mul, softmax, topk
from tallow.tensor import Tensor
from tallow.weights.arrange import WeightConverter, rename, split, stack

Choice = tuple[Tensor, Tensor]  # experts (tokens, chosen) and what their results are worth
Choose = Callable[[Tensor], Choice]  # of scores (tokens, experts)


class ExpertLinear(Layer):
    """A linear layer for each of `experts`: `x @ weight[id].T + bias[id]`.

    The weight `(experts, out_features, in_features)` may be loaded in any float or block dtype;
    weights of experts that no token chooses are not read. `exact` is that of `Linear`.
    """

    exact: bool = False
    quantizable = True

    def __init__(
        self, experts: int, in_features: int, out_features: int, *, bias: bool = False
    ) -> None:
        rule = uniform(in_features**-0.5 if in_features else 0.0)
        self.weight = declare(experts, out_features, in_features, init=rule, kinds="fq")
        self.register_parameter("bias", declare(experts, out_features, init=rule) if bias else None)
        self.reset_parameters()

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        """`(tokens, in)` or `(tokens, chosen, in)`, ids `(tokens, chosen)` → `(…, chosen, out)`."""
        return expert_linear(x, self.weight, ids, self.bias, exact=self.exact)


class Experts(Module):
    """Gated feed-forward networks of which each token takes some: `down(act(gate(x)) * up(x))`.

    `act` is silu unless given; `gated(gate, up)` replaces both it and the product.
    """

    def __init__(
        self,
        experts: int,
        size: int,
        hidden: int,
        *,
        bias: bool = False,
        act: Activation | None = None,
        gated: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        self.gate_proj = ExpertLinear(experts, size, hidden, bias=bias)
        self.up_proj = ExpertLinear(experts, size, hidden, bias=bias)
        self.down_proj = ExpertLinear(experts, hidden, size, bias=bias)
        self._act = act
        self._gated = gated

    def forward(self, x: Tensor, ids: Tensor, worth: Tensor) -> Tensor:
        """`(tokens, size)` → the sum of what the experts `ids` give, times `worth`."""
        return (worth.unsqueeze(1) @ self.each(x, ids)).squeeze(1)

    def each(self, x: Tensor, ids: Tensor) -> Tensor:
        """`(tokens, size)` or `(tokens, chosen, size)` → `(tokens, chosen, size)`."""
        gate, up = self.gate_proj(x, ids), self.up_proj(x, ids)
        if self._gated is not None:
            inner = self._gated(gate, up)
        else:
            inner = silu_mul(gate, up) if self._act is None else self._act(gate) * up
        return self.down_proj(inner, ids)


class Router(Linear):
    """Scores of the experts `(tokens, experts)`, and by `choose` those that a token takes."""

    def __init__(self, size: int, experts: int, choose: Choose, *, bias: bool = False) -> None:
        super().__init__(size, experts, bias=bias)
        self._choose = choose

    def forward(self, input: Tensor) -> Choice:  # type: ignore[override]  # scores are not all
        """`(tokens, size)` → experts and their worth, both `(tokens, chosen)`."""
        return self._choose(linear(input, self.weight, self.bias, exact=True))


class CorrectedRouter(Linear):
    """Experts by sigmoids of their scores, chosen with corrections (DeepSeek-V3, 2412.19437).

    `e_score_correction_bias` counts for the choice alone. Of several `groups`, those `kept` count
    whose two best experts score most. `renormalise` makes worth sum to `scale`, but for `least`
    that is added to the sum.
    """

    def __init__(
        self,
        size: int,
        experts: int,
        chosen: int,
        *,
        groups: int = 1,
        kept: int = 1,
        renormalise: bool = True,
        scale: float = 1.0,
        least: float = 1e-20,
    ) -> None:
        super().__init__(size, experts, bias=False)
        self.e_score_correction_bias = Buffer(zeros(experts))
        self._chosen, self._groups, self._kept = chosen, groups, kept
        self._renormalise, self._scale, self._least = renormalise, scale, least

    def forward(self, input: Tensor) -> Choice:  # type: ignore[override]  # scores are not all
        """`(tokens, size)` → experts and their worth, both `(tokens, chosen)`."""
        scores = linear(input, self.weight, exact=True).sigmoid()
        corrected = scores + self.e_score_correction_bias
        if self._kept < self._groups:
            grouped = corrected.view(scores.shape[0], self._groups, -1)
            best = topk(grouped, 2)[0].sum(-1)
            out = _outside(best, self._kept, scores.shape[1])
            corrected = corrected.masked_fill(out, -math.inf)
        ids = topk(corrected, self._chosen)[1]
        worth = scores.gather(1, ids)
        if self._renormalise:
            worth = worth / (worth.sum(-1, keepdim=True) + self._least)
        return ids, worth * self._scale


class SparseMlp(Module):
    """Experts behind a router, in the place of a feed-forward network.

    `router_name`, `shared_name` and `shared_gate_name` are what checkpoints call the router and an
    expert that every token takes, whose result is added, times the sigmoid of its gate if it has
    one.
    """

    def __init__(
        self,
        router: Module,
        experts: Module,
        *,
        router_name: str = "gate",
        shared: Module | None = None,
        shared_name: str = "shared_experts",
        shared_gate: Module | None = None,
        shared_gate_name: str = "shared_expert_gate",
    ) -> None:
        self._names = router_name, shared_name, shared_gate_name
        for part in filter(None, (router, shared_gate)):
            part.quantizable = False  # a rounded score may choose another expert
        setattr(self, router_name, router)
        self.experts = experts
        if shared is not None:
            setattr(self, shared_name, shared)
        if shared_gate is not None:
            setattr(self, shared_gate_name, shared_gate)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)` → the same shape."""
        rows = x.reshape(-1, x.shape[-1])
        router, shared, gate = (self._modules.get(name) for name in self._names)
        assert router is not None
        out: Tensor = self.experts(rows, *router(rows))
        if shared is not None:
            always: Tensor = shared(rows)
            out = out + (always if gate is None else gate(rows).sigmoid() * always)
        return out.view(*x.shape)


def by_softmax(
    chosen: int,
    *,
    renormalise: bool = False,
    scale: float = 1.0,
    groups: int = 1,
    kept: int = 1,
) -> Choose:
    """The `chosen` most likely of all experts; `renormalise` makes their worth sum to 1.

    Of several `groups`, only those `kept` count that have the most likely experts.
    """

    def choose(scores: Tensor) -> Choice:
        likely = softmax(scores, -1)
        if kept < groups:
            best = likely.view(likely.shape[0], groups, -1).amax(-1)
            likely = likely.masked_fill(_outside(best, kept, likely.shape[1]), 0.0)
        worth, ids = topk(likely, chosen)
        if renormalise:
            worth = worth / worth.sum(-1, keepdim=True)
        return ids, worth if scale == 1.0 else worth * scale

    return choose


def _outside(best: Tensor, kept: int, experts: int) -> Tensor:
    """Whether experts `(tokens, experts)` are of none of the `kept` groups that score best."""
    tokens, groups = best.shape
    chosen = topk(best, kept)[1].unsqueeze(-1).eq(arange(groups, device=best.device)).any(1)
    each = chosen.logical_not().unsqueeze(-1)
    return each.expand(tokens, groups, experts // groups).reshape(tokens, experts)


def softmax_of_chosen(chosen: int) -> Choose:
    """The `chosen` highest scores, and their softmax."""

    def choose(scores: Tensor) -> Choice:
        best, ids = topk(scores, chosen)
        return ids, softmax(best, -1)

    return choose


def block_sparse_experts(router: str) -> tuple[WeightConverter, ...]:
    """Mixtral's names of a router and experts; the model calls the first `router`."""
    stored, own = "layers.{}.block_sparse_moe.", "layers.{}.mlp."
    names = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
    return (
        rename(stored + "gate.weight", f"{own}{router}.weight"),
        *stacked_experts(stored + "experts.{*}", own + "experts", **names),
    )


def joined_experts(prefix: str) -> tuple[WeightConverter, ...]:
    """Rules for stacked experts below `prefix` whose gates and ups files have in one tensor."""
    both = prefix + "gate_proj.weight", prefix + "up_proj.weight"
    return (
        split(prefix + "gate_up_proj", *both, dim=1),
        rename(prefix + "down_proj", prefix + "down_proj.weight"),
    )


def stacked_experts(stored: str, visible: str, **names: str) -> tuple[WeightConverter, ...]:
    """Rules for experts that files keep one by one: `stored` has `{*}` for their number.

    `names` are what files call `gate_proj`, `up_proj` and `down_proj`.
    """
    return tuple(
        stack(f"{stored}.{names.get(name, name)}.weight", to=f"{visible}.{name}.weight")
        for name in ("gate_proj", "up_proj", "down_proj")
    )
