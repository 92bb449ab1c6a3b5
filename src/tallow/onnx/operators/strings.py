"""Operators on texts, which are numpy arrays on the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.borrowing import from_numpy
from tallow.errors import ArgumentError, DTypeError, expect
from tallow.onnx.operators.ml_common import kept
from tallow.onnx.operators.table import operator
from tallow.onnx.re2 import Pattern
from tallow.tensor import Tensor


@operator("StringConcat", since=20, host=True)
def string_concat(x: Any, y: Any) -> Any:
    """Texts with others behind them, broadcast."""
    import numpy as np

    _expect_texts(x, "StringConcat")
    _expect_texts(y, "StringConcat")
    made = np.empty(np.broadcast_shapes(x.shape, y.shape), object)
    made[...] = x + y
    return made


@operator("StringNormalizer", since=10, host=True)
def string_normalizer(
    x: Any, *, case_change_action: str = "NONE", is_case_sensitive: int = 0, locale: str = "",
    stopwords: Sequence[str] = (),
) -> Any:  # fmt: skip
    """Texts without stop words, in small or capital letters; one empty text where none is left.

    Letters change as Unicode says, whatever the locale: "ß" becomes "SS".
    """
    import numpy as np

    del locale
    _expect_texts(x, "StringNormalizer")
    expect(x.ndim == 1 or (x.ndim == 2 and x.shape[0] == 1), "StringNormalizer",
           "texts of shape (n) or (1, n)", x.shape)  # fmt: skip
    changes: dict[str, Any] = {"NONE": str, "LOWER": str.lower, "UPPER": str.upper}
    change = changes.get(case_change_action)
    if change is None:
        raise ArgumentError(
            f"StringNormalizer: expected NONE, LOWER or UPPER, got {case_change_action}"
        )
    fold: Any = str if is_case_sensitive else str.lower
    stop = {fold(word) for word in stopwords}
    left = [change(text) for text in x.reshape(-1).tolist() if fold(text) not in stop] or [""]
    made = np.empty(len(left), object)
    made[:] = left
    return made if x.ndim == 1 else made[None]


@operator("StringSplit", since=20, host=True)
def string_split(x: Any, *, delimiter: str = "", maxsplit: int | None = None) -> tuple[Any, Tensor]:
    """The parts of texts along a new axis, filled up with empty ones, and how many each has."""
    import numpy as np

    _expect_texts(x, "StringSplit")
    most = -1 if maxsplit is None else maxsplit
    parts = [_parts(text, delimiter, most) for text in x.reshape(-1).tolist()]
    counts = np.array([len(each) for each in parts], "int64").reshape(x.shape)
    made = np.full((len(parts), max(map(len, parts), default=0)), "", object)
    for row, each in zip(made, parts, strict=True):
        row[: len(each)] = each
    return made.reshape(*x.shape, made.shape[1]), from_numpy(counts)


def _parts(text: str, delimiter: str, most: int) -> list[str]:
    if delimiter:
        return text.split(delimiter, most)
    return text.strip().split(None, most)


@operator("RegexFullMatch", since=20, host=True)
def regex_full_match(x: Any, *, pattern: str) -> Tensor:
    """Whether texts match a pattern of RE2 from end to end."""
    import numpy as np

    _expect_texts(x, "RegexFullMatch")
    matches = kept(Pattern, pattern).matches
    found = [matches(text) for text in x.reshape(-1).tolist()]
    return from_numpy(np.array(found, bool).reshape(x.shape))


def _expect_texts(x: Any, name: str) -> None:
    ok = not isinstance(x, Tensor) and getattr(getattr(x, "dtype", None), "kind", "") == "O"
    got = getattr(getattr(x, "dtype", None), "name", type(x).__name__)
    expect(ok, name, "texts", got, DTypeError)
