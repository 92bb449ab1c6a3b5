"""Models within models: a part is what stands under a key of a config, made by the table."""

from __future__ import annotations

from typing import Any

from tallow.lazy_dataclasses import dataclass
from tallow.models.base import Model
from tallow.models.configs import custom
from tallow.models.family import read_as, read_config
from tallow.models.fields import Fields
from tallow.models.table import FAMILIES, Family, choose, find


@dataclass(frozen=True)
class Part:
    """The class of a part and its config."""

    model: type[Model]
    config: Any

    def make(self) -> Any:
        """The part, still to be filled."""
        return self.model(self.config)  # type: ignore[call-arg]  # each takes its config


def part(fields: Fields, task: str | None = None) -> Part:
    """The part that `fields` describe: the class for `task`, else of its `architectures`.

    Raises:
        ModelError: its family is unknown or cannot do the task, or a value is unusable.
    """
    row: Family = find(fields.get("model_type"), FAMILIES, f"{fields.source}: model_type")
    model = choose(row, fields.get("architectures"), task, str(fields.source))
    return Part(model, read_as(model.config_class, row.name, fields))


def section(source: Any, *, overridden_by: str = "") -> Any:
    """A field that is a config: of a class, or of a family by its `model_type`.

    An absent one has the class's defaults.

    Where the key `overridden_by` has an object, that is read in its place.
    """

    def read(fields: Fields, name: str, default: Any) -> Any:
        key = overridden_by if overridden_by and fields.get(overridden_by) is not None else name
        fields.has(name)
        if isinstance(source, str):
            return read_config(FAMILIES[source], fields.scope(key))
        return read_as(source, source.__name__, fields.scope(key))

    return custom(None, read)


def backbone(**default: Any) -> Any:
    """A field that is the part under `backbone_config`; `default` stands for an absent one.

    Backbones that older files only name (`backbone`) are refused.
    """

    def read(fields: Fields, name: str, _: Any) -> Part:
        if fields.get("backbone"):
            wanted = 'its config in place of its name (backbone_config: {"model_type": …})'
            raise fields.error("backbone", wanted, fields.get("backbone"))
        given = fields.get(name)
        return part(
            Fields(default, f"{fields.source}: {name}") if given is None else fields.scope(name),
            "backbone",
        )

    return custom(None, read)
