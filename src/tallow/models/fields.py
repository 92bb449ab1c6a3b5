"""Fields: the values of a model's config by name, read with a check."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from typing import Any

from tallow.errors import ModelError

MAX_SIZE = 2**31 - 1


def _is_finite(value: Any) -> bool:
    # By comparing: an integer may be too large for a float, and NaN is not like itself.
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return good and abs(value) <= sys.float_info.max


class Fields:
    """Values by name, read with a check; every error names the source, the key and the value.

    `prefix` is what stands before each name in the file, and `shown` what a name is called there.
    It is noted which names were asked for, so that those that nobody knows can be told.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        source: object,
        prefix: str = "",
        asked: set[str] | None = None,
        *,
        shown: Mapping[str, str] | None = None,
    ) -> None:
        self._values = values
        self.source = source
        self.prefix = prefix
        self._shown = shown or {}
        self._asked: set[str] = set() if asked is None else asked
        self.written: dict[str, str] = {}  # what the file calls a field that has several names

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def has(self, name: str) -> bool:
        """Whether the name is there, be it as null."""
        self._asked.add(name)
        return name in self._values

    def unknown(self, known: Collection[str]) -> list[str]:
        """The names that stand here with a value, and that nobody asked for or knows."""
        return [
            name
            for name, value in self._values.items()
            if value is not None and name not in self._asked and name not in known
        ]

    def pruned(self) -> None:
        """Refuse heads that were pruned from an attention: no layer here has fewer than others."""
        if self.get("pruned_heads"):
            raise self.error("pruned_heads", "none", self.get("pruned_heads"))

    def with_default(self, name: str, value: Any) -> Fields:
        """The same fields, with `value` in the place of an absent one."""
        return self if self.get(name) is not None else self.with_value(name, value)

    def with_defaults(self, **values: Any) -> Fields:
        """The same fields, with a family's own defaults where a name is not there at all."""
        return self._changed({**values, **self._values})

    def with_value(self, name: str, value: Any) -> Fields:
        """The same fields, with `value` under `name`."""
        return self._changed({**self._values, name: value})

    def _changed(self, values: Mapping[str, Any]) -> Fields:
        made = Fields(values, self.source, self.prefix, self._asked, shown=self._shown)
        made.written = self.written
        return made

    def called(self, names: Mapping[str, str]) -> Fields:
        """The same fields, where a name is read from another, which files of a family have."""
        values, shown = dict(self._values), dict(self._shown)
        for name, theirs in names.items():
            if self.has(theirs):
                values[name] = self._values[theirs]
            shown[name] = self._shown.get(theirs, theirs)
        made = Fields(values, self.source, self.prefix, self._asked, shown=shown)
        made.written = self.written
        return made

    def get(self, name: str) -> Any:
        """The raw value, None when absent."""
        self._asked.add(name)
        return self._values.get(name)

    def scope(self, name: str) -> Fields:
        """The object that stands under `name`; an empty one when absent."""
        value = self.get(name)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise self.error(name, "an object", value)
        return Fields(value, f"{self.source}: {name}")

    def integer(
        self, name: str, default: int | None = None, *, low: int = 1, high: int = MAX_SIZE
    ) -> int:
        """An integer in `[low, high]`; `default` None makes the field required."""
        value = self.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(name, f"an integer from {low} to {high}", value)
        return value

    def number(self, name: str, default: float | None = None, *, low: float = 0.0) -> float:
        """A finite number above `low`; `default` None makes the field required."""
        value = self.get(name)
        if value is None and default is not None:
            return default
        if not _is_finite(value) or value <= low:
            raise self.error(name, f"a number above {low:g}", value)
        return float(value)

    def real(self, name: str, default: float | None = None) -> float:
        """A finite number; `default` None makes the field required."""
        value = self.get(name)
        if value is None and default is not None:
            return default
        if not _is_finite(value):
            raise self.error(name, "a number", value)
        return float(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(name, "true or false", value)
        return value

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.error(name, "a string", value)
        return value

    def error(self, name: str, wanted: str, value: object) -> ModelError:
        """The error for a field with an unusable value."""
        shown = "nothing" if value is None else repr(value)
        shown = shown if len(shown) <= 80 else shown[:77] + "…"
        name = self.written.get(name, name)
        name = self.prefix + self._shown.get(name, name)
        return ModelError(f"{self.source}: {name}: expected {wanted}, found {shown}")
