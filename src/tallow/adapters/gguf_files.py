"""Adapters in GGUF files, as llama.cpp's convert_lora_to_gguf.py writes them.

The metadata say `general.type` adapter, `adapter.type` lora and `adapter.lora.alpha`; each matrix
has `NAME.weight.lora_a` `(r, in)` and `NAME.weight.lora_b` `(out, r)` under the base's names. A of
the table of words lies the other way, `(words, r)`. The scale is alpha over the rank.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tallow.adapters.config import LoraConfig
from tallow.adapters.contents import Contents
from tallow.adapters.row_order import Order
from tallow.errors import ModelError
from tallow.models.fields import Fields
from tallow.models.table import FAMILIES, GGUF_ARCHITECTURES
from tallow.tensor import Tensor
from tallow.weights import WeightSource, open_weights

_ENDS = {".lora_a": "A", ".lora_b": "B"}
_TABLE = "token_embd.weight"


def read_gguf_adapter(path: Path) -> tuple[Contents, Order]:
    """The tensors by the paths of Hugging Face's modules, and the order of their rows.

    Raises:
        FormatError: the file is damaged.
        ModelError: it is no adapter, of another method than LoRA, or of an unknown architecture.
    """
    source = open_weights(path)
    layout = _layout(source, path)
    low: dict[str, dict[str, Tensor]] = {}
    ranks: dict[str, int] = {}
    for name in source.names():
        stem, dot, end = name.rpartition(".")
        kind = _ENDS.get(dot + end)
        if kind is None:
            raise ModelError(f"{path}: {name}: expected a name with .lora_a or .lora_b at its end")
        value = source.take(name)
        if kind == "A" and stem == _TABLE:
            value = value.transpose(0, 1)
        place = layout.names(stem).removesuffix(".weight")
        low.setdefault(place, {})[kind] = value
        if kind == "A":
            ranks[place] = value.shape[0] if value.ndim == 2 else 0
    metadata = source.metadata
    fields = Fields(metadata, path)
    config = LoraConfig(
        r=max(next(iter(ranks.values()), 1), 1),
        lora_alpha=fields.real("adapter.lora.alpha"),
        target_modules=tuple(sorted({place.rpartition(".")[2] for place in low})),
    )
    return Contents(str(path), _with_ranks(config, ranks), low), (
        "gguf" if layout.interleaved else "hf"
    )


def _with_ranks(config: LoraConfig, ranks: dict[str, int]) -> LoraConfig:
    """The config with the ranks of modules that have another; alpha stays what it is."""
    from tallow.lazy_dataclasses import replace

    others = {p.replace(".", r"\."): r for p, r in ranks.items() if r not in (config.r, 0)}
    return replace(config, rank_pattern=others)


def _layout(source: WeightSource, path: Path) -> Any:
    metadata = source.metadata
    kind, method = metadata.get("general.type"), metadata.get("adapter.type")
    if kind != "adapter" or method != "lora":
        raise ModelError(
            f"{path}: expected a GGUF file of the type adapter (lora), found {kind!r} ({method!r})"
        )
    if metadata.get("adapter.alora.invocation_tokens"):
        raise ModelError(f"{path}: adapter.alora.invocation_tokens: expected none, found some")
    architecture = metadata.get("general.architecture")
    family = GGUF_ARCHITECTURES.get(architecture) if isinstance(architecture, str) else None
    layout = None if family is None else FAMILIES[family].gguf
    if layout is None:
        wanted = f"one of {', '.join(sorted(GGUF_ARCHITECTURES))}"
        raise ModelError(f"{path}: general.architecture: expected {wanted}, found {architecture!r}")
    return layout
