"""The exceptions of Tallow and `expect`, which refuses an argument in one uniform sentence."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any


class TallowError(Exception):
    """Base of every error that Tallow raises on purpose; its text is one clear sentence."""


class ShapeError(TallowError, ValueError, RuntimeError):
    """An array has the wrong shape, stride or number of dimensions (PyTorch: RuntimeError)."""


class DTypeError(TallowError, TypeError, RuntimeError):
    """A dtype or a kind of argument that the operation has no meaning for.

    PyTorch raises a TypeError or a RuntimeError.
    """


class NoKernelError(DTypeError, NotImplementedError):
    """An operation that is not there for this dtype (PyTorch: NotImplementedError)."""


class ArgumentError(TallowError, ValueError, RuntimeError):
    """An argument has a value that is out of range (PyTorch: ValueError or RuntimeError)."""


class CaptureError(ArgumentError):
    """What a function does that a plan of it cannot hold, such as reading a value of an input."""


class UnsupportedCaseError(ShapeError, ArgumentError, NotImplementedError):
    """A mode that is not there for so many axes (PyTorch: NotImplementedError)."""


class NameTakenError(ArgumentError, KeyError):
    """A name that means something else already, or that cannot be one."""

    __str__ = Exception.__str__  # a KeyError would show the text in quotes


class NoEntryError(TallowError, KeyError, AttributeError):
    """A name under which a container of parameters holds nothing."""

    __str__ = Exception.__str__


class FormatError(TallowError, ValueError, RuntimeError):
    """A file is not what it claims to be: truncated, hostile, or of an unsupported version.

    The text names the file, the field, what was expected and what was found.
    """

    def __init__(self, path: object, field: str, expected: object, got: object) -> None:
        super().__init__(f"{path}: {field}: expected {expected}, got {got}")
        self.path, self.field, self.expected, self.got = str(path), field, expected, got

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.path, self.field, self.expected, self.got))


class MissingFileError(FormatError, FileNotFoundError):
    """A file or the folder for one is not there."""


class SharedMemoryError(TallowError, RuntimeError):
    """Tensors share memory where each must have its own, or do not where they must."""


class NoAxisError(ShapeError, TypeError):
    """The length or the rows of a tensor without axes."""


class LinAlgError(ArgumentError):
    """A matrix for which there is no such decomposition or solution."""


class IndexRangeError(ShapeError, IndexError):
    """An index lies outside its axis, an axis is not there, or there are more indices than axes."""


class IndexKindError(IndexRangeError, TypeError):
    """Something that is no index at all, such as text."""


class OutOfMemoryError(TallowError, MemoryError, RuntimeError):
    """An array does not fit into memory."""


class DeviceError(ArgumentError):
    """A device that can be named and is not there to be used."""


class GradError(TallowError, RuntimeError):
    """A gradient that cannot be had: no graph, one used up, a saved tensor changed in place."""


class ModelError(TallowError, ValueError, RuntimeError):
    """Weights or a config do not fit: unknown architecture, missing or misshapen tensors."""


class ConfigWarning(UserWarning):
    """A model's config holds keys that nothing here knows; they are not used."""


class ContextError(TallowError, ValueError):
    """The prompt does not fit into the model's context."""


class NonFiniteError(TallowError, FloatingPointError):
    """A model computed NaN or infinity where a number is needed to go on."""


class HubError(TallowError, OSError):
    """A model reference cannot be turned into a local file: hub down, wrong checksum, no space."""


class MissingExtraError(TallowError, ImportError):
    """An optional dependency is not installed; the text gives the `pip install` line."""


def expect(
    ok: bool, where: object, wanted: str, got: object, error: type[TallowError] = ShapeError
) -> None:
    """Raise `error` with the text `where: expected wanted, got got` unless `ok`.

    `where` is an op row, a function or a string; its `__name__` is used when it has one.
    """
    if not ok:
        name = getattr(where, "__name__", where)
        raise error(f"{name}: expected {wanted}, got {_plain(got)}")


def _plain(got: object) -> object:
    """Tuples and lists of shapes as those of tuples, which do not show their class."""
    if type(got) is list:
        return [_plain(each) for each in got]
    if type(got) is tuple:
        return tuple([_plain(each) for each in got])
    return tuple(got) if isinstance(got, tuple) else got


def deprecated(text: str) -> None:
    """Warn of what will go with the next release, at the line outside Tallow that uses it."""
    import warnings

    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("tallow."):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, DeprecationWarning, stacklevel=level)


def show_in_one_line(error: TallowError) -> None:
    """Let `error`, when nobody catches it, end the program in one line without a traceback.

    For what no line of the program is to blame for, such as a variable of the environment.
    """
    before = sys.excepthook

    def hook(kind: type[BaseException], raised: BaseException, trace: TracebackType | None) -> None:
        if raised is error:
            print(f"error: {error}", file=sys.stderr)
        else:
            before(kind, raised, trace)

    sys.excepthook = hook
