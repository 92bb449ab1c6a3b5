"""Fields: the values of a model's config by name, read with a check."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tallow.errors import ModelError

MAX_SIZE = 2**31 - 1


class Fields:
    """Values by name, read with a check; every error names the source, the key and the value.

    `prefix` is what stands before each name in the file.
    """

    def __init__(self, values: Mapping[str, Any], source: object, prefix: str = "") -> None:
        self._values = values
        self._source = source
        self._prefix = prefix

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def has(self, name: str) -> bool:
        """Whether the name is there, be it as null."""
        return name in self._values

    def with_default(self, name: str, value: Any) -> Fields:
        """The same fields, with `value` in the place of an absent one."""
        return self if self.get(name) is not None else self.with_value(name, value)

    def with_defaults(self, **values: Any) -> Fields:
        """The same fields, with a family's own defaults where a name is not there at all."""
        return Fields({**values, **self._values}, self._source, self._prefix)

    def with_value(self, name: str, value: Any) -> Fields:
        """The same fields, with `value` under `name`."""
        return Fields({**self._values, name: value}, self._source, self._prefix)

    def get(self, name: str) -> Any:
        """The raw value, None when absent."""
        return self._values.get(name)

    def scope(self, name: str) -> Fields:
        """The object that stands under `name`; an empty one when absent."""
        value = self.get(name)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise self.misfit(name, "an object", value)
        return Fields(value, f"{self._source}: {name}")

    def integer(
        self, name: str, default: int | None = None, *, low: int = 1, high: int = MAX_SIZE
    ) -> int:
        """An integer in `[low, high]`; `default` None makes the field required."""
        value = self.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.misfit(name, f"an integer from {low} to {high}", value)
        return value

    def number(self, name: str, default: float | None = None, *, low: float = 0.0) -> float:
        """A finite number above `low`; `default` None makes the field required."""
        value = self.get(name)
        if value is None and default is not None:
            return default
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not math.isfinite(value) or value <= low:
            raise self.misfit(name, f"a number above {low:g}", value)
        return float(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.misfit(name, "true or false", value)
        return value

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.misfit(name, "a string", value)
        return value

    def misfit(self, name: str, wanted: str, value: object) -> ModelError:
        """The error for a field with an unusable value."""
        shown = "nothing" if value is None else repr(value)
        shown = shown if len(shown) <= 80 else shown[:77] + "…"
        return ModelError(f"{self._source}: {self._prefix}{name}: expected {wanted}, found {shown}")
