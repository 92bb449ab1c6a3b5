"""Checkpoints of a training run: tensors as safetensors, all else as JSON, in one folder.

A checkpoint is a folder with `state.json` and the one `tensors-….safetensors` that it names. Saving
writes the tensors under a new name, flushes them to disk and then replaces `state.json`: whatever
happens on the way, the folder holds the old checkpoint or the new one, whole.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tallow.errors import ArgumentError, FormatError, expect
from tallow.formats.mapping import FileMap, shown
from tallow.formats.safetensors import SafetensorsFile, open_safetensors, save_safetensors
from tallow.formats.writing import replace_file
from tallow.tensor import Tensor

STATE = "state.json"
VERSION = 1
MAX_STATE = 1 << 28  # bytes of JSON
_TENSORS = re.compile(r"tensors-[0-9a-f]{16}\.safetensors")
_MARKS = ("__tensor__", "__map__", "__tuple__", "__float__")


def save_checkpoint(path: str | os.PathLike[str], *, rng: Any = True, **parts: Any) -> None:
    """Save the parts of a run in the folder `path`, replacing the checkpoint there if there is one.

    A part is an object with `state_dict()` (model, optimizer, scheduler, loader, …) or a value made
    of numbers, texts, None, tensors, lists, tuples and dicts (step=…, best_loss=…). `rng` is the
    random stream to save: True for the global one of `tl.manual_seed`, a Generator, or None.

    Raises:
        ArgumentError: a part holds something else; the text names the place.
        DTypeError: a tensor of a dtype that safetensors lacks, such as a block-quantised one.
        FormatError: the folder cannot be written.
    """
    folder = os.fspath(path)
    tree: dict[str, Any] = {}
    if rng is not None and rng is not False:
        parts = {**parts, "rng": _random_state(rng)}
    tensors: dict[str, Tensor] = {}
    places: dict[Any, str] = {}
    for name, part in parts.items():
        value = part.state_dict() if hasattr(part, "state_dict") else part
        tree[name] = _pack(value, name, tensors, places)
    body = f"tensors-{secrets.token_hex(8)}.safetensors"
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise FormatError(folder, "folder", "one that can be written", error.strerror) from error
    state = {"tallow_checkpoint": VERSION, "tensors": body, "parts": tree}
    text = json.dumps(state, indent=1, allow_nan=False).encode()
    expect(len(text) <= MAX_STATE, save_checkpoint, f"at most {MAX_STATE} bytes besides tensors",
           len(text), ArgumentError)  # fmt: skip
    try:
        save_safetensors(tensors, os.path.join(folder, body))
        replace_file(os.path.join(folder, STATE), [text])
    except BaseException:  # an interrupt, too, leaves no half file
        with suppress(OSError):
            os.unlink(os.path.join(folder, body))
        raise
    for other in os.listdir(folder):  # of checkpoints before, and of saves that were interrupted
        if _TENSORS.fullmatch(other) and other != body:
            with suppress(OSError):
                os.unlink(os.path.join(folder, other))


def load_checkpoint(
    path: str | os.PathLike[str], *, rng: Any = True, **parts: Any
) -> dict[str, Any]:
    """Load the parts of a run from the folder `path`; what is not loaded into a part is returned.

    Each object given is handed what was saved under its name through its `load_state_dict`; the
    random stream is put back as `save_checkpoint` took it. Nothing in a checkpoint is executed.

    Raises:
        FormatError: no checkpoint there, or a damaged or hostile one.
        ArgumentError: it has no such part, or the part does not fit.
    """
    folder = os.fspath(path)
    tree, tensors = _open(folder)
    with tensors:
        values = {name: _unpack(value, name, tensors, 0) for name, value in tree.items()}
    saved_rng = values.pop("rng", None)
    random_wanted = rng is not None and rng is not False
    if random_wanted:
        wanted = "a random state (or rng=None)"
        expect(saved_rng is not None, load_checkpoint, wanted, sorted(values), ArgumentError)
    for name, part in parts.items():
        expect(name in values, load_checkpoint, f"a part {name!r}", sorted(values), ArgumentError)
        loads = hasattr(part, "load_state_dict")
        expect(loads, load_checkpoint, "parts with load_state_dict", part, ArgumentError)
    for name, part in parts.items():
        part.load_state_dict(values.pop(name))
    if random_wanted:
        _set_random_state(rng, saved_rng)
    return values


def _random_state(rng: Any) -> Any:
    if rng is True:
        from tallow.random import get_rng_state

        return get_rng_state()
    return rng.get_state()


def _set_random_state(rng: Any, state: Any) -> None:
    if rng is True:
        from tallow.random import set_rng_state

        set_rng_state(state)
    else:
        rng.set_state(state)


# --- values as JSON -------------------------------------------------------------------------------


def _pack(value: Any, place: str, tensors: dict[str, Tensor], places: dict[Any, str]) -> Any:
    """`value` as JSON can hold it; tensors are put aside under the name of their place."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"__float__": repr(float(value))}
    if isinstance(value, Tensor):
        value = value.detach()
        key = (value.data_ptr(), value.shape, value.stride(), value.dtype.name)
        name = places.get(key) if value.numel() else None
        if name is None:
            name = places[key] = place
            tensors[place] = value
        return {"__tensor__": name}
    if isinstance(value, Mapping):
        plain = all(isinstance(key, str) and key not in _MARKS for key in value)
        packed = [(k, _pack(v, f"{place}.{k}", tensors, places)) for k, v in value.items()]
        if plain:
            return dict(packed)
        good = all(type(key) in (int, str) for key in value)
        expect(good, save_checkpoint, f"texts or integers as keys of {place}", list(value)[:3],
               ArgumentError)  # fmt: skip
        return {"__map__": [list(pair) for pair in packed]}
    if isinstance(value, (list, tuple)):
        items = [_pack(v, f"{place}.{i}", tensors, places) for i, v in enumerate(value)]
        return {"__tuple__": items} if isinstance(value, tuple) else items
    wanted = f"numbers, texts, tensors, lists or dicts in {place}"
    raise ArgumentError(f"save_checkpoint: expected {wanted}, got {type(value).__name__}")


def _unpack(value: Any, place: str, tensors: SafetensorsFile, depth: int) -> Any:
    path = tensors.path
    if depth > 100:
        raise FormatError(path, place, "at most 100 levels", "more")
    if isinstance(value, list):
        return [_unpack(v, f"{place}.{i}", tensors, depth + 1) for i, v in enumerate(value)]
    if not isinstance(value, dict):
        return value
    mark = next((key for key in _MARKS if key in value), None)
    if mark is None:
        return {k: _unpack(v, f"{place}.{k}", tensors, depth + 1) for k, v in value.items()}
    held = value[mark]
    ok = len(value) == 1
    if mark == "__tensor__" and ok and isinstance(held, str):
        return tensors.tensor(held)
    if mark == "__float__" and ok and held in ("inf", "-inf", "nan"):
        return float(held)
    if mark == "__tuple__" and ok and isinstance(held, list):
        return tuple(_unpack(held, place, tensors, depth))
    if mark == "__map__" and ok and isinstance(held, list):
        pairs = all(
            isinstance(pair, list) and len(pair) == 2 and type(pair[0]) in (int, str)
            for pair in held
        )
        if pairs:
            return {k: _unpack(v, f"{place}.{k}", tensors, depth + 1) for k, v in held}
    raise FormatError(path, shown(place), f"a value of {mark}", shown(value))


def _open(folder: str) -> tuple[dict[str, Any], SafetensorsFile]:
    """The parts and the open tensors; read again when a save came between the two files."""
    for attempt in (0, 1, 2):
        name, tree = _read_state(os.path.join(folder, STATE))
        place = os.path.join(folder, name)
        if attempt == 2 or os.path.exists(place):
            break
    return tree, open_safetensors(place)


def _read_state(path: str) -> tuple[str, dict[str, Any]]:
    file = FileMap(path)
    try:
        if file.size > MAX_STATE:
            raise FormatError(path, "file", f"at most {MAX_STATE} bytes", file.size)
        raw = bytes(file.buffer)
    finally:
        file.close()
    try:
        state = json.loads(raw.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FormatError(path, "file", "valid JSON in UTF-8", shown(str(error))) from error
    if not isinstance(state, dict) or state.get("tallow_checkpoint") != VERSION:
        got = state.get("tallow_checkpoint") if isinstance(state, dict) else shown(state)
        raise FormatError(path, "tallow_checkpoint", f"version {VERSION}", shown(got))
    name, tree = state.get("tensors"), state.get("parts")
    if not isinstance(name, str) or not _TENSORS.fullmatch(name):
        raise FormatError(path, "tensors", "a file of this folder", shown(name))
    if not isinstance(tree, dict):
        raise FormatError(path, "parts", "an object", shown(tree))
    return name, tree


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
