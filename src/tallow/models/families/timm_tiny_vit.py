"""timm's TinyViT: small vision transformers with convolutions (arXiv 2207.10666)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallow.models.blocks.tiny_vit import TinyVit, TinyVitConfig, authors_names
from tallow.models.configs import choice
from tallow.models.timm import TimmConfig, TimmModel, pool
from tallow.nn import LayerNorm, Linear, Module
from tallow.tensor import Tensor
from tallow.weights.arrange import rename

_WIDTHS = {  # and heads
    "5m": ((64, 128, 160, 320), (2, 4, 5, 10)),
    "11m": ((64, 128, 256, 448), (2, 4, 8, 14)),
    "21m": ((96, 192, 384, 576), (3, 6, 12, 18)),
}
_WINDOWS = {224: 7, 384: 12, 512: 16}
_KNOWN = {
    f"tiny_vit_{kind}_{side}": (kind, side)
    for kind, side in (("5m", 224), ("11m", 224), *(("21m", side) for side in _WINDOWS))
}


class TimmTinyVitConfig(TinyVitConfig, TimmConfig):
    """Arguments of timm's `TinyVit`."""

    global_pool: str = choice("avg", "max", "avgmax")

    @classmethod
    def variant(cls, name: str) -> Mapping[str, Any] | None:
        """Its arguments."""
        if name not in _KNOWN:
            return None
        kind, side = _KNOWN[name]
        (widths, heads), window = _WIDTHS[kind], _WINDOWS[side]
        return {
            "embed_dims": list(widths), "depths": [2, 2, 6, 2], "num_heads": list(heads),
            "window_sizes": [window, window, 2 * window, window],
            **({"num_classes": 21841} if side == 224 else {}),  # of the first weights of the name
        }  # fmt: skip


class Head(Module):
    """Norm and classifier of what is pooled."""

    def __init__(self, size: int, fc: Linear | None) -> None:
        self.norm = LayerNorm(size)
        self.fc = fc


class TimmTinyVit(TinyVit, TimmModel):
    """Patches, stages and a normed classifier."""

    config_class = TimmTinyVitConfig
    classifier_name = "head.fc"
    ignorable = (r".*\.attention_bias_idxs",)
    rules = (
        *authors_names(),
        rename("norm_head.*", "head.norm.*"),
        rename("head.weight", "head.fc.weight"),
        rename("head.bias", "head.fc.bias"),
    )

    def __init__(self, cfg: TimmTinyVitConfig) -> None:
        self.config = cfg
        TinyVit.__init__(self, cfg, cfg.in_chans)
        width = cfg.embed_dims[-1]
        self.head = Head(width, self.classifier_layer(width))

    def pool(self, x: Tensor) -> Tensor:
        """`(batch, size, height, width)` → `(batch, size)`, normalised."""
        return self.head.norm(pool(x, self.config.global_pool))
