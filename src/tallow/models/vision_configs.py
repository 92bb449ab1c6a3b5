"""What configs of models with pictures have in common: their parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tallow.models.configs import custom
from tallow.models.family import read_as
from tallow.models.fields import Fields
from tallow.models.parts import Part, part
from tallow.models.rope_fields import rope_scope


def text_section(source: Any) -> Any:
    """A field that is the config of the decoder; its keys may stand beside the others."""

    def read(fields: Fields, name: str, default: Any) -> Any:
        given = fields.get(name)
        if isinstance(given, source):  # of a GGUF file
            return given
        if given is None:
            return source.read(fields)
        return read_as(source, source.__name__, fields.scope(name))

    return custom(None, read)


def rotary_theta(fields: Fields) -> float:
    """The base of the frequencies by which patches turn."""
    default = fields.number("rope_theta", 10000.0, low=1.0)
    return fields.scope("rope_parameters").number("rope_theta", default, low=1.0)


def read_axes(
    fields: Fields,
    count: int,
    default: Sequence[int] = (16, 24, 24),
    *,
    interleaved: bool = False,
) -> tuple[int, ...]:
    """The axis that turns each of `count` frequencies: `mrope_section` of them in turn.

    Where they are `interleaved`, neighbours belong to time, height and width as long as these have
    any.
    """
    rope = rope_scope(fields)
    name = "mrope_section"
    sections = rope.get(name)
    if sections is None:
        sections = list(default)
    good = isinstance(sections, list) and 1 <= len(sections) <= 6
    good = good and all(type(n) is int and 0 <= n <= count for n in sections)
    if not good or sum(sections) != count:
        raise rope.error(name, f"integers that sum to the {count} frequencies", sections)
    if rope.flag("mrope_interleaved", interleaved) != interleaved:
        raise rope.error("mrope_interleaved", str(interleaved).lower(), not interleaved)
    if not interleaved:
        return tuple(i % 3 for i, n in enumerate(sections) for _ in range(n))
    if len(sections) != 3:
        raise rope.error(name, "three integers", sections)
    axes = [0] * count
    for axis in (1, 2):
        for index in range(axis, min(3 * sections[axis], count), 3):
            axes[index] = axis
    return tuple(axes)


# What transformers' configs of decoders have where a model's file leaves sizes out.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": {
        "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "vocab_size": 32000,
    },
    "mistral": {
        "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "vocab_size": 32000,
    },
    "qwen2": {
        "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
        "num_attention_heads": 32, "vocab_size": 151936,
    },
    "gemma": {
        "hidden_size": 3072, "intermediate_size": 24576, "num_hidden_layers": 28,
        "num_attention_heads": 16, "vocab_size": 256000,
    },
    "gemma2": {
        "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
        "num_attention_heads": 8, "vocab_size": 256000,
    },
}  # fmt: skip


def text_part(
    model_type: str,
    *,
    tied: bool = False,
    task: str = "text-generation",
    values: Mapping[str, Any] | None = None,
) -> Any:
    """A field that is a decoder with its head, of that `model_type` where it names none.

    With the `task` embedding it has none. Its words and scores share a table where the whole
    (`tied` unless said) or the part says so; `values` stand in the place of what the part says.
    """

    def read(fields: Fields, name: str, default: Any) -> Part:
        given, shared = fields.get(name), fields.flag("tie_word_embeddings", tied)
        if isinstance(given, Part):  # of a GGUF file
            return given
        inner = fields.scope(name).with_default("model_type", model_type)
        if shared:
            inner = inner.with_value("tie_word_embeddings", True)
        for key, value in (values or {}).items():
            inner = inner.with_value(key, value)
        return part(inner.with_defaults(**_DEFAULTS.get(inner.get("model_type"), {})), task)

    return custom(None, read)


def vision_part(model_type: str, *others: str) -> Any:
    """A field that is a model of pictures without a head, of that `model_type` unless named.

    Its keys `others` are told elsewhere, too.
    """

    def read(fields: Fields, name: str, default: Any) -> Part:
        inner = fields.scope(name)
        for other in others:
            inner.has(other)
        return part(inner.with_default("model_type", model_type), "embedding")

    return custom(None, read)
