"""The modules of a sentence-transformers folder behind its model: pooling, dense, normalise.

Source: the files that sentence-transformers writes, https://sbert.net/docs/package_reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tallow.dtype import f32
from tallow.errors import FormatError, ModelError
from tallow.lazy_dataclasses import dataclass
from tallow.models.fields import Fields
from tallow.nn import LayerNorm, Linear, Module
from tallow.nn import functional as F
from tallow.ops import cat, maximum
from tallow.tensor import Tensor
from tallow.weights import fill, open_weights
from tallow.weights.open import read_json, read_json_value

TINY = 1e-9


def _cls(x: Tensor, mask: Tensor) -> Tensor:
    # The first token that counts: rows may be padded on the left.
    first = mask.argmax(1)
    return _rows(x, first)


def _last(x: Tensor, mask: Tensor) -> Tensor:
    n = mask.shape[1]
    return _rows(x, (n - 1) - mask.flip(1).argmax(1))


def _rows(x: Tensor, at: Tensor) -> Tensor:
    b, _, size = x.shape
    return x.gather(1, at.reshape(b, 1, 1).expand(b, 1, size)).squeeze(1)


def _weighted(x: Tensor, weights: Tensor) -> Tensor:
    return (weights.unsqueeze(1) @ x).squeeze(1)


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    kept = mask.to(f32)
    return _weighted(x, kept / kept.sum(1, keepdim=True).clamp(TINY))


def _mean_sqrt(x: Tensor, mask: Tensor) -> Tensor:
    kept = mask.to(f32)
    return _weighted(x, kept / kept.sum(1, keepdim=True).clamp(TINY).sqrt())


def _weighted_mean(x: Tensor, mask: Tensor) -> Tensor:
    from tallow.factories import arange

    kept = mask.to(f32) * arange(1, mask.shape[1] + 1).to(f32)
    return _weighted(x, kept / kept.sum(1, keepdim=True).clamp(TINY))


def _max(x: Tensor, mask: Tensor) -> Tensor:
    return x.masked_fill(mask.eq(0).unsqueeze(2), -(TINY**-1)).amax(1)


# Several modes stand behind each other in this order.
POOLING: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}
_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class Pooling:
    """From states (batch, length, size) and a mask (batch, length) to (batch, size · modes)."""

    modes: tuple[str, ...] = ("mean",)
    include_prompt: bool = True

    @classmethod
    def read(cls, folder: Path) -> Pooling:
        """Of the folder's config.json, by its older flags or its newer `pooling_mode`."""
        fields = Fields(read_json(folder / "config.json"), folder / "config.json")
        mode = fields.get("pooling_mode")
        if mode is not None:
            named = [mode] if isinstance(mode, str) else mode
            listed = isinstance(named, list) and all(isinstance(each, str) for each in named)
            if not listed or not set(named) <= POOLING.keys():
                raise fields.error("pooling_mode", f"one of {sorted(POOLING)}", mode)
        else:
            named = [name for key, name in _KEYS.items() if fields.flag(key)]
        modes = tuple(name for name in POOLING if name in named) or ("mean",)
        return cls(modes, fields.flag("include_prompt", True))

    def __call__(self, x: Tensor, mask: Tensor) -> Tensor:
        """`(batch, size · modes)`."""
        parts = [POOLING[mode](x, mask) for mode in self.modes]
        return parts[0] if len(parts) == 1 else cat(parts, 1)


class Dense(Module):
    """A linear layer and an activation, of `linear.weight` and `linear.bias`."""

    def __init__(self, size: int, out: int, act: Callable[[Tensor], Tensor], *, bias: bool) -> None:
        self.linear = Linear(size, out, bias=bias)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, size)` → `(batch, out)`."""
        return self.act(self.linear(x))


def _identity(x: Tensor) -> Tensor:
    return x


ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "Tanh": F.tanh,
    "Identity": _identity,
    "ReLU": F.relu,
    "GELU": F.gelu,
    "SiLU": F.silu,
    "Sigmoid": F.sigmoid,
}


def _dense(folder: Path) -> Module:
    where = folder / "config.json"
    fields = Fields(read_json(where), where)
    name = fields.text("activation_function", "torch.nn.modules.activation.Tanh").rpartition(".")[2]
    if name not in ACTIVATIONS:
        raise fields.error("activation_function", f"one of {sorted(ACTIVATIONS)}", name)
    made = Dense(
        fields.integer("in_features"),
        fields.integer("out_features"),
        ACTIVATIONS[name],
        bias=fields.flag("bias", True),
    )
    return _filled(made, folder)


def _norm(folder: Path) -> Module:
    where = folder / "config.json"
    fields = Fields(read_json(where), where)

    class Norm(Module):
        def __init__(self) -> None:
            self.norm = LayerNorm(fields.integer("dimension"))

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.norm(x)
            return out

    return _filled(Norm(), folder)


def _filled(module: Module, folder: Path) -> Module:
    source = open_weights(folder)
    fill(module, source)
    return module.eval().requires_grad_(False)


def normalize(x: Tensor) -> Tensor:
    """Rows of length 1."""
    return x / maximum(x.square().sum(-1, keepdim=True).sqrt(), 1e-12)


Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Chain:
    """What a folder has behind its model: pooling, and steps on the pooled rows."""

    model: Path  # the folder of the model
    pooling: Pooling
    steps: tuple[Step, ...] = ()
    static: bool = False  # the model is a table of words, whose rows are averaged


def read_chain(folder: Path) -> Chain:
    """The chain of a sentence-transformers folder; mean pooling alone for any other.

    Raises:
        FormatError: modules.json is damaged.
        ModelError: a module is of a kind that is not supported.
    """
    listing = folder / "modules.json"
    if not listing.is_file():
        return Chain(folder, Pooling())
    rows = read_json_value(listing)
    if not isinstance(rows, list):
        raise FormatError(listing, "modules", "a list", type(rows).__name__)
    model, pooling, static = folder, Pooling(), False
    steps: list[Step] = []
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("type"), str):
            raise FormatError(listing, "modules", "objects with type and path", row)
        kind, place = row["type"].rpartition(".")[2], row.get("path", "")
        path = (folder / str(place)).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise FormatError(listing, "path", "a folder below this one", place)
        if kind in ("Transformer", "CLIPModel", "StaticEmbedding"):
            model, static = path, kind == "StaticEmbedding"
        elif kind == "Pooling":
            pooling = Pooling.read(path)
        elif kind == "Normalize":
            steps.append(normalize)
        elif kind in _MODULES:
            steps.append(_MODULES[kind](path))
        elif kind != "Dropout":
            known = ("Transformer", "CLIPModel", "StaticEmbedding", "Pooling", *_MODULES)
            wanted = f"one of {', '.join(known)}, Normalize, Dropout"
            raise ModelError(f"{listing}: type: expected {wanted}, found {row['type']!r}")
    return Chain(model, pooling, tuple(steps), static)


_MODULES: Mapping[str, Callable[[Path], Any]] = {"Dense": _dense, "LayerNorm": _norm}
