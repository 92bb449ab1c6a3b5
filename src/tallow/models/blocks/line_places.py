"""Places of a picture of any size in a text, line by line (Pixtral, arXiv 2410.07073)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.errors import ModelError, expect

if TYPE_CHECKING:
    from tallow.text import Tokenizer


def lines_of(tokenizer: Tokenizer, place: int, rows: int, columns: int) -> list[int]:
    """`columns` places a line with a token after each, another one after the last.

    Raises:
        ModelError: the tokenizer does not know these tokens.
    """
    line, last = (tokenizer.token_to_id(name) for name in ("[IMG_BREAK]", "[IMG_END]"))
    good = line is not None and last is not None
    expect(good, "picture", "a tokenizer with [IMG_BREAK] and [IMG_END]", "another", ModelError)
    assert line is not None
    assert last is not None
    ids = ([place] * columns + [line]) * rows
    return [*ids[:-1], last]
