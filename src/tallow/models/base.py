"""Model: what every family's classes share beside being modules."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tallow.errors import ModelError
from tallow.nn import Module
from tallow.weights.arrange import Rule, within

if TYPE_CHECKING:
    from tallow.text import Tokenizer


class Model(Module):
    """A model of a family: its config, and how files hold it.

    `base_model_prefix` is the attribute under which heads keep the model without a head; files may
    have it before their names or not. `rules` say what files call or keep otherwise; `ignorable`
    are regular expressions of names that files carry and nothing asks for. Both hold for the model
    as a part of others too.
    """

    config_class: ClassVar[Any]
    base_model_prefix: ClassVar[str] = ""
    rules: ClassVar[tuple[Rule, ...]] = ()
    ignorable: ClassVar[tuple[str, ...]] = ()

    config: Any
    folder: Path | None = None  # that it was loaded from
    tokenizer_source: Callable[[], Tokenizer] | None = None
    end_ids: frozenset[int] = frozenset()  # that end a generation where there is no tokenizer

    def arrangement(self) -> tuple[Rule, ...]:
        """The rules of this model and of the models within it."""
        found: list[Rule] = []
        for path, part in self.named_modules():
            if isinstance(part, Model):
                found += within(path, part.rules) if path else part.rules
        return tuple(found)

    def ignored(self) -> tuple[str, ...]:
        """Regular expressions of names that may stand unused in a file."""
        return tuple(
            path.replace(".", r"\.") + (r"\." if path else "") + pattern
            for path, part in self.named_modules()
            if isinstance(part, Model)
            for pattern in part.ignorable
        )

    @property
    def has_tokenizer(self) -> bool:
        """Whether a tokenizer came with the weights."""
        return self.tokenizer_source is not None

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that came with the weights.

        Raises:
            ModelError: none came with them, or the model was not loaded from a file.
        """
        if self.tokenizer_source is None:
            wanted = "weights that come with one (tokenizer.json or GGUF's keys)"
            found = "none: give it token ids instead of text"
            raise ModelError(f"{type(self).__name__}: tokenizer: expected {wanted}, found {found}")
        return self.tokenizer_source()
