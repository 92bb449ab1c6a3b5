"""Where the guesses of an LLM's calls come from: a draft serves one call at a time."""

from __future__ import annotations

from tallow.generate.speculation import DraftModel, Speculation, check_tokens, proposer_of
from tallow.models import CausalLM


class Drafts:
    """`borrow()` gives what `generate` takes as `speculation`; the cache of one draft is kept.

    Raises:
        ArgumentError, ModelError: a `speculation` that makes no guesses for this model.
    """

    def __init__(self, model: CausalLM, speculation: Speculation | None, most: int) -> None:
        self._speculation = speculation
        self._idle: list[DraftModel] = []
        self.most = most
        made = proposer_of(model, speculation, most)
        if isinstance(made, DraftModel):
            if model.has_tokenizer and made.model.has_tokenizer:
                check_tokens(model.tokenizer, made.model.tokenizer)
            self._idle = [made]

    def borrow(self) -> Speculation | None:
        """Guesses for a call; `give_back` them."""
        given = self._speculation
        if given is None or isinstance(given, str):
            return given
        try:
            return self._idle.pop()
        except IndexError:  # another thread has it
            return DraftModel(given.model if isinstance(given, DraftModel) else given)

    def give_back(self, given: Speculation | None) -> None:
        """Keep a draft for the next call."""
        if isinstance(given, DraftModel):
            self._idle = [given]

    def close(self) -> None:
        """Let go of the draft."""
        self._speculation, self._idle = None, []
