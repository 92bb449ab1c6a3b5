"""Prompts of several rows through a model, in chunks that end where each row ends."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.autograd.mode import inference_mode
from tallow.dtype import i64
from tallow.factories import tensor
from tallow.generate.prompts import MixedPrompt, stacked_embeds
from tallow.generate.protocol import Generative
from tallow.models.states import State
from tallow.tensor import Tensor

CHUNK = 512  # prompt tokens a pass: large enough for the matrix kernels, small enough to cancel


class Prefill:
    """The prompts of all rows, or the `embeds` `(rows, length, size)` that stand for them.

    All prompts are ids, or all are mixed. `done` and `lengths` are tokens by row; `logits`
    `(vocab_size,)` are there at the ends.
    """

    def __init__(
        self,
        model: Generative,
        state: State,
        prompts: Sequence[Sequence[int] | MixedPrompt],
        embeds: Tensor | None = None,
        lengths: Sequence[int] | None = None,
    ) -> None:
        self._model, self._state = model, state
        self._mixed = [each for each in prompts if isinstance(each, MixedPrompt)]
        self._prompts = [each.keys if isinstance(each, MixedPrompt) else each for each in prompts]
        for row, mixed in enumerate(self._mixed):
            if mixed.place is not None:
                mixed.place(state, row)
        self._embeds = embeds
        self.lengths = list(lengths or map(len, prompts))
        self.done = list(state.lengths)
        self.logits: list[Tensor | None] = [None] * len(prompts)

    @property
    def ended(self) -> bool:
        """Whether all rows are at their ends."""
        return self.done == self.lengths

    @inference_mode()
    def step(self, chunk: int = CHUNK) -> list[int]:
        """Feed the next `chunk` tokens, shared by the rows; how many there were of each."""
        state, size = self._state, max(chunk // len(self.done), 1)
        counts = [min(size, end - at) for end, at in zip(self.lengths, self.done, strict=True)]
        for row, mixed in enumerate(self._mixed):
            counts[row] = max(counts[row], mixed.whole - self.done[row])
        width = max(counts)
        state.reserve(counts, width)
        ids: Tensor | None = None
        embeds = self._embeds
        if self._mixed:
            embeds = stacked_embeds(self._mixed, self.done, counts, width)
        elif embeds is None:
            rows = zip(self._prompts, self.done, strict=True)
            parts = [list(prompt[at : at + width]) for prompt, at in rows]
            ids = tensor([part + [0] * (width - len(part)) for part in parts], dtype=i64)
        else:
            embeds = embeds.narrow(1, self.done[0], width)
        decode_last = getattr(self._model, "decode_last", None) if min(counts) == width else None
        hidden: Tensor = (decode_last or self._model.decode)(ids, state, embeds=embeds)
        state.commit(counts)
        for row, count in enumerate(counts):
            at = self.done[row]
            state.tokens[row].extend(self._prompts[row][at : at + count])
            self.done[row] += count
            if count and self.done[row] == self.lengths[row]:
                at = -1 if decode_last else count - 1
                self.logits[row] = self._model.head(hidden[row : row + 1, at:][:, :1]).view(-1)
        return counts


def reuse(state: State, prompt: Sequence[int]) -> int:
    """Cut the state to what it shares with the prompt, but for the last token; its new length."""
    shared = 0
    # Ids are noted after a pass, so that they are a true beginning even when a pass was broken off.
    for held, wanted in zip(state.tokens[0], prompt[:-1], strict=False):
        if held != wanted:
            break
        shared += 1
    return state.trim(shared)[0]
