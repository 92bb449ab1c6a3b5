"""The state of a pickle interpreter that never imports, calls or builds what a file names.

Names lead to a table of our own functions and nowhere else. Time is linear in the bytes read, and
so is memory: shared objects are shared, every length is compared with what is left, and objects
that take many bytes for few are counted against what the file has paid for. `opcodes.py` has what
each opcode does.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn

from tallow.errors import FormatError
from tallow.formats.mapping import shown
from tallow.formats.torch_pickle.hashing import FEW, HashTable
from tallow.formats.torch_pickle.values import Global, NumpyArray, NumpyType, described

_MAX_LINE: Final = 1000  # bytes of an argument that ends with a line
_MAX_REPEATED: Final = 4096  # tuples that are a key again: no pickler writes one twice
_PAID: Final = 33  # bytes of memory that a byte of the file pays for: `]` and its memo are two
_FREE: Final = 1 << 18
MARK: Final = 64  # bytes of a mark, as long as it stands

_PYTHON2 = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy._core.multiarray": "numpy.core.multiarray",
    "numpy._core.numeric": "numpy.core.numeric",
    "torch.tensor": "torch._tensor",
}


class Machine:
    """Stack, memo and place of a run over one pickle in `data` that begins at byte `start`.

    `names` is the allow-list. `persistent` gives the object of a persistent id, `tensor` what
    stands in the result for a rebuilt tensor.
    """

    def __init__(
        self,
        path: str,
        where: str,
        data: memoryview,
        names: Mapping[str, Any],
        *,
        start: int = 0,
        persistent: Callable[[Machine, Any], Any] | None = None,
        tensor: Callable[[Any], Any] | None = None,
    ) -> None:
        self.path, self.where = path, where
        self.data, self.start, self.at, self.end = data, start, start, len(data)
        self.names, self.persistent, self.tensor = names, persistent, tensor
        self.stack: list[Any] = []
        self.frames: list[list[Any]] = []
        self.memo: list[Any] = []
        self.far: dict[int, Any] = {}  # memo entries out of the usual order
        self.spent, self.repeated = 0, 0
        self._slots: dict[int, tuple[Any, HashTable]] = {}  # of large dicts and sets, by their id
        self.step: Callable[[Machine], None] | None = None  # what is being run

    # --- what the steps share ---------------------------------------------------------------------

    def fail(self, expected: object, got: object) -> NoReturn:
        """Raise the error of the opcode that is being run."""
        name = self.step.__name__.strip("_").upper() if self.step else "STOP"
        raise FormatError(self.path, f"{self.where} {name} at byte {self.at}", expected, got)

    def spend(self, cost: int) -> None:
        """Count memory that an object takes; a few bytes of file must not take megabytes."""
        self.spent += cost
        allowed = _FREE + _PAID * (self.at - self.start)
        if self.spent > allowed:
            self.fail(f"objects of at most {allowed} bytes until here", f"{self.spent} bytes")

    def take(self, count: int) -> memoryview:
        """The next `count` bytes."""
        begin, end = self.at, self.at + count
        if end > self.end:
            self.fail(f"{count} bytes", f"{self.end - begin}")
        self.at = end
        return self.data[begin:end]

    def number(self, form: struct.Struct) -> Any:
        """The next number of the form."""
        begin = self.at
        if self.end - begin < form.size:
            self.fail(f"{form.size} bytes", f"{self.end - begin}")
        self.at = begin + form.size
        return form.unpack_from(self.data, begin)[0]

    def line(self) -> str:
        """The text up to the end of the line."""
        piece = bytes(self.data[self.at : self.at + _MAX_LINE])
        end = piece.find(b"\n")
        if end < 0:
            self.fail(f"a line of less than {_MAX_LINE} bytes", "none")
        self.at += end + 1
        return self.text(piece[:end])

    def text(self, raw: bytes | memoryview) -> str:
        """The bytes as UTF-8."""
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError as error:
            self.fail("UTF-8", f"{error.reason} at byte {error.start}")

    def pop(self) -> Any:
        """Take the top of the stack."""
        if not self.stack:
            self.fail("a value on the stack", "none since the last mark")
        return self.stack.pop()

    def top(self) -> Any:
        """Look at the top of the stack."""
        if not self.stack:
            self.fail("a value on the stack", "none since the last mark")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        """Take all values since the last mark, and the mark."""
        if not self.frames:
            self.fail("a mark on the stack", "none")
        values, self.stack = self.stack, self.frames.pop()
        self.spent -= MARK
        return values

    def key(self, value: Any) -> Any:
        """`value`, when it may be a key or a member of a set: its hash is cheap and spreads well.

        Integers beyond 64 bits and tuples in tuples are refused: many of them can share a hash.
        What else collides, `put` finds out.
        """
        if isinstance(value, tuple):
            if len(value) > 64:
                self.fail("a tuple of at most 64 values as key", f"one of {len(value)}")
            if any(isinstance(item, tuple) for item in value):
                self.fail("a flat tuple as key", "a nested one")
            for item in value:
                self.key(item)
        elif isinstance(value, int):
            if not -(2**63) <= value < 2**64:
                self.fail("an integer of 64 bits as key", f"one of {value.bit_length()} bits")
        elif isinstance(value, _UNHASHABLE):
            self.fail("a text or number as key", described(value))
        return value

    def put(self, target: dict[Any, Any], key: Any, value: Any) -> None:
        """Set an item, after a look at the key and at how many others it collides with."""
        key = self.key(key)
        if type(key) not in _SALTED:
            self._weigh(target, key)
        target[key] = value

    def members(self, target: set[Any], values: Iterable[Any]) -> set[Any]:
        """Add to a set, as `put` to a dict."""
        for value in values:
            key = self.key(value)
            if type(key) not in _SALTED:
                self._weigh(target, key)
            target.add(key)
        return target

    def _weigh(self, target: Any, key: Any) -> None:
        """Count what it takes to find the place of a key whose hash a file can choose."""
        if key in target:
            self.repeated += isinstance(key, tuple)
            if self.repeated > _MAX_REPEATED:
                self.fail("tuples that are keys once", f"{self.repeated} that are again")
        elif len(target) >= FEW:
            self._slots_of(target, linear=isinstance(target, set)).add(key)

    def _slots_of(self, target: Any, *, linear: bool) -> HashTable:
        known = self._slots.get(id(target))
        if known is None:
            known = target, HashTable(target, linear=linear, refuse=self._collide)
            self._slots[id(target)] = known
        return known[1]

    def _collide(self, count: int) -> None:
        self.fail("keys whose hashes spread", f"{count} that were chosen to collide")

    def find(self, module: str, name: str) -> Any:
        """What stands for a name, when the table has it."""
        full = f"{_PYTHON2.get(module, module)}.{name}"
        found = self.names.get(full)
        if found is None and f"{module}.".startswith("__torch__."):
            found = self.names.get("__torch__.*")
            found = found and found(full)
        if found is None:
            wanted = f"one of the {len(self.names)} names that checkpoints need"
            got = (
                "one off that list: a whole module or another object of a class, which runs code"
                " when it is loaded (where it comes from, save the module's state_dict() instead;"
                " `records` can admit a class as an inert record)"
            )
            raise FormatError(self.path, f"global {shown(full, 100)}", wanted, got)
        return found

    def check(self, ok: bool, expected: object, got: object) -> None:
        """Refuse the value `got` from the file unless `ok`."""
        if not ok:
            self.fail(expected, described(got))

    def need(self, ok: bool, expected: object, got: str) -> None:
        """Refuse what the words `got` say of the file unless `ok`."""
        if not ok:
            self.fail(expected, got)


_SALTED = (str, bytes)
_UNHASHABLE = (list, dict, set, frozenset, bytearray, complex, slice, deque, NumpyArray)


def apply(m: Machine, function: Any, args: Any) -> Any:
    """What our function for a name makes of the arguments."""
    m.check(isinstance(function, Global) and function.call is not None, "a name to call", function)
    m.check(isinstance(args, tuple), "a tuple of arguments", args)
    return function.call(m, args)


def fill_numpy(
    m: Machine, target: NumpyArray, shape: Any, kind: Any, fortran: Any, raw: Any
) -> None:
    """Give an array of numpy its content, after checking that it fits."""
    m.check(isinstance(kind, NumpyType), "a dtype of numpy", kind)
    raw = as_bytes(m, raw)
    m.check(isinstance(shape, tuple) and len(shape) <= 32, "a shape", shape)
    count = 1
    for size in shape:
        m.check(type(size) is int and 0 <= size < 2**63, "a length", size)
        count *= size
    m.need(count * kind.size == len(raw), f"{len(raw)} bytes, as there are", f"{count} elements")
    m.check(bool(kind.size) or not count, "elements of at least a byte", kind)
    target.dtype, target.shape = f"{kind.order}{kind.code}", shape
    target.fortran, target.data = bool(fortran), raw


def as_bytes(m: Machine, raw: Any) -> bytes:
    """Bytes as they are; a text, which Python 2 did not tell from them, and a copy are paid for."""
    m.check(isinstance(raw, str | bytes | bytearray), "bytes of plain numbers", raw)
    if not isinstance(raw, bytes):
        m.spend(len(raw))
    return raw.encode() if isinstance(raw, str) else bytes(raw)
