"""What a model must have so that texts can be generated with it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from tallow.dtype import DType, f32
from tallow.models.states import State
from tallow.tensor import Tensor
from tallow.text import Tokenizer


class Generative(Protocol):
    """A decoder, alone (`tallow.models.CausalLM`) or with an encoder before it.

    It may have `decode_last`, too: as `decode`, of the last position alone `(batch, 1, size)`, bit
    for bit. Prompts go through that where it is there.
    """

    @property
    def vocab_size(self) -> int:
        """The number of token ids."""

    @property
    def context(self) -> int:
        """The largest number of positions of the decoder."""

    @property
    def has_tokenizer(self) -> bool:
        """Whether `tokenizer` may be asked for."""

    @property
    def tokenizer(self) -> Tokenizer:
        """What text is encoded with."""

    @property
    def end_ids(self) -> Collection[int]:
        """Ids that end a text where there is no tokenizer."""

    def make_state(self, batch: int = 1, capacity: int = 256, dtype: DType | str = f32) -> State:
        """A state for so many rows that holds nothing yet."""

    def decode(self, ids: Tensor | None, state: State, *, embeds: Tensor | None = None) -> Tensor:
        """Hidden states `(batch, n, size)` of `ids` `(batch, n)` after what `state` holds.

        Positions begin at `state.starts`; `state.positions(n)` has them all. Layer i is called with
        `state.layers[i]`. It reads no value into Python, so that a plan can record it, and neither
        reserves nor commits. `embeds` `(batch, n, size)` stand in the place of ids.
        """

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `(…, vocab_size)` in float32 of hidden states `(…, size)`."""


class ContextGenerative(Generative, Protocol):
    """A decoder that attends to the output of an encoder."""

    def attend_to(self, state: State, context: Tensor, mask: Tensor | None = None) -> None:
        """Let the layers' `Cross` states hold keys and values of `context` `(batch, m, size)`.

        `mask` `(batch, m)` is true (or not 0) where the context is to be seen. Called once, before
        the first `decode`, which needs the context no more.
        """
