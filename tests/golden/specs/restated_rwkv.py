"""Goldens of RWKV, restated in torch: transformers has no class for these versions.

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


GOOSE = {
    "vocab_size": 64, "hidden_size": 64, "num_hidden_layers": 2, "head_dim": 32, "num_heads": 2,
    "intermediate_size": 96, "hidden_ratio": 1.5, "decay_low_rank_dim": 8, "a_low_rank_dim": 6,
    "v_low_rank_dim": 4, "gate_low_rank_dim": 12, "norm_eps": 2e-5, "norm_bias": True,
    "norm_first": True, "hidden_act": "sqrelu", "attn": None, "attn_mode": "chunk",
    "value_dim": [64, 64], "fuse_norm": False, "tie_word_embeddings": False, "bos_token_id": 1,
    "eos_token_id": 2, "max_position_embeddings": 2048,
}  # fmt: skip
SPECS = {
    "rwkv7": Spec("RWKV7ForCausalLM", tiny(Goose, "rwkv7"), GOOSE, texts(left=True), ("logits",)),
}
