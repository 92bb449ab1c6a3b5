"""Goldens of RWKV; version 4 is transformers', the others are restated in torch.

The modules have the names of the published checkpoints: flash-linear-attention's for version 7.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from specs import Spec, texts
from specs.ocr_readers import Published
from specs.restated_joined import tiny


def before(x):
    """Each position's predecessor, zeros for the first."""
    return torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)


def kept(x, mask):
    return x if mask is None else x * mask[..., None].to(x.dtype)


class LowRank(nn.Module):
    """A product of two matrices with a function between them."""

    def __init__(self, size, rank, bias, act):
        super().__init__()
        first, second = nn.Linear(size, rank, bias=False), nn.Linear(rank, size, bias=bias)
        self.lora = nn.Sequential(first, act, second)

    def forward(self, x):
        return self.lora(x)


class GooseAttention(nn.Module):
    """Time mixing of version 7."""

    def __init__(self, c, index):
        super().__init__()
        size, self.c, self.index = c.hidden_size, c, index
        for name in "rwkvag":
            setattr(self, f"x_{name}", nn.Parameter(torch.zeros(1, 1, size)))
        self.k_k, self.k_a = (nn.Parameter(torch.ones(size)) for _ in range(2))
        self.r_k = nn.Parameter(torch.zeros(size // c.head_dim, c.head_dim))
        for name in "rkvo":
            setattr(self, f"{name}_proj", nn.Linear(size, size, bias=False))
        self.w_lora = LowRank(size, c.decay_low_rank_dim, True, nn.Tanh())
        self.a_lora = LowRank(size, c.a_low_rank_dim, True, nn.Identity())
        self.g_lora = LowRank(size, c.gate_low_rank_dim, False, nn.Sigmoid())
        if index:
            self.v_lora = LowRank(size, c.v_low_rank_dim, True, nn.Identity())
        heads = size // c.head_dim
        self.g_norm = nn.GroupNorm(heads, size, eps=c.head_dim * c.norm_eps)

    def forward(self, x, first):
        (b, n, size), d = x.shape, before(x) - x
        r, w, k, v, a, g = (x + d * getattr(self, f"x_{name}") for name in "rwkvag")
        rate, gate = torch.sigmoid(self.a_lora(a)), self.g_lora(g)
        decay = torch.exp(-0.6065306597126334 * torch.sigmoid(self.w_lora(w)))
        shown = torch.sigmoid(self.v_lora(v)) if self.index else None
        r, k, v = self.r_proj(r), self.k_proj(k), self.v_proj(v)
        v = v if shown is None else torch.lerp(v, first, shown)
        heads = (b, n, -1, self.c.head_dim)
        removed = F.normalize((k * self.k_k).view(heads), dim=-1, p=2.0)
        k = k * (1 + (rate - 1) * self.k_a)
        r, k, v, rate, decay = (each.view(heads) for each in (r, k, v, rate, decay))
        state, found = x.new_zeros(b, r.shape[2], heads[-1], heads[-1]), []
        for t in range(n):  # rows are values, columns keys
            gone = (state @ -removed[:, t, :, :, None]) @ (removed * rate)[:, t, :, None]
            state = state * decay[:, t, :, None] + gone + v[:, t, ..., None] @ k[:, t, :, None]
            found.append((state @ r[:, t, ..., None])[..., 0])
        out = torch.stack(found, 1).reshape(b * n, size)
        out = self.g_norm(out).view(b, n, size)
        out = out + ((r * k * self.r_k).sum(-1, keepdim=True) * v).reshape(b, n, size)
        return self.o_proj(out * gate), v.reshape(b, n, size)


class GooseFeed(nn.Module):
    """Channel mixing of version 7."""

    def __init__(self, c):
        super().__init__()
        self.x_k = nn.Parameter(torch.zeros(c.hidden_size))
        self.key = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.value = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x):
        return self.value(F.relu(self.key(x + (before(x) - x) * self.x_k)) ** 2)


class GooseBlock(nn.Module):
    """A layer of version 7."""

    def __init__(self, c, index):
        super().__init__()
        if not index:
            self.pre_norm = nn.LayerNorm(c.hidden_size, eps=c.norm_eps)
        self.attn_norm = nn.LayerNorm(c.hidden_size, eps=c.norm_eps)
        self.ffn_norm = nn.LayerNorm(c.hidden_size, eps=c.norm_eps)
        self.attn, self.ffn = GooseAttention(c, index), GooseFeed(c)

    def forward(self, x, first, mask):
        x = self.pre_norm(x) if first is None else x
        out, values = self.attn(kept(self.attn_norm(x), mask), first)
        x = x + out
        return x + self.ffn(kept(self.ffn_norm(x), mask)), values if first is None else first


class Goose(Published):
    """Version 7 as a whole."""

    architecture = "RWKV7ForCausalLM"

    def __init__(self, c):
        super().__init__()
        self.model = nn.Module()
        self.model.embeddings = nn.Embedding(c.vocab_size, c.hidden_size)
        self.model.layers = nn.ModuleList(GooseBlock(c, i) for i in range(c.num_hidden_layers))
        self.model.norm = nn.LayerNorm(c.hidden_size, eps=c.norm_eps)
        self.lm_head = nn.Linear(c.hidden_size, c.vocab_size, bias=False)

    def forward(self, input_ids, attention_mask=None):
        x, first = self.model.embeddings(input_ids), None
        for layer in self.model.layers:
            x, first = layer(x, first, attention_mask)
        return {"logits": self.lm_head(self.model.norm(x))}


class FinchAttention(nn.Module):
    """Time mixing of version 6, and of version 5 where `text` is false."""

    def __init__(self, c, text):
        super().__init__()
        size, self.c, self.text = c.hidden_size, c, text
        heads = size // c.head_size
        names = ("x", "w", "k", "v", "r", "g") if text else ("key", "value", "receptance", "gate")
        for name in names:
            row = nn.Parameter(torch.zeros(1, 1, size))
            setattr(self, f"time_{'maa' if text else 'mix'}_{name}", row)
        if text:
            self.time_maa_w1 = nn.Parameter(torch.zeros(size, 5 * 32))
            self.time_maa_w2 = nn.Parameter(torch.zeros(5, 32, size))
            self.time_decay_w1 = nn.Parameter(torch.zeros(size, 64))
            self.time_decay_w2 = nn.Parameter(torch.zeros(64, size))
        shape = (1, 1, size) if text else (heads, c.head_size)
        self.time_decay = nn.Parameter(torch.zeros(shape))
        self.time_faaaa = nn.Parameter(torch.zeros(heads, c.head_size))
        for name in ("receptance", "key", "value", "gate", "output"):
            setattr(self, name, nn.Linear(size, size, bias=False))
        self.ln_x = nn.GroupNorm(heads, size, eps=1e-5 * c.head_size_divisor**2)

    def mixed(self, x):
        """What goes into w, k, v, r and g."""
        d = before(x) - x
        if not self.text:
            part = [self.time_mix_key, self.time_mix_value, self.time_mix_receptance]
            return [None, *(x + d * (1 - share) for share in (*part, self.time_mix_gate))]
        inner = torch.tanh((x + d * self.time_maa_x) @ self.time_maa_w1)
        inner = inner.unflatten(-1, (5, 32))
        return [
            x + d * (getattr(self, f"time_maa_{name}") + inner[..., i, :] @ self.time_maa_w2[i])
            for i, name in enumerate("wkvrg")
        ]

    def forward(self, x):
        b, n, size = x.shape
        w, k, v, r, g = self.mixed(x)
        decay = self.time_decay.expand(b, n, *self.time_decay.shape[-2:])
        if self.text:
            change = torch.tanh(w @ self.time_decay_w1) @ self.time_decay_w2
            decay = self.time_decay + change
        heads = (b, n, -1, self.c.head_size)
        decay = torch.exp(-torch.exp(decay)).reshape(heads)
        parts = (self.receptance(r), self.key(k), self.value(v))
        r, k, v = (each.view(heads) for each in parts)
        state, found = x.new_zeros(b, r.shape[2], heads[-1], heads[-1]), []
        for t in range(n):  # rows are keys, columns values
            fresh = k[:, t, ..., None] @ v[:, t, :, None]
            read = r[:, t, :, None] @ (state + self.time_faaaa[..., None] * fresh)
            found.append(read[..., 0, :])
            state = fresh + decay[:, t, ..., None] * state
        out = self.ln_x(torch.stack(found, 1).reshape(b * n, size)).view(b, n, size)
        return self.output(out * F.silu(self.gate(g)))


class FinchFeed(nn.Module):
    """Channel mixing of versions 5 and 6."""

    def __init__(self, c, text):
        super().__init__()
        self.names = (
            ("time_maa_k", "time_maa_r") if text else ("time_mix_key", "time_mix_receptance")
        )
        self.text = text
        for name in self.names:
            setattr(self, name, nn.Parameter(torch.zeros(1, 1, c.hidden_size)))
        self.key = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.receptance = nn.Linear(c.hidden_size, c.hidden_size, bias=False)
        self.value = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x):
        shares = [getattr(self, name) for name in self.names]
        shares = shares if self.text else [1 - share for share in shares]
        k, r = (x + (before(x) - x) * share for share in shares)
        return torch.sigmoid(self.receptance(r)) * self.value(F.relu(self.key(k)) ** 2)


class FinchBlock(nn.Module):
    """A layer of version 5 or 6."""

    def __init__(self, c, index, text):
        super().__init__()
        for name in ("ln1", "ln2") if index else ("pre_ln", "ln1", "ln2"):
            setattr(self, name, nn.LayerNorm(c.hidden_size, eps=c.layer_norm_epsilon))
        self.index, self.attention = index, FinchAttention(c, text)
        self.feed_forward = FinchFeed(c, text)

    def forward(self, x, mask):
        x = x if self.index else self.pre_ln(x)
        x = x + self.attention(kept(self.ln1(x), mask))
        return x + self.feed_forward(kept(self.ln2(x), mask))


class Finch(Published):
    """Version 6 as a whole; weights are not divided, nor results, as while it is trained."""

    architecture, text = "Rwkv6ForCausalLM", True

    def __init__(self, c):
        super().__init__()
        self.rwkv = nn.Module()
        self.rwkv.embeddings = nn.Embedding(c.vocab_size, c.hidden_size)
        every = (FinchBlock(c, i, self.text) for i in range(c.num_hidden_layers))
        self.rwkv.blocks = nn.ModuleList(every)
        self.rwkv.ln_out = nn.LayerNorm(c.hidden_size, eps=c.layer_norm_epsilon)
        self.head = nn.Linear(c.hidden_size, c.vocab_size, bias=False)

    def forward(self, input_ids, attention_mask=None):
        x = self.rwkv.embeddings(input_ids)
        for block in self.rwkv.blocks:
            x = block(x, attention_mask)
        return {"logits": self.head(self.rwkv.ln_out(x))}


class Eagle(Finch):
    """Version 5 as a whole."""

    architecture, text = "Rwkv5ForCausalLM", False


FINCH = {
    "vocab_size": 64, "hidden_size": 32, "attention_hidden_size": 32, "num_hidden_layers": 2,
    "head_size": 16, "head_size_divisor": 8, "num_attention_heads": 16, "intermediate_size": 48,
    "layer_norm_epsilon": 1e-5, "rescale_every": 6, "context_length": 4096,
    "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip
GOOSE = {
    "vocab_size": 64, "hidden_size": 64, "num_hidden_layers": 2, "head_dim": 32, "num_heads": 2,
    "intermediate_size": 96, "hidden_ratio": 1.5, "decay_low_rank_dim": 8, "a_low_rank_dim": 6,
    "v_low_rank_dim": 4, "gate_low_rank_dim": 12, "norm_eps": 2e-5, "norm_bias": True,
    "norm_first": True, "hidden_act": "sqrelu", "attn": None, "attn_mode": "chunk",
    "value_dim": [64, 64], "fuse_norm": False, "tie_word_embeddings": False, "bos_token_id": 1,
    "eos_token_id": 2, "max_position_embeddings": 2048,
}  # fmt: skip
PILE = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48,
    "context_length": 48, "rescale_every": 0, "use_cache": False,
}  # fmt: skip
STDS = {"*time_decay": 1.0, "*time_*_w1": 0.2, "*time_*_w2": 0.1}
SPECS = {
    "rwkv": Spec(
        "RwkvForCausalLM",
        "RwkvConfig",
        PILE,
        texts(pad=None),
        ("logits",),
        generate={
            "greedy": {
                "max_new_tokens": 20,
                "do_sample": False,
                "eos_token_id": [2, 9, 33],
                "pad_token_id": 0,
            }
        },
    ),
    "rwkv5": Spec(
        "Rwkv5ForCausalLM", tiny(Eagle, "rwkv5"), FINCH, texts(left=True), ("logits",), stds=STDS
    ),
    "rwkv6": Spec(
        "Rwkv6ForCausalLM", tiny(Finch, "rwkv6"), FINCH, texts(left=True), ("logits",), stds=STDS
    ),
    "rwkv7": Spec("RWKV7ForCausalLM", tiny(Goose, "rwkv7"), GOOSE, texts(left=True), ("logits",)),
}
