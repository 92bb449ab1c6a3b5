"""Files of a tower and a projector (llama.cpp's `mmproj`), joined with the text's GGUF file.

Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/mtmd/README.md; keys and tensors are
those that llama.cpp's converter writes and its `clip.cpp` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace
from tallow.models.family import ModelSpec, identify, read_as
from tallow.models.fields import Fields
from tallow.models.gguf_config import with_factors
from tallow.models.gguf_rows import moved_rows
from tallow.models.parts import Part
from tallow.models.table import PROJECTORS, find
from tallow.weights import NameMap, WeightSource
from tallow.weights.arrange import WeightConverter, mapped, rename

if TYPE_CHECKING:
    from tallow.models.gguf_layout import Kind
    from tallow.models.table import Family
    from tallow.weights.arrange import TensorMap

ARCHITECTURE = "clip"  # of all files of projectors
_VISION = "clip.vision."


@dataclass(frozen=True)
class ProjectorFile:
    """What a family reads of a projector's file: its keys, its tensors, and the text beside it."""

    fields: Fields  # below `clip.vision.`
    source: WeightSource
    text: ModelSpec

    def flag(self, name: str) -> bool:
        """A key of `clip.` that is true or false."""
        return bool(self.source.metadata.get(f"clip.{name}"))

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor.

        Raises:
            ModelError: there is none of this name, or it has no axis.
        """
        found = tuple(self.source.info(name).shape)
        if not found:
            wanted = "a tensor with axes"
            raise ModelError(f"{self.source.where(name)}: expected {wanted}, found a number")
        return found

    def activation(self, gelu: str, other: str) -> str:
        """The activation of the tower: silu, `gelu`, or `other` where the file tells none."""
        if self.flag("use_silu"):
            return "silu"
        return gelu if self.flag("use_gelu") else other

    def sizes(self, **names: str) -> dict[str, int]:
        """Keys of a config by what they are called there."""
        return {own: self.fields.integer(theirs) for own, theirs in names.items()}

    @property
    def swapped(self) -> bool:
        """Whether the matrices before and behind the activation have each other's names.

        Old converters wrote them so; llama.cpp looks at the width that goes in, too.
        """
        shape = self.shape("v.blk.0.ffn_down.weight")
        return len(shape) == 2 and shape[1] == self.fields.integer("embedding_length")


Values = Mapping[str, Any]


@dataclass(frozen=True)
class ProjectorLayout:
    """How a family's tower and projector stand in a file.

    `names` are stems of tensors (file → model), `rules(vision, swapped)` what is joined or moved
    there, by the config of the tower, `values(file)` the keys of a config.json beside
    `text_config`, `text` that part by what the text's file is, `words` where the decoder's tensors
    stand in the whole. `tokens` are the names that a vocabulary may have for a picture, under
    `token_field`; `pictures(file)` is what a preprocessor_config.json would be, and `unused` are
    tensors that the text's file has, too.

    For writing, `towers` are prefixes of the model's tensors that are no text, `write(cfg)` keys
    below `clip.` by name and `(kind, value)`, and a sentence what cannot be written; the text is
    written as a model of `text_type` and `text_architecture` (empty: its own).
    """

    names: NameMap
    values: Callable[[ProjectorFile], Values]
    text: Callable[[ModelSpec, Family], Any]
    tokens: tuple[str, ...]
    pictures: Callable[[ProjectorFile], Values]
    token_field: str = "image_token_id"
    words: tuple[WeightConverter, ...] = ()
    rules: Callable[[Values, bool], tuple[WeightConverter, ...]] | None = None
    unused: tuple[str, ...] = ()
    towers: tuple[str, ...] = ()
    write: Callable[[Any], Mapping[str, tuple[Kind, Any]] | str] | None = None
    text_type: str = ""
    text_architecture: str = ""


def joined(
    text: WeightSource,
    projector: WeightSource,
    *,
    context: int | None = None,
    shapes: bool = False,
) -> ModelSpec:
    """The model of a text's GGUF file and a projector's; with `shapes` no tensor is read.

    `context` as of `load`.

    Raises:
        ModelError: the second file is none of a known projector for pictures, or does not fit the
            first.
    """
    where = projector.path
    found = projector.metadata.get("general.architecture")
    if found != ARCHITECTURE or projector.config is not None:
        wanted = f"{ARCHITECTURE}, as files of projectors have"
        raise ModelError(f"{where}: general.architecture: expected {wanted}, found {found!r}")
    if text.config is not None or "general.architecture" not in text.metadata:
        raise ModelError(f"{text.path}: expected a GGUF file beside a projector, found another")
    metadata = projector.metadata
    kind = metadata.get("clip.projector_type", metadata.get(f"{_VISION}projector_type"))
    if kind is None and "mm.0.weight" in projector:
        kind = "mlp"  # of LLaVA's first files
    row = find(kind, PROJECTORS, f"{where}: clip.projector_type").family(metadata)
    layout: ProjectorLayout = row.projectors[kind]
    spec = identify(text)
    if context is not None:
        spec = replace(spec, config=replace(spec.config, max_position_embeddings=context))
    if not shapes:
        spec = replace(spec, config=with_factors(spec.config, spec.source))
    fields = Fields(
        {key.removeprefix(_VISION): metadata[key] for key in metadata if key.startswith(_VISION)},
        where,
        _VISION,
    )
    file = ProjectorFile(fields, projector, spec)
    values = {
        **layout.values(file),
        layout.token_field: token_of(spec, layout.tokens),
        "tie_word_embeddings": bool(spec.config.tie_word_embeddings),
        "text_config": layout.text(spec, row),
    }
    config = read_as(row.config, row.name, Fields(values, where))
    source = _merged(file, layout, values)
    return ModelSpec(row, row.model, config, source, layout.pictures(file))


def token_of(spec: ModelSpec, names: Sequence[str]) -> int:
    """The id of the first of these tokens that the text's vocabulary has, or the one behind it."""
    listed = spec.source.metadata.get("tokenizer.ggml.tokens")
    words = list(listed) if isinstance(listed, Sequence) and not isinstance(listed, str) else []
    for name in names:
        if name in words:
            return words.index(name)
    return int(spec.config.vocab_size)


def _merged(file: ProjectorFile, layout: ProjectorLayout, values: Values) -> WeightSource:
    """The tensors of both files by the names of the whole."""
    pictures, text = file.source, file.text.source
    kept = [name for name in pictures.names() if name not in layout.unused]
    pictures = pictures.select(kept)
    if layout.rules is not None:
        pictures = pictures.arrange(layout.rules(values["vision_config"], file.swapped))
    pictures = pictures.rename(layout.names)
    text = text.arrange(layout.words)
    twice = text.entries().keys() & pictures.entries().keys()
    if twice:
        found = f"{sorted(twice)[0]} in both files"
        raise ModelError(f"{file.source.path}: expected a projector alone, found {found}")

    def stored(name: str) -> str:
        return layout.names.stored(name)

    whole = text.derived({**text.entries(), **pictures.entries()}, stored, pictures.problems)
    whole.label = f"{text.path} and {file.source.path}"
    return whole


def as_part(task: str) -> Callable[[ModelSpec, Family], Part]:
    """The decoder as a part: the class that its family has for `task`."""

    def read(spec: ModelSpec, row: Family) -> Part:
        model = spec.row.for_task(task)
        if model is None:
            wanted = f"a family with a class for {task}"
            raise ModelError(f"{spec.source.path}: expected {wanted}, found {spec.row.name}")
        return Part(model, spec.config)

    return read


def layer_names(layer: str, parts: Mapping[str, str]) -> dict[str, str]:
    """Stems of blocks `v.blk.{}.` as `layer` with `{}` and a part each."""
    return {f"v.blk.{{}}.{theirs}": layer + own for theirs, own in parts.items()}


def fed(first: str, second: str, *, swapped: bool) -> tuple[WeightConverter, ...]:
    """The two matrices of feed-forward, whose names old files exchange."""
    names = ("ffn_down", "ffn_up") if swapped else ("ffn_up", "ffn_down")
    return tuple(
        rename(f"v.blk.{{}}.{theirs}.{kind}", f"{own}.{kind}")
        for theirs, own in zip(names, (first, second), strict=True)
        for kind in ("weight", "bias")
    )


def vision_keys(vision: Any, **changes: Any) -> dict[str, tuple[Kind, Any]]:
    """Keys of a tower's sizes, by its config or `changes`."""
    names = {
        "image_size": "image_size",
        "patch_size": "patch_size",
        "embedding_length": "hidden_size",
        "feed_forward_length": "intermediate_size",
        "block_count": "num_hidden_layers",
        "attention.head_count": "num_attention_heads",
    }
    found: dict[str, tuple[Kind, Any]] = {}
    for name, field in names.items():
        value = changes.get(field, getattr(vision, field, None))
        found[f"vision.{name}"] = ("u32", value)
    epsilon = changes.get("eps", getattr(vision, "layer_norm_eps", 1e-5))
    return {**found, "vision.attention.layer_norm_epsilon": ("f32", epsilon)}


def halved(stored: str, visible: str, size: int, heads: int) -> WeightConverter:
    """Rows of heads whose rotated pairs are neighbours in the file, and half a head apart here."""
    head = size // heads
    half = head // 2
    order = [h * head + 2 * i + j for h in range(heads) for j in range(2) for i in range(half)]
    moved: TensorMap = moved_rows(order)
    return mapped(stored, visible, moved)


def listed(fields: Fields, name: str, wanted: str, low: int, high: int) -> list[Any]:
    """A list of `low` to `high` values.

    Raises:
        ModelError: something else stands there; it says what was `wanted`.
    """
    value = fields.get(name)
    good = isinstance(value, Sequence) and not isinstance(value, str)
    if not good or not low <= len(value) <= high:
        raise fields.error(name, wanted, value)
    return list(value)


def normalised(file: ProjectorFile) -> dict[str, Any]:
    """Mean and deviation of colours, as a preprocessor_config.json has them."""
    found: dict[str, Any] = {"do_normalize": True}
    for name in ("image_mean", "image_std"):
        values = listed(file.fields, name, "three numbers", 3, 3)
        if not all(isinstance(each, float) and isfinite(each) for each in values):
            raise file.fields.error(name, "three numbers", values)
        found[name] = values
    return found
