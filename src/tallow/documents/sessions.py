"""The packaged ONNX models that the steps run, each loaded once in a process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

Run: TypeAlias = Callable[..., Sequence[Any]]
"""A model: numpy arrays in, in the order of its inputs, and numpy arrays out."""

_loaded: dict[tuple[str, str, bool], Run] = {}
_lock = threading.Lock()


def load_with_tallow(path: Path, *, likeliest: bool = False) -> Run:
    """An ONNX file as a function of numpy arrays, by Tallow; `likeliest` as `model` takes it."""
    from tallow import onnx

    if likeliest:
        from tallow.autograd.mode import no_grad
        from tallow.borrowing import to_numpy
        from tallow.onnx.likeliest import likeliest as opened

        model = opened(path)

        def run_model(*arrays: Any) -> Sequence[Any]:
            with no_grad():
                return [to_numpy(each) for each in model(*arrays)]

        return run_model
    session = onnx.InferenceSession(path)
    names = [each.name for each in session.get_inputs()]

    def run(*arrays: Any) -> Sequence[Any]:
        return session.run(None, dict(zip(names, arrays, strict=True)))

    return run


load: Callable[..., Run] = load_with_tallow
"""What opens a file, called as `load_with_tallow`.

The benchmark puts ONNX Runtime here, to compare the same pipeline.
"""


def model(ref: str, file: str = "", *, likeliest: bool = False) -> Run:
    """The model of an alias or reference, fetched and loaded when it is first asked for.

    `file` names the one that is meant of a reference to a folder. `likeliest` is for a model of one
    output: in its place come the places of its largest elements along the last axis, and these
    elements, which takes less time where it ends in the probabilities of many classes.

    Raises:
        HubError, FormatError: as `tallow.hub.resolve` and `tallow.onnx.load`.
    """
    with _lock:
        found = _loaded.get((ref, file, likeliest))
        if found is None:
            from tallow.hub import resolve

            given = {"likeliest": True} if likeliest else {}
            found = _loaded[ref, file, likeliest] = load(resolve(ref) / file, **given)
        return found


def metadata(ref: str, file: str = "") -> dict[str, str]:
    """What a model's file says of itself in its properties, whatever runs it.

    Raises:
        HubError, FormatError: as `model`.
    """
    from tallow.formats.onnx import open_onnx
    from tallow.hub import resolve

    return dict(open_onnx(resolve(ref) / file).metadata)


def forget() -> None:
    """Let go of every loaded model."""
    with _lock:
        _loaded.clear()
