"""Write an object of plain values and tensors as a pickle that PyTorch reads.

Source: Python's `pickletools`; torch/_tensor.py and torch/serialization.py of PyTorch 2.13 for what
a tensor is reduced to.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tallow._native import Size
from tallow.dtype import DType
from tallow.errors import ArgumentError, DTypeError
from tallow.formats.lazy import LazyTensor, described
from tallow.formats.torch_pickle.values import DTYPES, STORAGES, SUPPORTED

if TYPE_CHECKING:
    from tallow.tensor import Tensor

MAX_DEPTH: Final = 200

# Our dtype → PyTorch's name, and its storage class where it has one of its own.
TORCH_NAMES: Final = {DTYPES[name][0]: name for name in SUPPORTED}
_CLASSES = {dtype: kind for kind, dtype in STORAGES.items() if kind != "UntypedStorage"}


class StorageView(NamedTuple):
    """Where a tensor will lie in storage `key` of `length` elements; strides count elements."""

    key: str
    length: int
    offset: int
    strides: tuple[int, ...]


def torch_dtype(dtype: str) -> str:
    """PyTorch's name of our dtype; DTypeError for one that it lacks."""
    name = TORCH_NAMES.get(dtype)
    if name is None:
        known = " ".join(TORCH_NAMES)
        raise DTypeError(f"save_torch: expected one of {known}, got {dtype}")
    return name


class Pickler:
    """Writes one object with protocol 2; `places` tells where each tensor (by id) will lie.

    Shared and self-containing objects stay so. Raises ArgumentError for what `torch.load` with
    `weights_only=True` would refuse.
    """

    def __init__(self, places: dict[int, StorageView]) -> None:
        self.places = places
        self.out = bytearray(b"\x80\x02")
        self._memo: dict[int, int] = {}
        self._texts: dict[str, int] = {}
        self._names: dict[tuple[str, str], int] = {}
        self._count = 0
        self._depth = 0

    def pickle(self, root: Any) -> bytes:
        """The pickle of `root`."""
        self._put(root)
        return bytes(self.out + b".")

    def _remember(self) -> int:
        index = self._count
        self._count += 1
        self.out += bytes((ord("q"), index)) if index < 256 else b"r" + struct.pack("<I", index)
        return index

    def _recall(self, index: int) -> None:
        self.out += bytes((ord("h"), index)) if index < 256 else b"j" + struct.pack("<I", index)

    def _name(self, module: str, name: str) -> None:
        if (module, name) in self._names:
            self._recall(self._names[module, name])
            return
        self.out += f"c{module}\n{name}\n".encode()
        self._names[module, name] = self._remember()

    def _put(self, value: Any) -> None:
        from tallow.tensor import Tensor

        if id(value) in self._memo:
            self._recall(self._memo[id(value)])
            return
        if self._depth >= MAX_DEPTH:
            raise ArgumentError(f"save_torch: expected at most {MAX_DEPTH} levels, got more")
        self._depth += 1
        if isinstance(value, Tensor | LazyTensor):
            self._tensor(value)
        else:
            write = next((write for kind, write in _WRITERS if isinstance(value, kind)), None)
            if write is None:
                wanted = "tensors, numbers, texts, bytes, None, and dicts, lists, tuples of them"
                raise ArgumentError(f"save_torch: expected {wanted}, got a {type(value).__name__}")
            write(self, value)
        self._depth -= 1

    # --- values -----------------------------------------------------------------------------------

    def _none(self, _: None) -> None:
        self.out += b"N"

    def _bool(self, value: bool) -> None:
        self.out += b"\x88" if value else b"\x89"

    def _int(self, value: int) -> None:
        value = int(value)
        if 0 <= value < 256:
            self.out += bytes((ord("K"), value))
        elif 0 <= value < 65536:
            self.out += b"M" + struct.pack("<H", value)
        elif -(2**31) <= value < 2**31:
            self.out += b"J" + struct.pack("<i", value)
        else:
            raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            if len(raw) > 255:
                raise ArgumentError(f"save_torch: expected 255 bytes a number, got {len(raw)}")
            self.out += bytes((0x8A, len(raw))) + raw

    def _float(self, value: float) -> None:
        self.out += b"G" + struct.pack(">d", value)

    def _complex(self, value: complex) -> None:
        self._name("__builtin__", "complex")
        self._float(value.real)
        self._float(value.imag)
        self.out += b"\x86R"

    def _str(self, value: str) -> None:
        value = str(value)
        if value in self._texts:
            self._recall(self._texts[value])
            return
        try:
            raw = value.encode()
        except UnicodeEncodeError:
            raise ArgumentError("save_torch: expected text that UTF-8 can hold") from None
        if len(raw) >= 2**32:
            raise ArgumentError("save_torch: expected a text below 4 GiB")
        self.out += b"X" + struct.pack("<I", len(raw)) + raw
        self._texts[value] = self._remember()

    def _bytes(self, value: bytes) -> None:
        # Protocol 2 has no bytes: they are a text of the characters 0 to 255, to be encoded.
        self._name("_codecs", "encode")
        self._str(value.decode("latin-1"))
        self._str("latin1")
        self.out += b"\x86R"

    def _dtype(self, value: DType) -> None:
        self._name("torch", torch_dtype(value.name))

    # --- containers -------------------------------------------------------------------------------

    def _dict(self, value: dict[Any, Any]) -> None:
        if isinstance(value, OrderedDict):
            self._name("collections", "OrderedDict")
            self.out += b")R"
        else:
            self.out += b"}"
        self._memo[id(value)] = self._remember()
        if value:
            self.out += b"("
            for key, item in value.items():
                self._put(key)
                self._put(item)
            self.out += b"u"
        attributes = getattr(value, "__dict__", None)
        if isinstance(value, OrderedDict) and attributes:
            self._put(attributes)  # `_metadata` of a state dict
            self.out += b"b"

    def _list(self, value: list[Any]) -> None:
        self.out += b"]"
        self._memo[id(value)] = self._remember()
        if value:
            self.out += b"("
            for item in value:
                self._put(item)
            self.out += b"e"

    def _tuple(self, value: tuple[Any, ...]) -> None:
        if not value:
            self.out += b")"
            return
        few = len(value) <= 3
        self.out += b"" if few else b"("
        for item in value:
            self._put(item)
        if id(value) in self._memo:  # `torch.load` lacks the opcode that such a one needs
            raise ArgumentError("save_torch: expected no tuple that contains itself, got one")
        self.out += (b"\x85", b"\x86", b"\x87")[len(value) - 1] if few else b"t"
        self._memo[id(value)] = self._remember()

    def _size(self, value: Size) -> None:
        self._name("torch", "Size")
        self._sizes(value)
        self.out += b"\x85R"
        self._memo[id(value)] = self._remember()

    def _set(self, value: set[Any]) -> None:
        self._name("__builtin__", "set")
        self.out += b"](" if value else b"]"
        for item in value:
            self._put(item)
        self.out += b"e\x85R" if value else b"\x85R"
        self._memo[id(value)] = self._remember()

    # --- tensors ----------------------------------------------------------------------------------

    def _tensor(self, value: Tensor | LazyTensor) -> None:
        ours, shape = described(value)
        place, dtype = self.places[id(value)], torch_dtype(ours)
        kind = _CLASSES.get(dtype)
        self._name("torch._utils", f"_rebuild_tensor_v{2 if kind else 3}")
        self.out += b"(("
        self._str("storage")
        if kind:
            self._name("torch", kind)
        else:
            self._name("torch.storage", "UntypedStorage")
        self._str(place.key)
        self._str("cpu")
        self._int(place.length * (1 if kind else DTYPES[dtype][1]))
        self.out += b"tQ"
        self._int(place.offset)
        self._sizes(shape)
        self._sizes(place.strides)
        self._bool(bool(getattr(value, "requires_grad", False)))
        self._name("collections", "OrderedDict")
        self.out += b")R"
        if not kind:
            self._name("torch", dtype)
        self.out += b"tR"
        self._memo[id(value)] = self._remember()

    def _sizes(self, sizes: tuple[int, ...]) -> None:
        self.out += b"("
        for size in sizes:
            self._int(size)
        self.out += b"t"


# In this order: a bool is an int, an OrderedDict a dict, a Size a tuple.
_WRITERS: tuple[tuple[type, Callable[[Pickler, Any], None]], ...] = (
    (type(None), Pickler._none),
    (bool, Pickler._bool),
    (int, Pickler._int),
    (float, Pickler._float),
    (complex, Pickler._complex),
    (str, Pickler._str),
    (bytes, Pickler._bytes),
    (DType, Pickler._dtype),
    (dict, Pickler._dict),
    (list, Pickler._list),
    (Size, Pickler._size),
    (tuple, Pickler._tuple),
    (set, Pickler._set),
)
