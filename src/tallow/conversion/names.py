"""Tensor names of Hugging Face and of GGUF for the families that Tallow knows.

For the architecture `llama`, GGUF files hold the rows of queries and keys in another order: pairs
that are rotated together are neighbours there and half a head apart in Hugging Face's checkpoints.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from tallow.conversion.content import MAX_EXPANSION, Entry, entries_of
from tallow.errors import ModelError
from tallow.lazy_dataclasses import replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from tallow.models.gguf_layout import GGUFLayout
    from tallow.tensor import Tensor
    from tallow.weights import WeightSource

Style = Literal["keep", "hf", "gguf"]


def style_of(source: WeightSource) -> Style:
    """Whose names the source has; `keep` where there is no telling."""
    if source.config is not None:  # first, for its safetensors may carry GGUF metadata as text
        return "hf"
    return "gguf" if "general.architecture" in source.metadata else "keep"


def named_entries(
    source: WeightSource, style: Style, max_expansion: float = MAX_EXPANSION
) -> dict[str, Entry]:
    """The tensors under the names of `style`, laid out and with rows in the order of it.

    `max_expansion` as of `entries_of`.

    Raises:
        ModelError: the family is unknown or nothing says which it is.
    """
    if style in ("keep", style_of(source)):
        return entries_of(source, max_expansion)
    from tallow.models.loading import named_source

    layout, cfg = family_layout(source)
    named = named_source(source)
    if getattr(cfg, "heads_tiled", False):
        wanted = "a folder, as heads of delta nets stand in another order in a GGUF file"
        raise ModelError(f"{source.path}: expected {wanted}")
    reorder: Callable[[Tensor, int], Tensor] = neighbours if style == "gguf" else halves
    if style == "gguf":
        rules = () if layout.rules is None else layout.rules(cfg)
        named = named.arrange(rule.inverse() for rule in reversed(rules))
        named = named.rename(layout.names.inverse())
    found = {}
    for name, entry in entries_of(named, max_expansion).items():
        heads = heads_of(name, cfg) if layout.interleaved else None
        found[name] = entry if heads is None else _with_rows(entry, reorder, heads)
    return found


def family_layout(source: WeightSource) -> tuple[GGUFLayout, Any]:
    """How the family of a source stands in GGUF files, and its config."""
    from tallow.models.family import identify

    found = identify(source)
    layout = found.layout
    if layout is None:
        wanted = "a family with GGUF names"
        raise ModelError(f"{source.path}: expected {wanted}, found {found.row.name}")
    return layout, found.config


_QUERIES = ("attn_q.", "q_proj.")
_KEYS = ("attn_k.", "k_proj.")


def heads_of(name: str, cfg: Any) -> int | None:
    """The heads of a tensor of queries or keys; None for any other."""
    if any(part in name for part in _QUERIES):
        return int(cfg.num_attention_heads)
    return int(cfg.num_key_value_heads) if any(part in name for part in _KEYS) else None


def neighbours(x: Tensor, heads: int) -> Tensor:
    """Rows of queries or keys from Hugging Face's order to that of the GGUF architecture llama."""
    return _swapped(x, (heads, 2, x.shape[0] // heads // 2))


def halves(x: Tensor, heads: int) -> Tensor:
    """The way back from `neighbours`."""
    return _swapped(x, (heads, x.shape[0] // heads // 2, 2))


def _swapped(x: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Rows as bytes, so that blocks move as they are."""
    import numpy as np

    from tallow.borrowing import from_buffer
    from tallow.tensor import tobytes

    rows = np.frombuffer(tobytes(x), np.uint8).reshape(*shape, -1)
    return from_buffer(rows.swapaxes(1, 2).tobytes(), x.dtype, tuple(x.shape))


def _with_rows(entry: Entry, reorder: Callable[[Tensor, int], Tensor], heads: int) -> Entry:
    """The entry with its rows in another order, however it is taken."""
    exact = entry.exact
    return replace(
        entry,
        take=partial(_reordered, entry.take, reorder, heads),
        exact=None if exact is None else partial(_reordered, exact, reorder, heads),
    )


def _reordered(
    take: Callable[[], Tensor], reorder: Callable[[Tensor, int], Tensor], heads: int
) -> Tensor:
    return reorder(take(), heads)
