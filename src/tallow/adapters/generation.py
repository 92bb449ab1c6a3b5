"""A model with a fixed selection of its adapters, as `tallow.generate` runs it."""

from __future__ import annotations

from typing import Any

from tallow.adapters.sites import Selection
from tallow.models.states import State
from tallow.tensor import Tensor


class _Adapted:
    """A generative model whose passes use one selection, whatever the model's own becomes."""

    def __init__(self, model: Any, selection: Selection) -> None:
        self._model, self.selection = model, selection
        self.revision = model.revision  # the selection stays, whatever becomes of the model's
        self.key = model.adapters.key(selection)
        self._using = model.adapters._selection.using
        if hasattr(model, "decode_last"):
            self.decode_last = self._last

    def decode(self, ids: Tensor | None, state: State, *, embeds: Tensor | None = None) -> Tensor:
        """As the model's, with the selection."""
        with self._using(self.selection):
            found: Tensor = self._model.decode(ids, state, embeds=embeds)
        return found

    def _last(self, ids: Tensor | None, state: State, *, embeds: Tensor | None = None) -> Tensor:
        with self._using(self.selection):
            found: Tensor = self._model.decode_last(ids, state, embeds=embeds)
        return found

    def head(self, hidden: Tensor) -> Tensor:
        """As the model's, with the selection."""
        with self._using(self.selection):
            found: Tensor = self._model.head(hidden)
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As the model's, with the selection."""
        with self._using(self.selection):
            return self._model(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def adapted(model: Any, selection: Selection | None = None) -> Any:
    """The model as it computes with a selection of its adapters, its active ones at first.

    A model without any is given back itself.
    """
    adapters = model._modules.get("adapters")
    if adapters is None:
        return model
    chosen = adapters.selection if selection is None else selection
    return _Adapted(model, chosen)
