"""Adapters in GGUF files, as llama.cpp's convert_lora_to_gguf.py writes them.

The metadata say `general.type` adapter, `adapter.type` lora and `adapter.lora.alpha`; each matrix
has `NAME.weight.lora_a` `(r, in)` and `NAME.weight.lora_b` `(out, r)` under the base's names. A of
the table of words lies the other way, `(words, r)`. The scale is alpha over the rank.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tallow.adapters.config import LoraConfig
from tallow.adapters.contents import Contents
from tallow.adapters.row_order import Order
from tallow.errors import ModelError
from tallow.models.fields import Fields
from tallow.models.table import GGUF_ARCHITECTURES
from tallow.tensor import Tensor
from tallow.weights import WeightSource, open_weights
from tallow.weights.patterns import pattern

_ENDS = {".lora_a": "A", ".lora_b": "B"}
_TABLE = "token_embd.weight"


def read_gguf_adapter(path: Path, model: Any) -> tuple[Contents, Order]:
    """The tensors by the paths of Hugging Face's modules, and the order of their rows.

    `model` is the one that they are for.

    Raises:
        FormatError: the file is damaged.
        ModelError: it is no adapter, of another method than LoRA, or of an unknown architecture.
    """
    source = open_weights(path)
    layout = _layout(source, path)
    names = _names(layout, model.config)
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
        place = names(stem)
        if place is None:
            wanted = "a matrix that files hold as the model does"
            raise ModelError(f"{path}: {name}: expected {wanted}, found one that is rearranged")
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


def _names(layout: Any, config: Any) -> Callable[[str], str | None]:
    """A function from a stem of a file to the path of a module; None where a rule rearranges it."""
    rules = () if layout.rules is None else layout.rules(config)

    def name(stem: str) -> str | None:
        for rule in rules:
            for stored in rule.stored:
                match = pattern(stored).match(stem)
                if match is not None:
                    if rule.way != "same":
                        return None
                    stem = pattern(rule.visible[0]).fill(match[0])
        found: str = layout.names(stem)
        return found.removesuffix(".weight")

    return name


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
    found = GGUF_ARCHITECTURES.get(architecture) if isinstance(architecture, str) else None
    layout = None if found is None else found.family(metadata).gguf
    if layout is None:
        wanted = f"one of {', '.join(sorted(GGUF_ARCHITECTURES))}"
        raise ModelError(f"{path}: general.architecture: expected {wanted}, found {architecture!r}")
    return layout
