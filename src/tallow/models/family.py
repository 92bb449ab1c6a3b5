"""Which model stands in a source: its family, class and config, and the tensors by its names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tallow.errors import ConfigWarning, DTypeError, ModelError, expect
from tallow.lazy_dataclasses import dataclass
from tallow.models.configs import OF_CALLS, WITHOUT_EFFECT
from tallow.models.fields import Fields
from tallow.models.gguf_config import read_gguf
from tallow.models.table import FAMILIES, GGUF_ARCHITECTURES, Family, choose, find, find_timm
from tallow.weights import WeightSource
from tallow.weights.folder import config_file

if TYPE_CHECKING:
    from tallow.models.base import Model
    from tallow.models.gguf_layout import GGUFLayout
    from tallow.models.table import GGUFArchitecture

# Tensors that files carry although a model computes them, or ties them to others.
IGNORABLE = (
    r".*rotary_emb\.inv_freq",
    r"rope_freqs\.weight",
    r".*\.attn_rot_embd\.weight",
    r".*\.attention\.masked_bias",
    r"(.*\.)?position_ids",
)


@dataclass(frozen=True)
class ModelSpec:
    """The row of the table, the class to make, its config, and the source by the file's names."""

    row: Family
    model: type[Model]
    config: Any
    source: WeightSource
    pictures: Mapping[str, Any] | None = None  # how they are prepared, where a file says it

    @property
    def layout(self) -> GGUFLayout | None:
        """How it stands in GGUF files; None where it does not."""
        return self.model.gguf_layout or self.row.gguf


def identify(
    source: WeightSource, task: str | None = None, config: Mapping[str, Any] | None = None
) -> ModelSpec:
    """What a source holds, by its config.json, its GGUF metadata, or the `config` that it lacks.

    Raises:
        ModelError: the architecture is unknown, a field of the config is unusable, or `config` is
            given beside one that the source has.
    """
    if config is not None:
        return _by_config(source, task, config)
    if source.config is not None:  # first, for its safetensors may carry GGUF metadata as text
        return _from_folder(source, task)
    if "general.architecture" in source.metadata:
        return _from_gguf(source, task)
    wanted = "a Hugging Face folder with config.json, a GGUF file, or the argument config"
    raise ModelError(f"{source.path}: config: expected {wanted}, found weights without a config")


def read_config(row: Family, fields: Fields) -> Any:
    """The config of a family; keys that nothing knows are told in a `ConfigWarning`.

    Raises:
        ModelError: a value is missing, out of range or of a kind that is not supported.
    """
    return read_as(row.config, row.name, fields)


def read_as(config: Any, name: str, fields: Fields) -> Any:
    """What `read_config` does for a class of configs that need not be a family's."""
    cfg = config.read(fields)
    unknown = fields.unknown(WITHOUT_EFFECT | getattr(config, "without_effect", frozenset()))
    if unknown:
        told = f"keys that {name} does not know are not used: {', '.join(sorted(unknown))}"
        warnings.warn(f"{fields.source}: {told[:400]}", ConfigWarning, stacklevel=5)
    for name, default in OF_CALLS.items():
        if (value := fields.get(name)) is not None and value != default:
            told = f"{name}: {value!r} is not followed; a call says what it returns"
            warnings.warn(f"{fields.source}: {told}", ConfigWarning, stacklevel=5)
    return cfg


def _by_config(source: WeightSource, task: str | None, config: Mapping[str, Any]) -> ModelSpec:
    good = isinstance(config, Mapping)
    expect(good, "load: config", "a mapping", type(config).__name__, DTypeError)
    own = "a config.json" if source.config is not None else "GGUF metadata"
    if source.config is not None or "general.architecture" in source.metadata:
        wanted = "none, for weights that come with their own"
        raise ModelError(f"{source.path}: config: expected {wanted}, found one beside {own}")
    return _from_values(source, task, config, f"{source.path}: config")


def _from_folder(source: WeightSource, task: str | None) -> ModelSpec:
    return _from_values(source, task, source.config or {}, config_file(source.path))


def _from_values(
    source: WeightSource, task: str | None, values: Mapping[str, Any], where: object
) -> ModelSpec:
    row: Family
    if "model_type" not in values and "architecture" in values:
        row = find_timm(values["architecture"], f"{where}: architecture")
    else:
        row = find(_named(values), FAMILIES, f"{where}: model_type")
    model = choose(row, values.get("architectures"), task, str(where))
    cfg = read_as(model.config_class, row.name, Fields(values, where))
    model, source = model.beside(source)
    return ModelSpec(row, model, cfg, source)


# Families whose checkpoints name none, by a key that only they have.
_UNNAMED: Final = {"vq_strides": "snac"}


def _named(values: Mapping[str, Any]) -> object:
    """The family that a config names: by its architectures where `model_type` is another's.

    Checkpoints whose code stands beside them borrow the types of others.
    """
    kind, names = values.get("model_type"), values.get("architectures")
    if kind is None:
        return next((name for key, name in _UNNAMED.items() if key in values), None)
    row = FAMILIES.get(kind) if isinstance(kind, str) else None
    if row is None or not isinstance(names, list):
        return kind
    names = [name for name in names if isinstance(name, str)]
    if any(name in row.classes for name in names):
        return kind
    others = [r.name for r in FAMILIES.values() if any(name in r.classes for name in names)]
    return others[0] if len(others) == 1 else kind


def _from_gguf(source: WeightSource, task: str | None) -> ModelSpec:
    name, where = source.metadata["general.architecture"], f"{source.path}: general.architecture"
    found: GGUFArchitecture = find(name, GGUF_ARCHITECTURES, where)
    row = found.family(source.metadata, source)
    held = found.classes.get(row.name)
    model = row.generative if task is None and held is None else choose(row, held, task, where)
    layout = model.gguf_layout or row.gguf
    assert layout is not None, "the table says so"
    cfg = read_gguf(source, str(name), layout, row.generative.config_class)  # no head has keys
    named = source if layout.rules is None else source.arrange(layout.rules(cfg))
    return ModelSpec(row, model, cfg, named.rename(layout.names))
