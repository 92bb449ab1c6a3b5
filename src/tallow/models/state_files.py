"""States as safetensors files: tensors by layer, and what else there is to know as metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tallow.dtype import by_name, u8
from tallow.errors import FormatError, ModelError, expect
from tallow.lazy_dataclasses import dataclass
from tallow.models.cache_dtypes import CACHE_DTYPES
from tallow.models.placed_states import PlacedState
from tallow.models.states import (
    Cross,
    KeyValue,
    LayerState,
    Recurrent,
    SelfAndCross,
    State,
)
from tallow.tensor import Tensor

FORMAT = "tallow.state.1"
OLD = "tallow.kv_cache.1"  # one length for all rows, and the ids of the first


@dataclass(frozen=True)
class _Known:
    lengths: list[int]
    tokens: list[list[int]]
    bases: dict[int, list[int]]
    dtype: str
    notes: Mapping[str, Any]


def save_state(state: State, path: str | os.PathLike[str]) -> None:
    """Write what a state holds."""
    from tallow.formats.safetensors import save_safetensors

    tensors: dict[str, Tensor] = {}
    for name, part in state.named_parts():
        for key, held in part.tensors.items():
            if isinstance(part, KeyValue):
                used = _used(state, part)
                if not used:
                    continue
                held = held.narrow(2, 0, used)
            held = held.contiguous()
            tensors[f"{name}.{key}"] = held.view(u8) if held.dtype.is_quantized else held
    known = {
        **(state.notes() if isinstance(state, PlacedState) else {}),
        "lengths": state.lengths,
        "dtype": state.dtype.name,
        "bases": {str(window): span.bases for window, span in state.spans.items() if window},
    }
    tokens = json.dumps(state.tokens)
    save_safetensors(
        tensors, path, {"format": FORMAT, "state": json.dumps(known), "tokens": tokens}
    )


def load_state(state: State, path: str | os.PathLike[str]) -> None:
    """Fill a state that the model has made with what `save_state` wrote."""
    from tallow.formats.safetensors import open_safetensors

    file = open_safetensors(path)
    known = _read(Path(path), file.metadata)
    windows = {window for window in state.spans if window}
    fits = max(known.lengths) <= state.context and set(known.bases) == windows
    parts = dict(state.named_parts())
    found: dict[str, dict[str, Any]] = {name: {} for name in parts}
    beside = {
        id(layer.cross_attn): layer.self_attn
        for layer in state.layers
        if isinstance(layer, SelfAndCross)
    }
    for name, info in file.tensors.items():
        owner, _, key = name.rpartition(".")
        fits = fits and owner in parts
        found.setdefault(owner, {})[key] = info
    if not fits or not all(
        _fits(part, found[name], known, beside.get(id(part))) for name, part in parts.items()
    ):
        wanted = f"keys and values of {len(state.layers)} layers of this model"
        raise ModelError(f"{path}: expected {wanted}, found others")
    _restart(state, known, path)
    for window, span in state.spans.items():
        span.bases = list(known.bases.get(window, [0] * state.batch))
        used = max(a - b for a, b in zip(state.lengths, span.bases, strict=True))
        if used:
            span.take(used, state.dtype)
    for name, part in parts.items():
        for key in found[name]:
            held = file.tensor(f"{name}.{key}")
            if isinstance(part, KeyValue):
                to = part.tensors[key]
                held = held.view(to.dtype) if to.dtype.is_quantized else held
                to.narrow(2, 0, held.shape[2]).copy_(held)
            else:
                part.tensors[key] = held.clone()
                part.filled = True


def _restart(state: State, known: _Known, path: object) -> None:
    state.restart(known.lengths, known.tokens, by_name(known.dtype))
    if isinstance(state, PlacedState):
        state.take_notes(known.notes, path)


def _used(state: State, part: KeyValue) -> int:
    bases = state.spans[part.window].bases
    return max(a - b for a, b in zip(state.lengths, bases, strict=True))


def _fits(
    part: LayerState, infos: Mapping[str, Any], known: _Known, beside: KeyValue | None
) -> bool:
    batch = len(known.lengths)
    if not isinstance(part, KeyValue):
        counts = {info.shape[0] if info.shape else 0 for info in infos.values()}
        shared = isinstance(part, Cross) and len(counts) == 1 and all(counts)
        good = not (counts - {batch}) or (shared and not batch % counts.pop())
        if isinstance(part, Recurrent) and part.sizes:
            of_rows = {name: ((batch, *size), "f32") for name, size in part.sizes.items()}
            held = {name: (tuple(info.shape), info.dtype) for name, info in infos.items()}
            return held == of_rows or (not held and not any(known.lengths))
        return good and (not isinstance(part, Cross) or not infos or _is_context(infos, beside))
    bases = known.bases.get(part.window, [0] * batch)
    used = max(a - b for a, b in zip(known.lengths, bases, strict=True))
    shape = (batch, part.heads, used)
    kept = by_name(known.dtype)
    sizes = {"keys": part.size, "values": part.value_size} if used else {}
    if any(size % kept.block for size in sizes.values()):
        return False
    stored = u8 if kept.is_quantized else kept  # blocks as bytes: safetensors does not know them
    wanted = {
        key: (*shape, size // kept.block * kept.itemsize if kept.is_quantized else size)
        for key, size in sizes.items()
    }
    return infos.keys() == wanted.keys() and all(
        (tuple(infos[key].shape), infos[key].dtype) == (wanted[key], stored.name) for key in wanted
    )


def _is_context(infos: Mapping[str, Any], beside: KeyValue | None) -> bool:
    """Whether these are a context of the sizes of what is beside it, and its mask."""
    if not {"keys", "values"} <= infos.keys() <= {"keys", "values", "mask"}:
        return False
    keys, values = infos["keys"], infos["values"]
    good = len(keys.shape) == len(values.shape) == 4 and keys.shape[:3] == values.shape[:3]
    good = good and keys.dtype == values.dtype and keys.dtype in ("f32", "f16", "bf16")
    if good and beside is not None:
        sizes = keys.shape[1], keys.shape[3], values.shape[3]
        good = sizes == (beside.heads, beside.size, beside.value_size)
    if not good or "mask" not in infos:
        return good
    mask = infos["mask"].shape
    return len(mask) in (2, 4) and mask[-1] == keys.shape[2]


def _read(path: Path, metadata: Mapping[str, str]) -> _Known:
    form = metadata.get("format")
    expect(
        form in (FORMAT, OLD), path, f"a file of format {FORMAT} or {OLD}", "another", ModelError
    )
    try:
        state, tokens = json.loads(metadata["state"]), json.loads(metadata["tokens"])
        if form == OLD:
            batch = state["batch"]
            good = type(batch) is int and 1 <= batch <= 2**20
            lengths = [state["length"]] * batch if good else []
            tokens, bases = [tokens, *([] for _ in lengths[1:])], {}
        else:
            lengths, bases = state["lengths"], state["bases"]
        known = _Known(
            lengths,
            tokens,
            {int(key): value for key, value in bases.items()},
            state["dtype"],
            state,
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise FormatError(path, "state", "lengths, tokens and dtype", error) from error
    if not _is_whole(known):
        raise FormatError(path, "state", "sizes that belong together", metadata["state"][:80])
    return known


def _is_whole(known: Any) -> bool:
    """Whether what a file says is of the right kinds and sizes."""
    rows = [known.lengths, *known.bases.values()]
    if not isinstance(known.tokens, list) or known.dtype not in [
        each.name for each in CACHE_DTYPES
    ]:
        return False
    good = all(map(_numbers, rows)) and all(_numbers(row, -(2**63)) for row in known.tokens)
    if not good or not known.lengths:
        return False
    if any(len(row) != len(known.lengths) for row in (*rows, known.tokens)):
        return False
    held = all(  # what the window of the next position sees, as in Span.holds
        base <= max(length - window + 1, 0)
        for window, row in known.bases.items()
        for length, base in zip(known.lengths, row, strict=True)
    )
    return held and all(
        len(ids) <= length for ids, length in zip(known.tokens, known.lengths, strict=True)
    )


def _numbers(row: object, low: int = 0) -> bool:
    return isinstance(row, list) and all(type(n) is int and low <= n < 2**31 for n in row)
