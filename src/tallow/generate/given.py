"""What generation is given: ids, or vectors in their place, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from operator import index

from tallow.errors import ArgumentError, ContextError, DTypeError, expect
from tallow.generate.prompts import MixedPrompt
from tallow.tensor import Tensor


def checked_embeds(embeds: Tensor, prompt: Sequence[int] | MixedPrompt) -> Tensor:
    """Vectors in the place of a prompt, `(1, length, size)`.

    Raises:
        ArgumentError: there is a prompt, too.
        ShapeError: other axes, or several rows.
    """
    good = embeds.ndim in (2, 3) and embeds.dtype.kind == "f" and len(prompt) == 0
    wanted = "floats of shape (length, size) and no prompt"
    expect(good and 0 not in embeds.shape, "inputs_embeds", wanted, embeds.shape)
    rows = embeds if embeds.ndim == 3 else embeds.unsqueeze(0)
    expect(rows.shape[0] == 1, "inputs_embeds", "one row", rows.shape[0])
    return rows


def token_ids(ids: Iterable[int], where: str) -> list[int]:
    """`ids` as integers.

    Raises:
        DTypeError: they are something else.
    """
    if isinstance(ids, (str, bytes, Mapping, Set)) or not isinstance(ids, Iterable):
        raise DTypeError(f"{where}: expected token ids, got {type(ids).__name__}")
    found = []
    for token in ids:
        try:
            found.append(index(token))
        except TypeError:
            raise DTypeError(f"{where}: expected token ids, got {token!r}"[:200]) from None
    return found


def check_prompt(ids: list[int], vocabulary: int, where: str) -> None:
    """Raise ArgumentError for a prompt without ids, or with some beyond the vocabulary."""
    expect(bool(ids), where, "at least one token", "none", ArgumentError)
    outside = next((token for token in ids if not 0 <= token < vocabulary), 0)
    expect(outside == 0, where, f"ids from 0 to {vocabulary - 1}", outside, ArgumentError)


def check_room(known: int, context: int, where: str) -> None:
    """Raise ContextError where no position is left behind a prompt."""
    if known >= context:
        wanted = f"fewer than {context} tokens (the model's context, which context= overrides)"
        raise ContextError(f"{where}: expected {wanted}, got {known}")
