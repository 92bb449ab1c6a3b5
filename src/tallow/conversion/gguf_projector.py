"""A folder of a model that reads pictures as two GGUF files: its text, and llama.cpp's `mmproj`.

Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/mtmd/README.md; keys and tensors are
those that its converter writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from tallow.conversion.casting import cast
from tallow.conversion.content import MAX_EXPANSION, Content, Entry, entries_of
from tallow.conversion.gguf_model import QUANTIZATION_VERSION, file_type_code, gguf_content
from tallow.errors import ModelError
from tallow.formats.gguf import Typed
from tallow.lazy_dataclasses import replace
from tallow.models.family import ModelSpec, identify
from tallow.models.gguf_projector import ARCHITECTURE, ProjectorLayout
from tallow.models.loading import named_source
from tallow.models.parts import Part
from tallow.models.table import PROJECTORS, Family

if TYPE_CHECKING:
    from tallow.tensor import Tensor
    from tallow.weights import WeightSource

_WITHOUT_ENDS = "no tokenizer with [IMG_BREAK], a vector of which llama.cpp wants"
_BREAK = "[IMG_BREAK]"  # a word that llama.cpp puts behind each line of Pixtral's patches
# What llama.cpp's convolutions and sums take no other dtype of.
_FLOATS = ("v.patch_embd.", "v.position_embd.")


def reads_pictures(source: WeightSource) -> bool:
    """Whether a folder is of a family whose files are a text and a projector."""
    from tallow.models.table import FAMILIES

    if source.config is None:
        return False
    row = FAMILIES.get(str(source.config.get("model_type")))
    return row is not None and bool(_kinds(row))


def projector_content(source: WeightSource, max_expansion: float = MAX_EXPANSION) -> Content:
    """The tower and the projector of a folder, as a file that llama.cpp's `--mmproj` takes.

    Raises:
        MissingFileError: nothing says how pictures are prepared.
        ModelError: the family has no such files, or the model is of a kind that they cannot tell.
    """
    spec, kind, layout, keys = _layout_of(source)
    vision, text = _configs(spec.config)
    rules = () if layout.rules is None else layout.rules(_values(vision), _swapped(vision))
    named = named_source(source)
    named = named.select([name for name in named.names() if name.startswith(layout.towers)])
    named = named.arrange(rule.inverse() for rule in reversed(rules))
    named = named.rename(layout.names.inverse())
    kept = _blocks(keys, entries_of(named, max_expansion))
    entries = {name: _as_floats(entry) for name, entry in kept.items()}
    ends = {name: entry for each in layout.unused for name, entry in _line_ends(source, each)}
    losses = [_WITHOUT_ENDS] if layout.unused and not ends else []
    if "vision.window_size" in keys:
        losses.append(f"windows of {vision.window_size} pixels, of which llama.cpp takes 112")
    metadata = {
        "general.architecture": Typed("str", ARCHITECTURE),
        "general.type": Typed("str", "mmproj"),
        "general.name": Typed("str", source.path.resolve().name),
        "clip.has_vision_encoder": Typed("bool", True),
        "clip.projector_type": Typed("str", kind),
        "clip.vision.projection_dim": Typed("u32", text.hidden_size),
        **{f"clip.{name}": Typed(type_, value) for name, (type_, value) in keys.items()},
        **_colours(source),
        "general.quantization_version": Typed("u32", QUANTIZATION_VERSION),
    }
    code = file_type_code(entries)
    if code is not None:
        metadata["general.file_type"] = Typed("u32", code)
    return Content(str(source.path), entries | ends, metadata, tuple(losses))


def text_content(source: WeightSource, max_expansion: float = MAX_EXPANSION) -> Content:
    """The text of such a folder, as a GGUF file that llama.cpp loads alone or beside the other.

    Raises:
        ModelError: as of `gguf_content`.
    """
    spec, _, layout, _ = _layout_of(source)
    _, text = _configs(spec.config)
    assert source.config is not None, "looked at by _layout_of"
    given = dict(source.config.get("text_config") or source.config)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        given.setdefault(name, source.config.get(name))
    given["tie_word_embeddings"] = bool(text.tie_word_embeddings)
    given.pop("architectures", None)
    if layout.text_type:
        given["model_type"] = layout.text_type
    named = named_source(source)
    named = named.select([name for name in named.names() if not name.startswith(layout.towers)])
    alone = named.arrange(rule.inverse() for rule in reversed(layout.words))
    alone.config = _without_axes(given) if layout.text_architecture else given
    content = gguf_content(alone, max_expansion)
    if not layout.text_architecture:
        return content
    own, head = str(content.metadata["general.architecture"].value), layout.text_architecture
    metadata = {
        f"{head}.{key.removeprefix(f'{own}.')}" if key.startswith(f"{own}.") else key: value
        for key, value in content.metadata.items()
    }
    metadata["general.architecture"] = Typed("str", head)
    metadata[f"{head}.rope.dimension_sections"] = Typed("arr[i32]", _sections(text))
    deep = getattr(spec.config.vision_config, "deepstack_visual_indexes", None)
    if deep is not None:
        metadata[f"{head}.n_deepstack_layers"] = Typed("u32", len(deep))
    return replace(content, metadata=metadata)


def _kinds(row: Family) -> list[str]:
    """The types of projectors that a family's models may have, or those of its module."""
    named = {kind: [name for name, _, _ in each.choices] for kind, each in PROJECTORS.items()}
    own = [kind for kind, names in named.items() if row.name in names]
    shared = [kind for kind, names in named.items() if row.file in names]
    return own or shared


def _layout_of(
    source: WeightSource,
) -> tuple[ModelSpec, str, ProjectorLayout, Mapping[str, tuple[Any, Any]]]:
    spec = identify(source)
    refused = []
    for kind in _kinds(spec.row):
        layout: ProjectorLayout = spec.row.projectors[kind]
        if layout.write is None or (kind == "pixtral" and not _is_pixtral(spec.config)):
            continue
        keys = layout.write(spec.config)
        if not isinstance(keys, str):
            return spec, kind, layout, keys
        refused.append(keys)
    wanted = " or ".join(refused) or "a family whose pictures have a projector in GGUF"
    raise ModelError(f"{source.path}: expected {wanted}, found another {spec.row.name}")


def _is_pixtral(cfg: Any) -> bool:
    part = cfg.vision_config
    return isinstance(part, Part) and part.model.__name__ == "PixtralVisionModel"


def _configs(cfg: Any) -> tuple[Any, Any]:
    """Those of the tower and of the text."""
    vision, text = (
        part.config if isinstance(part, Part) else part
        for part in (cfg.vision_config, cfg.text_config)
    )
    return vision, text


def _values(vision: Any) -> Mapping[str, Any]:
    return {name: getattr(vision, name) for name in type(vision).__dataclass_fields__}


def _swapped(vision: Any) -> bool:
    """Of square matrices llama.cpp takes the first for the second, as old files name them."""
    width = getattr(vision, "embed_dim", vision.hidden_size)
    hidden = getattr(vision, "intermediate_size", None)
    return bool((width * vision.mlp_ratio if hidden is None else hidden) == width)


def _blocks(keys: Mapping[str, tuple[Any, Any]], entries: dict[str, Entry]) -> dict[str, Entry]:
    """Without the layers behind the last one that counts, and without the norm behind these."""
    if "vision.feature_layer" not in keys:
        return entries
    count = keys["vision.block_count"][1]
    return {
        name: entry
        for name, entry in entries.items()
        if not (name.startswith("v.blk.") and int(name.split(".")[2]) >= count)
        and not name.startswith("v.post_ln.")
    }


def _as_floats(entry: Entry) -> Entry:
    if entry.dtype == "f32" or not (len(entry.shape) < 2 or entry.name.startswith(_FLOATS)):
        return entry
    return replace(entry, dtype="f32", take=lambda: cast(entry.name, entry.take(), "f32"))


def _line_ends(source: WeightSource, name: str) -> list[tuple[str, Entry]]:
    """The vector of the word behind a line; none of a folder without tokenizer."""
    from tallow.text import Tokenizer
    from tallow.text.vocab_files import is_there

    if not is_there(source.path):
        return []
    index = Tokenizer.from_folder(source.path).token_to_id(_BREAK)
    words = next((each for each in source.names() if each.endswith("embed_tokens.weight")), None)
    if index is None or words is None:
        return []
    shape = tuple(source.info(words).shape)[1:]
    return [(name, Entry(name, "f32", shape, partial(_row, source, words, index)))]


def _row(source: WeightSource, name: str, index: int) -> Tensor:
    return cast(name, source.take(name)[index], "f32")


def _colours(source: WeightSource) -> dict[str, Any]:
    from tallow.vision import ImageProcessor

    settings = ImageProcessor.from_folder(source.path).settings
    found: dict[str, Any] = {
        f"clip.vision.{name}": Typed("arr[f32]", [float(each) for each in getattr(settings, name)])
        for name in ("image_mean", "image_std")
    }
    sides = {"longest_edge": "preproc_image_size"}
    if settings.type.startswith("Qwen"):  # of which they are areas
        sides = {"shortest_edge": "image_min_pixels", "longest_edge": "image_max_pixels"}
    for name, key in sides.items():
        if settings.size.get(name):
            found[f"clip.vision.{key}"] = Typed("u32", settings.size[name])
    return found


def _without_axes(values: dict[str, Any]) -> dict[str, Any]:
    """The config of a text whose positions are numbers."""
    found = dict(values)
    for name in ("rope_parameters", "rope_scaling"):
        rope = found.get(name)
        if isinstance(rope, Mapping):
            kept = {k: v for k, v in rope.items() if not k.startswith("mrope_")}
            for key in ("rope_type", "type"):
                if kept.get(key) == "mrope":
                    kept[key] = "default"
            found[name] = kept
    return found


def _sections(text: Any) -> list[int]:
    """How many frequencies each axis turns."""
    return [*(sum(axis == each for each in text.rope_axes) for axis in range(3)), 0]
