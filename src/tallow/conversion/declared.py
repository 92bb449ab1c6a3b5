"""What is to be written against the model that it declares: what is amiss, and what is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallow.conversion.content import Content
from tallow.errors import ModelError
from tallow.formats.mapping import TensorInfo
from tallow.lazy_dataclasses import replace
from tallow.weights import WeightSource
from tallow.weights.source import MAX_LISTED

if TYPE_CHECKING:
    from tallow.models.gguf_layout import GGUFLayout
    from tallow.tensor import Tensor

# What of a scaling has a meaning, by its kind.
_SCALING = {
    "linear": ("kind", "factor"),
    "longrope": ("kind", "original_context", "attention_factor"),  # and factors, in tensors
    "yarn": (
        "kind", "factor", "original_context",
        "beta_fast", "beta_slow", "attention_factor", "truncate",
    ),
}  # fmt: skip
_FACTORS = ("llama3", "proportional")  # which stand in a tensor, rope_freqs
# Rows are reordered, so it is another way to say the same; rows of a head are written at the length
# that they count with; and whose word learns nothing counts for training alone.
_NO_LOSS = ("rope_interleaved", "unit_head", "pad_token_id")


class _Planned:
    """Entries under the interface of an open file."""

    def __init__(self, content: Content) -> None:
        self.path, self._content = content.origin, content
        self.tensors = {
            row.name: TensorInfo(row.name, row.dtype, row.shape, 0, row.nbytes, row.stored)
            for row in content.entries.values()
        }

    def tensor(self, name: str) -> Tensor:
        """A tensor, made now."""
        return self._content.entries[name].take()

    def close(self) -> None:
        """Do nothing: the entries belong to the content."""


def as_source(content: Content) -> WeightSource:
    """The content as a GGUF file of it would open."""
    return WeightSource(Path(content.origin), [_Planned(content)], metadata=plain(content.metadata))


def is_known(source: WeightSource) -> bool:
    """Whether a source declares a model of a family that Tallow knows."""
    from tallow.models.table import FAMILIES, GGUF_ARCHITECTURES

    if source.config is not None:
        row = FAMILIES.get(str(source.config.get("model_type")))
        return row is not None and row.gguf is not None
    architecture = str(source.metadata.get("general.architecture"))
    # Vocabularies, adapters and projectors carry the architecture of the model that they serve; a
    # safetensors file may carry GGUF metadata as text.
    whole = source.metadata.get("general.type", "model") == "model" and len(source) > 0
    sized = isinstance(source.metadata.get(f"{architecture}.block_count"), int)
    return architecture in GGUF_ARCHITECTURES and whole and sized


def surplus_of(source: WeightSource) -> list[str]:
    """The tensors that the declared model does not ask for, under the family's names.

    Raises:
        ModelError: one line for every tensor that is missing or misshapen, or the config is
            unusable.
    """
    from tallow.models.loading import declared_fit

    found = declared_fit(source)
    if found.problems:
        more = len(found.problems) - MAX_LISTED
        lines = [*found.problems[:MAX_LISTED], *([f"… and {more} more"] if more > 0 else [])]
        head = f"{source.label}: {len(found.problems)} tensors do not fit the declared model:"
        raise ModelError("\n  ".join([head, *lines]))
    return found.surplus


def not_of_the_model(names: list[str], what: str) -> str:
    """The sentence about surplus tensors: `what` becomes of them."""
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{shown}: not of the declared model, {what}"


def losses_as_it_is(source: WeightSource) -> list[str]:
    """What is lost when the tensors of a source are written as they are, in sentences.

    Raises:
        ModelError: tensors are missing or do not fit the declared model.
    """
    losses = []
    if is_known(source):
        from tallow.models.family import identify

        try:
            identify(source)
        except ModelError as error:  # such as a kind of rope or of experts that Tallow has not
            losses.append(f"not held against its config, which Tallow cannot use: {error}")
            return losses
        surplus = surplus_of(source)
        losses += [not_of_the_model(surplus, "written all the same")] if surplus else []
    if source.config is not None:
        losses.append("config.json and the tokenizer stay behind: the file holds tensors alone")
    return losses


def completed(content: Content) -> Content:
    """GGUF content without tensors that its model does not ask for; they are told as losses.

    Raises:
        ModelError: a tensor is missing, misshapen, or one that llama.cpp has no place for.
    """
    source = as_source(content)
    if not is_known(source):
        return content
    from tallow.models.family import identify

    found = identify(source)
    assert found.layout is not None, "checked by is_known"
    _check_biases(content, found.layout)
    entries = found.source.entries()
    surplus = {entries[name].stored if name in entries else name for name in surplus_of(source)}
    if not surplus:
        return content
    kept = {name: entry for name, entry in content.entries.items() if name not in surplus}
    left = not_of_the_model(sorted(surplus), "left out")
    return replace(content, entries=kept, losses=(*content.losses, left))


def _check_biases(content: Content, layout: GGUFLayout) -> None:
    architecture = getattr(content.metadata["general.architecture"], "value", "")
    for name in layout.required:
        if name not in content.entries:
            wanted = f"{name}, which llama.cpp wants in models of {architecture}"
            raise ModelError(f"{content.origin}: expected {wanted}, found nothing")
    if layout.biases is None:
        return
    for name in content.entries:
        role = name.split(".")[-2] if name.endswith(".bias") else ""
        if role.startswith(("attn_", "ffn_")) and role not in layout.biases:
            raise ModelError(
                f"{content.origin}: {name}: expected no such bias, for llama.cpp has no place for "
                f"it in models of {architecture}"
            )


def lost_fields(cfg: Any, content: Content) -> list[str]:
    """What of a config is read otherwise from GGUF content of its model, in sentences.

    The content is read as its file would be, so that no field can be forgotten here.
    """
    from tallow.models.family import identify

    found = identify(as_source(content))
    unsaid = {} if found.layout is None else found.layout.attributes or {}
    lost: list[str] = []
    for name, before, after in _changed(cfg, found.config):
        if name in unsaid:
            continue
        if name == "sliding_windows":
            windows = sorted({window for window in before if window})
            what = "is not kept by GGUF files of this family"
            lost += [f"sliding window of {window} positions {what}" for window in windows]
        elif name == "rope_scaling" and before is not None and after is not None:
            lost += [f"rope_scaling: {_becomes(*row)}" for row in _changed(before, after)]
        else:
            lost.append(_becomes(name, before, after))
    return lost


def _becomes(name: str, before: object, after: object) -> str:
    return f"{name}: {before} is read as {after} from a GGUF file"


def _changed(before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    """The fields of two dataclasses that differ by more than rounding to f32."""
    from tallow.models.blocks import RopeScaling

    rows = []
    for field in fields(before):
        old: Any = getattr(before, field.name)
        new: Any = getattr(after, field.name, None)
        if isinstance(before, RopeScaling) and field.name not in _SCALING.get(
            before.kind, ("kind",)
        ):
            continue
        numbers = isinstance(old, float) and isinstance(new, float)
        same = isclose(old, new, rel_tol=1e-6) if numbers else old == new
        if field.name == "rope_scaling" and new is None and getattr(old, "kind", "") in _FACTORS:
            same = True
        if field.name == "rope_scaling" and not same and old is not None and new is not None:
            same = not _changed(old, new)
        if not same and field.name not in _NO_LOSS:
            rows.append((field.name, old, new))
    return rows


def plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """GGUF metadata without the types of its values."""
    return {key: getattr(value, "value", value) for key, value in metadata.items()}
