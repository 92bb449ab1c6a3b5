"""Give PyTorch's random functions the numbers of both sides."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from draws import Draws


def attach_torch(torch: Any, draws: Draws) -> None:
    """Replace the public functions and methods that draw."""
    F, Tensor = torch.nn.functional, torch.Tensor

    def sizes(size: Any) -> tuple[int, ...]:
        if len(size) == 1 and not hasattr(size[0], "__index__"):
            size = size[0]
        return tuple(int(n) for n in size)

    def made(values: np.ndarray, dtype: Any, device: Any = None, requires_grad: Any = False) -> Any:
        out = torch.from_numpy(np.array(values)).to(dtype or torch.get_default_dtype())
        out = out.to(device) if device is not None else out
        return out.requires_grad_() if requires_grad else out

    def rand(*size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False,
             **named: Any) -> Any:  # fmt: skip
        size = size or (named["size"],)
        return made(draws.uniform(sizes(size)), dtype, device, requires_grad)

    def randn(*size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False,
              **named: Any) -> Any:  # fmt: skip
        size = size or (named["size"],)
        return made(draws.normal(sizes(size)), dtype, device, requires_grad)

    def randint(low: Any = None, high: Any = None, size: Any = None, *, dtype: Any = None,
                device: Any = None, requires_grad: Any = False, **_: Any) -> Any:  # fmt: skip
        if size is None and high is not None and not hasattr(high, "__index__"):
            low, high, size = 0, low, high
        elif high is None:
            low, high = 0, low
        elif low is None:
            low = 0
        values = draws.integers(sizes((size,)), int(low), int(high))
        return made(values, dtype or torch.int64, device, requires_grad)

    def randperm(n: int, *, dtype: Any = None, device: Any = None, **_: Any) -> Any:
        return made(draws.permutation(n), dtype or torch.int64, device)

    def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, dtype: Any = None,
               device: Any = None, out: Any = None, **named: Any) -> Any:  # fmt: skip
        if size is not None:
            wanted = named.get("requires_grad", False)
            return made(draws.normal(sizes((size,)), mean, std), dtype, device, wanted)
        if out is not None:
            return out.copy_(normal(mean, std))
        given = [t for t in (mean, std) if isinstance(t, Tensor)]
        shape = torch.broadcast_shapes(*[t.shape for t in given])
        with torch.no_grad():
            return made(draws.normal(tuple(shape)), given[0].dtype) * std + mean

    def bernoulli(x: Any, p: Any = None, **_: Any) -> Any:
        with torch.no_grad():
            chance = x if p is None else p
            uniform = torch.from_numpy(np.array(draws.uniform(tuple(x.shape))))
            return (uniform.to(_wide(x)) < chance).to(x.dtype)

    def _wide(x: Any) -> Any:
        return torch.float64 if x.dtype == torch.float64 else torch.float32

    def multinomial(x: Any, num_samples: int, replacement: bool = False, **_: Any) -> Any:
        with torch.no_grad():
            weights, rows = x.detach().to(torch.float64), tuple(x.shape[:-1])
            if not replacement:
                uniform = torch.from_numpy(np.array(draws.uniform(tuple(x.shape))))
                keys = weights / -(1 - uniform).log().clamp(max=-1e-300)
                return keys.topk(num_samples, -1).indices
            sums = weights.cumsum(-1)
            uniform = torch.from_numpy(np.array(draws.uniform((*rows, num_samples))))
            return torch.searchsorted(sums, uniform * sums[..., -1:], right=True)

    def filling(values: Any) -> Any:
        def method(self: Any, *args: Any, generator: Any = None, **named: Any) -> Any:
            with torch.no_grad():
                found = values(self, *args, **named)
                found = torch.from_numpy(np.array(found)) if not torch.is_tensor(found) else found
                self.copy_(found)
            return self

        return method

    def uniform_(x: Any, low: float = 0.0, high: float = 1.0, **named: Any) -> Any:
        low, high = named.get("from", low), named.get("to", named.get("b", high))
        return draws.uniform(tuple(x.shape), low, high)

    def random_(x: Any, low: Any = None, high: Any = None, **named: Any) -> Any:
        low, high = named.get("from", low), named.get("to", high)
        if low is None:
            low, high = 0, (1 << 24) + 1 if x.is_floating_point() else torch.iinfo(x.dtype).max
        elif high is None:
            low, high = 0, low
        return draws.integers(tuple(x.shape), int(low), int(high))

    def open_unit(x: Any) -> np.ndarray:
        return 1 - draws.uniform(tuple(x.shape))

    def bernoulli_(x: Any, p: Any = 0.5) -> Any:
        uniform = torch.from_numpy(np.array(draws.uniform(tuple(x.shape))))
        return uniform.to(_wide(p if torch.is_tensor(p) else x)) < p

    Tensor.uniform_ = filling(uniform_)
    Tensor.normal_ = filling(lambda x, mean=0.0, std=1.0: draws.normal(tuple(x.shape), mean, std))
    Tensor.random_ = filling(random_)
    Tensor.bernoulli_ = filling(bernoulli_)
    Tensor.exponential_ = filling(lambda x, lambd=1.0: np.log(open_unit(x)) / -lambd)
    Tensor.geometric_ = filling(
        lambda x, p: np.maximum(np.ceil(np.log(open_unit(x)) / math.log1p(-p)), 1)
    )
    Tensor.bernoulli = bernoulli
    Tensor.multinomial = multinomial
    for name, new in {
        "rand": rand, "randn": randn, "randint": randint, "randperm": randperm, "normal": normal,
        "bernoulli": bernoulli, "multinomial": multinomial,
    }.items():  # fmt: skip
        setattr(torch, name, new)
    torch.rand_like = lambda x, *, dtype=None, device=None, requires_grad=False, **_: rand(
        x.shape, dtype=dtype or x.dtype, device=device, requires_grad=requires_grad
    )
    torch.randn_like = lambda x, *, dtype=None, device=None, requires_grad=False, **_: randn(
        x.shape, dtype=dtype or x.dtype, device=device, requires_grad=requires_grad
    )
    torch.randint_like = lambda x, low, high=None, *, dtype=None, **_: (
        randint(low, high, tuple(x.shape), dtype=dtype or x.dtype)
        if high is not None
        else randint(0, low, tuple(x.shape), dtype=dtype or x.dtype)
    )

    def trunc_normal_(
        tensor: Any,
        mean: float = 0.0,
        std: float = 1.0,
        a: float = -2.0,
        b: float = 2.0,
        generator: Any = None,
    ) -> Any:
        """By the inverse distribution function, as Tallow; torch 2.13 rejects and draws again."""
        low, high = (math.erf((end - mean) / std / math.sqrt(2)) for end in (a, b))
        drawn = torch.from_numpy(draws.uniform(tuple(tensor.shape), low, high)).float()
        with torch.no_grad():
            return tensor.copy_((drawn.erfinv() * (std * math.sqrt(2)) + mean).clamp(a, b))

    torch.nn.init.trunc_normal_ = trunc_normal_
    _attach_dropout(torch, F, bernoulli)
    _attach_sampler(torch)


def _attach_dropout(torch: Any, F: Any, bernoulli: Any) -> None:
    def kept(p: float, shape: Any, like: Any) -> Any:
        return bernoulli(torch.empty(shape, dtype=like.dtype), 1 - p)

    def drop(x: Any, p: float, shape: Any, inplace: bool) -> Any:
        if p == 1:
            return x * 0
        mask = kept(p, shape, x).mul_(1 / (1 - p))
        return x.mul_(mask) if inplace else x * mask

    def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        return drop(input, p, input.shape, inplace) if training and p else input

    def channels(axes: int) -> Any:
        def dropping(
            input: Any, p: float = 0.5, training: bool = True, inplace: bool = False
        ) -> Any:
            if not training or not p:
                return input
            # As torch and Tallow do: other numbers of axes count as (batch, channels, ...).
            plain = axes == 3 or (input.ndim in (axes - 1, axes) and (axes, input.ndim) != (4, 3))
            spatial = axes - 2 if plain else input.ndim - 2
            lead = input.ndim - spatial
            return drop(input, p, (*input.shape[:lead], *(1,) * spatial), inplace)

        return dropping

    F.dropout, F.dropout1d, F.dropout2d, F.dropout3d = (
        dropout,
        channels(3),
        channels(4),
        channels(5),
    )
    torch.dropout = lambda x, p, train: dropout(x, p, train)
    fused = F.scaled_dot_product_attention

    def attention(
        query: Any,
        key: Any,
        value: Any,
        attn_mask: Any = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: Any = None,
        enable_gqa: bool = False,
    ) -> Any:
        if not dropout_p:
            return fused(query, key, value, attn_mask, 0.0, is_causal, scale=scale,
                         enable_gqa=enable_gqa)  # fmt: skip
        scores = query @ key.transpose(-2, -1) * (scale or query.shape[-1] ** -0.5)
        if is_causal:
            seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
            scores = scores.masked_fill(~seen, -math.inf)
        if attn_mask is not None:
            hidden = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(~attn_mask, -math.inf) if hidden else scores + attn_mask
        return dropout(scores.softmax(-1), dropout_p) @ value

    F.scaled_dot_product_attention = attention
    for kind in (torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU):
        kind.forward = _layer_by_layer(torch, kind.forward, dropout)


def _layer_by_layer(torch: Any, whole: Any, dropout: Any) -> Any:
    """Recurrent layers whose dropout between layers, drawn within one call of torch's, is replayed.

    Each layer is run by torch as a module of one.
    """

    def forward(self: Any, input: Any, hx: Any = None) -> Any:
        if not (self.training and self.dropout and self.num_layers > 1):
            return whole(self, input, hx)
        two = 2 if self.bidirectional else 1
        states = hx if isinstance(hx, tuple) else (hx,)
        batched, found = (3 if torch.is_tensor(input) else 2), []
        if batched == 2 or input.dim() == 2:
            raise NotImplementedError("dropout of packed and unbatched sequences is not replayed")
        per = len(self._all_weights[0])
        for i in range(self.num_layers):
            kept = {n: v for n, v in vars(self).items() if not n.startswith("_")}
            size = self.input_size if i == 0 else self.hidden_size * two
            plain = ("hidden_size", "bias", "batch_first", "bidirectional")
            more = {"nonlinearity": kept["nonlinearity"]} if kept["mode"].startswith("RNN") else {}
            with torch.device("meta"):  # draws nothing
                layer = type(self)(size, **{n: kept[n] for n in plain}, **more)
            own = [getattr(self, name) for names in self._all_weights[two * i : two * (i + 1)]
                   for name in names]  # fmt: skip
            assert len(own) == two * per
            names = [name for names in layer._all_weights for name in names]
            for name, weight in zip(names, own, strict=True):
                del layer._parameters[name]
                setattr(layer, name, weight)
            layer._flat_weights = own
            part = [s if s is None else s[two * i : two * (i + 1)] for s in states]
            input, state = whole(layer, input, tuple(part) if len(part) > 1 else part[0])
            found.append(state if isinstance(state, tuple) else (state,))
            if i + 1 < self.num_layers:
                input = dropout(input, self.dropout)
        last = tuple(torch.cat(s) for s in zip(*found, strict=True))
        return input, (last if len(last) > 1 else last[0])

    return forward


def _attach_sampler(torch: Any) -> None:
    """Draw the order of a pass as Tallow's sampler does: torch draws one permutation too many."""
    RandomSampler = torch.utils.data.RandomSampler

    def order(self: Any) -> Any:
        n, wanted = len(self.data_source), self.num_samples
        if not self.replacement:
            for i in range(0, wanted, n):
                yield from torch.randperm(n).tolist()[: wanted - i]
            return
        for i in range(0, wanted, 1024):
            yield from torch.randint(0, n, (min(1024, wanted - i),)).tolist()

    RandomSampler.__iter__ = order
