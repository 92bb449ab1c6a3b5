"""Adapters of an LLM: loaded beside its weights, and which of them answers use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from tallow.errors import ArgumentError, expect

if TYPE_CHECKING:
    from tallow.adapters import Adapters
    from tallow.adapters.adapters import Selected

AdapterRef = str | os.PathLike[str] | tuple[str | os.PathLike[str], float]


class WithAdapters:
    """The part of `LLM` that has adapters; `model` is a property of the other part."""

    model: Any

    @property
    def adapters(self) -> Adapters:
        """The model's adapters: see `tallow.adapters`."""
        from tallow.adapters import adapters_of

        return adapters_of(self.model)

    def load_adapter(
        self,
        ref: str | os.PathLike[str],
        name: str | None = None,
        *,
        scale: float | None = None,
    ) -> str:
        """Load a LoRA adapter (PEFT's folder, or GGUF); its name, by default that of the file.

        With a `scale`, answers use it from now on beside those that are active.

        Raises:
            HubError, FormatError, ModelError, ArgumentError: as `tallow.adapters.Adapters.load`.
        """
        adapters = self.adapters
        loaded = adapters.load(ref, name)
        if scale is not None:
            try:
                adapters.set({**adapters.active, loaded: scale})
            except BaseException:
                adapters.remove(loaded)
                raise
        return loaded

    def set_adapters(self, selected: Selected) -> None:
        """Let answers use these adapters, by names or names with weights, and no others.

        Those that are being written keep what they began with.

        Raises:
            ArgumentError: an unknown name, or several that bring something for one place.
        """
        self.adapters.set(selected)

    def using_adapters(self, selected: Selected) -> AbstractContextManager[None]:
        """A block in which calls of this thread use these adapters and no others."""
        return self.adapters.using(selected)

    def _load_adapters(self, refs: Sequence[AdapterRef]) -> None:
        """Load adapters, and use all of them; a pair is a reference and its weight."""
        good = isinstance(refs, list | tuple)
        expect(good, "adapters", "a list of references", type(refs).__name__, ArgumentError)
        for each in refs:
            ref, scale = each if isinstance(each, tuple) else (each, 1.0)
            self.load_adapter(ref, scale=scale)
