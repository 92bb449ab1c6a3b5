"""Random programs over tensors: lines of code, and how one is drawn."""

from __future__ import annotations

import random
from dataclasses import dataclass

NEW = """
x.exp() | x.sin() | x.tanh() | x * 2 | x + 1 | 2 / (x * x + 1) | 2 / x | x.abs() | x.sum()
x.sum(0) | x.mean(-1, keepdim=True) | x.reshape(-1) | x.view(-1) | x[0] | x[:, 1:] | x[..., ::2]
x.clone() | x.detach() | x.data | x.contiguous() | x.softmax(-1) | x.cumsum(0) | x.max(-1).values
x * 1 | x.unsqueeze(0) | x.squeeze() | x.expand(2, *x.shape) | x.transpose(0, -1)
x.t() | x.flip(0) | x.clamp(-1, 1) | x.relu() | x.sigmoid() | x ** 2 | x.prod() | x.norm()
x.sort(-1).values
x[x > 0] | x.roll(1) | x.masked_fill(x > 0, 0.5) | x.chunk(2, 0)[0] | x.unbind(0)[0] | x.diagonal()
x.tril() | x.logsumexp(-1) | x.repeat(2, *[1] * (x.ndim - 1)) | x.std()
x.narrow(0, 0, 1) | x.index_select(0, t.tensor([0, 0])) | x.movedim(0, -1) | x.amax(0) | x.sign()
x.floor() | x.round() | x.sgn() | x.erfinv() | x.as_strided((2,), (1,)) | x.split(1)[0] | x.neg()
x.double() | x.half().float() | x.view_as(x) | x.min() | x.cumprod(-1) | (x > 0) * x | x.erf()
x.square() | x.diff() | x.trace() | x.std(-1, keepdim=True) | x.fmod(2.0)
x.remainder(0.7) | x.double().float() | x.tensor_split(2)[0] | x.flatten() | x.T | x.swapdims(0, -1)
t.nn.functional.layer_norm(x, x.shape[-1:]) | t.nn.functional.log_softmax(x, -1)
t.nn.functional.cross_entropy(x, t.zeros(x.shape[:1] if x.ndim > 1 else (), dtype=t.long))
t.nn.functional.nll_loss(x, t.zeros(x.shape[:1] if x.ndim > 1 else (), dtype=t.long))
t.nn.functional.gelu(x) | t.nn.functional.silu(x) | t.nn.functional.leaky_relu(x)
t.nn.functional.elu(x) | t.nn.functional.softplus(x)
x + y | x * y | x - y | x / (y * y + 1) | x / y | x @ y | t.maximum(x, y) | t.where(x > y, x, y)
t.cat([x, y]) | t.stack([x, y]) | t.atan2(x, y.abs() + 1) | x.fmod(y.abs() + 1) | t.lerp(x, y, 0.3)
t.addcmul(x, x, y) | t.outer(x.flatten(), y.flatten())
t.nn.functional.mse_loss(x, y) | x.expand_as(y) | t.hypot(x, y) | x.gather(-1, (y > 0).long())
t.nn.functional.linear(x, y) | t.logaddexp(x, y) | t.cdist(x, y)
t.nn.functional.binary_cross_entropy_with_logits(x, y)
"""
CHANGE = """
x.add_(1) | x.mul_(2) | x.mul_(y) | x.add_(y) | x[0] = 1.5 | x[..., 0] = y.sum() | x.zero_()
x.exp_() | x.sub_(y, alpha=2) | x.clamp_(-1, 1) | x.masked_fill_(x > 0, 0.1) | x.copy_(y)
x.relu_() | x[x > 0] = 0 | x[1:] = x[:-1].clone() | x.div_(2) | x.fill_(0.3) | x.sigmoid_()
x.index_fill_(0, t.tensor([0]), 2.0) | x.neg_() | x.pow_(2) | x.tanh_() | x.sqrt_() | x.sin_()
x[...] = 0.5 | x[...] = y | x[:] = 0.5 | x[:] = y | x[x == x] = 0.5 | x.masked_fill_(x == x, 0.5)
x.fill_(y.sum()) | x.masked_fill_(x > 0, y.sum()) | x += 1 | x *= y | x.abs_() | x.lerp_(y, 0.2)
x.addcmul_(y, y) | x.cumsum_(0) | x.view(-1)[0] = 3.0 | x[:, 0].add_(1) | x.view(-1).zero_()
x[0].zero_() | x.floor_() | x.sign_() | x.round_() | x.trunc_() | x.fill_diagonal_(1.0) | x.tril_()
x.index_add_(0, t.tensor([0]), y)
x.data[0] = 2 | x.data.add_(1) | x.data[...] = 0.7 | x.data.zero_() | x.data.mul_(y.data)
x.data.view(-1).add_(1) | x.data.copy_(y) | x.data.detach().add_(1) | x.detach().add_(1)
x.detach()[...] = 0.7 | x.detach().view(-1).mul_(2) | x.detach().zero_()
"""
EVENT = """
x.sum().backward() | x.sum().backward(retain_graph=True) | x.square().sum().backward()
x.sum().backward(retain_graph=True, create_graph=True) | x.backward(t.ones_like(x))
x.sum().backward(inputs=[y]) | t.autograd.backward([x.sum(), y.sum()])
x.retain_grad() | x.requires_grad_() | x.requires_grad_(False) | x.requires_grad = True
x.detach_() | x.grad = None | x.grad.zero_() | x.grad.data.zero_() | x.grad.detach_().zero_()
x.grad.add_(1)
x.register_hook(lambda g: seen.append(g.detach().clone())) | x.register_hook(lambda g: g * 2)
x.register_hook(lambda g: None) | x.register_hook(lambda g: g.clone().zero_())
x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))
seen.extend(t.autograd.grad(x.sum(), [y], allow_unused=True))
seen.extend(t.autograd.grad(x.sum(), [y], retain_graph=True))
seen.extend(t.autograd.grad(x.sum(), [y], create_graph=True, allow_unused=True))
seen.extend(t.autograd.grad(x.sum(), [x, y], allow_unused=True, materialize_grads=True))
t.nn.utils.clip_grad_norm_([p for p in pool if p.is_leaf and p.grad is not None], 1.0)
"""


def listed(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\n", "|").split("|") if part.strip()]


CODES = {"new": listed(NEW), "change": listed(CHANGE), "event": listed(EVENT)}


@dataclass(frozen=True)
class Step:
    code: str
    kind: str  # of CODES
    region: str  # the context manager around it, or ""
    first: int  # the places of x and of y in the pool
    second: int


def program(seed: int) -> list[Step]:
    """3 to 9 steps, which mostly take what was made last."""
    drawn = random.Random(seed)
    count, steps = 3, []
    for _ in range(drawn.randint(3, 9)):
        (kind,) = drawn.choices(list(CODES), [0.55, 0.28, 0.17])
        region = ""
        if kind != "event" and drawn.random() < 0.12:
            (region,) = drawn.choices(["no_grad", "inference_mode", "enable_grad"], [5, 2, 1])
        first = drawn.randrange(max(0, count - 4) if drawn.random() < 0.6 else 0, count)
        steps.append(Step(drawn.choice(CODES[kind]), kind, region, first, drawn.randrange(count)))
        count += kind == "new"
    return steps
