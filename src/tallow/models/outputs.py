"""What models return: transformers' output classes, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, dataclass_transform

from tallow.lazy_dataclasses import dataclass, field_names
from tallow.tensor import Tensor


@dataclass_transform(frozen_default=True)
@dataclass(frozen=True)
class Output:
    """Named results; what was not computed is None and counts as absent.

    Indexed by name or place, it iterates over names, as transformers' `ModelOutput` does. Each
    sub-class is a frozen dataclass.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(frozen=True)(cls)

    def keys(self) -> list[str]:
        """The names of what was computed, in order; the loss comes first."""
        names = [name for name in field_names(self) if getattr(self, name) is not None]
        return sorted(names, key=lambda name: name != "loss")

    def values(self) -> list[Any]:
        """What was computed, in order."""
        return [getattr(self, name) for name in self.keys()]

    def items(self) -> list[tuple[str, Any]]:
        """Pairs of name and what was computed."""
        return [(name, getattr(self, name)) for name in self.keys()]

    def to_tuple(self) -> tuple[Any, ...]:
        """`values()` as a tuple."""
        return tuple(self.values())

    def __getitem__(self, key: str | int | slice) -> Any:
        if not isinstance(key, str):
            return self.to_tuple()[key]
        if key not in self.keys():
            raise KeyError(key)
        return getattr(self, key)

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def get(self, key: str, default: Any = None) -> Any:
        """The result of that name, or `default`."""
        return self[key] if key in self.keys() else default


HiddenStates = tuple[Tensor, ...]


class BaseOutput(Output):
    """`last_hidden_state` (batch, length, size) or (batch, channels, height, width).

    `hidden_states`, on request, are the embeddings and what each layer gives.
    """

    last_hidden_state: Tensor
    pooler_output: Tensor | None = None
    hidden_states: HiddenStates | None = None


class LogitsOutput(Output):
    """`logits` of a head, and the loss where labels were given."""

    logits: Tensor
    loss: Tensor | None = None
    hidden_states: HiddenStates | None = None


class AnswerOutput(Output):
    """Scores of each position as start and as end of the answer, (batch, length)."""

    start_logits: Tensor
    end_logits: Tensor
    loss: Tensor | None = None
    hidden_states: HiddenStates | None = None
