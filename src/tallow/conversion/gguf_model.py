"""A Hugging Face folder of a known family as the content of a GGUF file that llama.cpp loads.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; for what its text leaves open,
what llama.cpp's `convert_hf_to_gguf.py` writes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from tallow.conversion.casting import cast
from tallow.conversion.content import MAX_EXPANSION, Content, Entry, entries_of, typed_metadata
from tallow.conversion.declared import (
    completed,
    lost_fields,
    not_of_the_model,
    plain,
    surplus_of,
)
from tallow.conversion.file_types import code_of
from tallow.conversion.gguf_vocab import lost_of_tokenizer, vocab_metadata
from tallow.conversion.names import family_layout, named_entries, style_of
from tallow.dtype import by_name, f32
from tallow.errors import ModelError
from tallow.formats.gguf import Typed
from tallow.lazy_dataclasses import replace
from tallow.models.config import DecoderConfig
from tallow.models.text_half import text_half

if TYPE_CHECKING:
    from tallow.models.gguf_layout import GGUFLayout
    from tallow.tensor import Tensor
    from tallow.weights import WeightSource

QUANTIZATION_VERSION = 2


def gguf_content(source: WeightSource, max_expansion: float = MAX_EXPANSION) -> Content:
    """What a GGUF file of this model holds: a GGUF file as it is, a folder in GGUF's terms.

    Vectors become f32, for llama.cpp adds and multiplies by nothing else; matrices stay. What the
    folder has and the file cannot hold is told in `losses`.

    Raises:
        ModelError: neither of both, an unknown family, a tokenizer that GGUF cannot name, or
            tensors that are missing or do not fit the declared model.
    """
    origin = str(source.path)
    if style_of(source) == "gguf":
        return completed(Content(origin, entries_of(source, max_expansion), typed_metadata(source)))
    source = text_half(source)
    if source.config is None:
        wanted = "a GGUF file or a Hugging Face folder with config.json"
        raise ModelError(f"{origin}: expected {wanted}, found weights alone")
    layout, cfg = family_layout(source)
    surplus = surplus_of(source)
    losses = [not_of_the_model(surplus, "left out")] if surplus else []
    entries = _entries(source, layout, cfg, frozenset(surplus), max_expansion)
    architecture = layout.architecture or str(source.config["model_type"])
    if layout.architecture_of is not None:
        architecture = layout.architecture_of(cfg)
    metadata = {
        **_general(source, architecture, entries),
        **{f"{architecture}.{key}": value for key, value in _sizes(layout, cfg).items()},
        **vocab_metadata(source.path, source.config, cfg.vocab_size),
        "general.quantization_version": Typed("u32", QUANTIZATION_VERSION),
    }
    content = completed(Content(origin, entries, metadata))
    losses += lost_fields(cfg, content)
    losses += lost_of_tokenizer(source.path, plain(metadata))
    return replace(content, losses=(*losses, *content.losses))


# Computed by whoever reads the file, not weights.
_COMPUTED = re.compile(r".*rotary_emb\.inv_freq|.*\.attention\.masked_bias")


def _entries(
    source: WeightSource,
    layout: GGUFLayout,
    cfg: Any,
    surplus: frozenset[str],
    max_expansion: float,
) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for name, found in named_entries(source, "gguf", max_expansion).items():
        if layout.names(name) in surplus or name in surplus or _COMPUTED.fullmatch(name):
            continue
        entry = found
        if name == "output.weight" and getattr(cfg, "tie_word_embeddings", False):
            if "model.embed_tokens.weight" in source:
                continue
            name = "token_embd.weight"  # tied to the one that is there
            entry = replace(found, name=name)
        entries[name] = _as_vector(entry) if len(entry.shape) < 2 else entry
    copies = {} if layout.copies is None else layout.copies(cfg)
    made = {name: replace(entries[of], name=name) for name, of in copies.items()}
    entries = made | entries
    scaling = getattr(cfg, "rope_scaling", None)
    if scaling is not None and scaling.kind in FACTORS:
        name, size = "rope_freqs.weight", cfg.turned() // 2
        entries[name] = Entry(name, "f32", (size,), partial(FACTORS[scaling.kind], cfg))
    if scaling is not None and scaling.long_factors:
        for part, factors in (("long", scaling.long_factors), ("short", scaling.short_factors)):
            name = f"rope_factors_{part}.weight"
            entries[name] = Entry(name, "f32", (len(factors),), partial(_vector, factors))
    return entries


def _vector(values: tuple[float, ...]) -> Tensor:
    from tallow.factories import tensor

    return tensor(list(values), dtype=f32)


def _as_vector(entry: Entry) -> Entry:
    if by_name(entry.dtype).kind != "f" or entry.dtype == "f32":
        return entry
    return replace(entry, dtype="f32", take=lambda: cast(entry.name, entry.take(), "f32"))


def _rope_factors(cfg: DecoderConfig) -> Tensor:
    """By how much each frequency is divided (Llama 3.1): long waves wholly, short ones not."""
    from tallow.factories import tensor

    scaling = cfg.rope_scaling
    assert scaling is not None, "asked for only where there is one"
    factors = []
    for i in range(cfg.head_dim // 2):
        frequency = cfg.rope_theta ** (-2 * i / cfg.head_dim)
        turns = scaling.original_context * frequency / (2 * math.pi)
        low, high = scaling.low_freq_factor, scaling.high_freq_factor
        keep = min(max((turns - low) / (high - low), 0.0), 1.0)
        factors.append(1 / (keep + (1 - keep) / scaling.factor))
    return tensor(factors, dtype=f32)


def _turning(cfg: DecoderConfig) -> Tensor:
    """Factors by which all but a share of the frequencies become as good as 0 (Gemma 4)."""
    scaling, size = cfg.rope_scaling, cfg.turned() // 2
    assert scaling is not None, "asked for only where there is one"
    count = int(scaling.turning * size)
    return _vector((scaling.factor,) * count + (_STILL,) * (size - count))


_STILL = 1e30  # which llama.cpp's converter writes
# What stands in the tensor rope_freqs, by kinds of scaling.
FACTORS = {"llama3": _rope_factors, "proportional": _turning}


def _general(
    source: WeightSource, architecture: str, entries: Mapping[str, Entry]
) -> dict[str, Any]:
    keys = {
        "general.architecture": Typed("str", architecture),
        "general.type": Typed("str", "model"),
        "general.name": Typed("str", source.path.resolve().name),
    }
    code = file_type_code(entries)
    return keys if code is None else {**keys, "general.file_type": Typed("u32", code)}


def file_type_code(entries: Mapping[str, Entry]) -> int | None:
    """The `general.file_type` by the dtype that most matrices have; None when none says it."""
    dtypes = [entry.dtype for entry in entries.values() if len(entry.shape) > 1]
    return code_of(max(sorted(set(dtypes)), key=dtypes.count)) if dtypes else None


def _sizes(layout: GGUFLayout, cfg: Any) -> dict[str, Any]:
    """Keys below the architecture's name."""
    keys = {}
    for key in layout.keys:
        value = key.value(cfg)
        if value is not None:
            keys[key.name] = Typed(key.kind, list(value) if isinstance(value, tuple) else value)
    keys["vocab_size"] = Typed("u32", cfg.vocab_size)
    if layout.write is not None:
        keys |= {name: Typed(kind, value) for name, (kind, value) in layout.write(cfg).items()}
    if not isinstance(cfg, DecoderConfig):
        return keys
    return (_scaling(cfg) if layout.latent else _heads(cfg)) | keys


def _heads(cfg: DecoderConfig) -> dict[str, Any]:
    """What is rotated of a head, the size of values, and how rotation is scaled."""
    sizes = {"attention.value_length": cfg.head_dim, "rope.dimension_count": cfg.turned()}
    return {name: Typed("u32", value) for name, value in sizes.items()} | _scaling(cfg)


def _scaling(cfg: DecoderConfig) -> dict[str, Any]:
    scaling = cfg.rope_scaling
    if scaling is None or scaling.kind in FACTORS:  # which the tensor rope_freqs says
        return {}
    head = "rope.scaling."
    keys: dict[str, Any] = {
        head + "type": Typed("str", scaling.kind),
        head + "factor": Typed("f32", scaling.factor),
    }
    if scaling.kind == "longrope":
        keys[head + "original_context_length"] = Typed("u32", scaling.original_context)
        keys[head + "attn_factor"] = Typed("f32", scaling.attention_factor or 1.0)
    if scaling.kind == "yarn":
        usual = 1 + 0.1 * math.log(max(scaling.factor, 1.0))
        keys[head + "original_context_length"] = Typed("u32", scaling.original_context)
        keys[head + "yarn_beta_fast"] = Typed("f32", scaling.beta_fast)
        keys[head + "yarn_beta_slow"] = Typed("f32", scaling.beta_slow)
        if scaling.attention_factor and scaling.attention_factor != usual:
            # llama.cpp multiplies what stands here with the usual growth.
            extra = scaling.attention_factor / usual
            keys[head + "attn_factor"] = Typed("f32", extra)
    return keys
