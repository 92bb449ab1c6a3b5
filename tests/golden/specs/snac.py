"""Goldens of SNAC, restated in torch with the names of its published checkpoints."""

from __future__ import annotations

import math
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from specs import Spec
from specs.codecs import waves
from specs.ocr_readers import Published


def conv(*sizes, **options):
    return weight_norm(nn.Conv1d(*sizes, **options))


class Snake(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, size, 1))

    def forward(self, x):
        return x + (self.alpha * x).sin() ** 2 / (self.alpha + 1e-9)


class Listed(nn.Module):
    """Layers under `block`; with a sum around them where they are a unit."""

    def __init__(self, *layers, unit=False):
        super().__init__()
        self.block, self.unit = nn.Sequential(*layers), unit

    def forward(self, x):
        return x + self.block(x) if self.unit else self.block(x)


class Noise(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.linear = conv(size, size, 1, bias=False)

    def forward(self, x):
        return x + torch.randn(x.shape[0], 1, x.shape[2], dtype=x.dtype) * self.linear(x)


class Windows(nn.Module):
    """Attention within windows, whose heads are of 64."""

    def __init__(self, size, window):
        super().__init__()
        self.norm, self.window = nn.LayerNorm(size), window
        self.to_qkv = nn.Linear(size, 3 * size, bias=False)
        self.to_out = nn.Linear(size, size, bias=False)

    def forward(self, x):
        b, size, n = x.shape
        parts = self.to_qkv(self.norm(x.transpose(1, 2))).chunk(3, -1)
        shape = (b, n // self.window, self.window, size // 64, 64)
        q, k, v = (part.view(shape).transpose(2, 3) for part in parts)
        at = torch.arange(self.window, dtype=x.dtype)[:, None]
        angles = (at * 10000.0 ** (-torch.arange(0, 64, 2, dtype=x.dtype) / 64)).repeat(1, 2)

        def turned(y):
            first, second = y.chunk(2, -1)
            return y * angles.cos() + torch.cat([-second, first], -1) * angles.sin()

        shares = (turned(q) @ turned(k).transpose(-1, -2) / 8).softmax(-1)
        found = (shares @ v).transpose(2, 3).reshape(b, n, size)
        return self.to_out(found).transpose(1, 2) + x


class Book(nn.Module):
    def __init__(self, width, c, stride):
        super().__init__()
        self.in_proj, self.out_proj = conv(width, c.codebook_dim, 1), conv(c.codebook_dim, width, 1)
        self.codebook, self.stride = nn.Embedding(c.codebook_size, c.codebook_dim), stride

    def forward(self, x):
        latents = self.in_proj(F.avg_pool1d(x, self.stride, self.stride))
        seen = F.normalize(latents.transpose(1, 2), dim=-1)
        codes = (seen @ F.normalize(self.codebook.weight).T).argmax(-1)
        hit = self.codebook(codes).transpose(1, 2)
        part = self.out_proj(latents + (hit - latents).detach())
        return part.repeat_interleave(self.stride, -1), codes


class Snac(Published):
    """From snac 1.2.1."""

    architecture = "SnacModel"

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.encoder, self.quantizer, self.decoder = nn.Module(), nn.Module(), nn.Module()
        units = lambda size: [self.unit(size, by) for by in (1, 3, 9)]  # noqa: E731
        width, layers = c.encoder_dim, [conv(1, c.encoder_dim, 7, padding=3)]
        for rate in c.encoder_rates:
            down = conv(width, 2 * width, 2 * rate, rate, padding=math.ceil(rate / 2))
            layers.append(Listed(*units(width), Snake(width), down))
            width *= 2
        window = c.attn_window_size
        layers += [Windows(width, window)] if window else []
        groups = width if c.depthwise else 1
        layers.append(conv(width, width, 7, padding=3, groups=groups))
        self.encoder.block = nn.Sequential(*layers)
        self.quantizer.quantizers = nn.ModuleList(Book(width, c, s) for s in c.vq_strides)
        size, layers = c.decoder_dim, [conv(width, c.decoder_dim, 7, padding=3)]
        if c.depthwise:
            layers = [conv(width, width, 7, padding=3, groups=width), conv(width, size, 1)]
        layers += [Windows(size, window)] if window else []
        for rate in c.decoder_rates:
            up = nn.ConvTranspose1d(
                size, size // 2, 2 * rate, rate, math.ceil(rate / 2), output_padding=rate % 2
            )
            noise = [Noise(size // 2)] if c.noise else []
            layers.append(Listed(Snake(size), weight_norm(up), *noise, *units(size // 2)))
            size //= 2
        layers += [Snake(size), conv(size, 1, 7, padding=3), nn.Tanh()]
        self.decoder.model = nn.Sequential(*layers)

    def unit(self, size, by):
        groups = size if self.c.depthwise else 1
        first = conv(size, size, 7, dilation=by, padding=3 * by, groups=groups)
        return Listed(Snake(size), first, Snake(size), conv(size, size, 1), unit=True)

    def forward(self, input_values):
        c, length = self.c, input_values.shape[-1]
        whole = math.prod(c.encoder_rates) * math.lcm(c.vq_strides[0], c.attn_window_size or 1)
        left = self.encoder.block(F.pad(input_values, (0, -length % whole)))
        found, codes = 0, []
        for book in self.quantizer.quantizers:
            part, each = book(left)
            found, left = found + part, left - part
            codes.append(each)
        values = self.decoder.model(found)[:, 0, :length]
        return {
            "audio_values": values, "quantized_representation": found, "audio_codes": tuple(codes),
        }  # fmt: skip


def tiny(values):
    model = Snac(SimpleNamespace(**values))
    model.given = dict(values)  # the published files name no type of model
    return model.c, model


TINY = {
    "sampling_rate": 8000, "encoder_dim": 16, "encoder_rates": [2, 3], "decoder_dim": 64,
    "decoder_rates": [3, 2], "attn_window_size": 4, "codebook_size": 16, "codebook_dim": 4,
    "vq_strides": [4, 2, 1], "noise": False, "depthwise": True,
}  # fmt: skip
SPECS = {
    "snac": Spec(
        "SnacModel", tiny, TINY, waves(85),
        ("audio_values", "quantized_representation", "audio_codes"),
        {"*original0": 0.4, "*original1": 0.3, "*.codebook.weight": 1.0, "*.alpha": 1.0,
         "*.bias": 0.1, "*.to_*.weight": 0.2},
    ),
}  # fmt: skip
