"""Our functions for the names of Python's and numpy's own types in a pickle.

Sources: `pickletools` and `copyreg` of Python; numpy/_core/src/multiarray of numpy 2 for the state
of arrays and dtypes.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from functools import partial
from typing import Any

from tallow.formats.torch_pickle.machine import Machine, as_bytes, fill_numpy
from tallow.formats.torch_pickle.values import Global, NumpyArray, NumpyType

Call = Callable[[Machine, tuple[Any, ...]], Any]
CALLS: dict[str, Call] = {}


def _named(*names: str) -> Callable[[Call], Call]:
    def register(call: Call) -> Call:
        CALLS.update(dict.fromkeys(names, call))
        return call

    return register


def _mapping(kind: Callable[[], Any], m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(len(args) <= 1, "at most one argument", args)
    made = kind()
    m.spend(160)
    pairs = args[0] if args else ()
    m.check(isinstance(pairs, dict | list | tuple), "pairs of keys and values", pairs)
    for pair in pairs.items() if isinstance(pairs, dict) else pairs:
        m.check(isinstance(pair, tuple | list) and len(pair) == 2, "a key and a value", pair)
        m.spend(100)
        m.put(made, pair[0], pair[1])
    return made


CALLS["collections.OrderedDict"] = partial(_mapping, OrderedDict)
CALLS["collections.Counter"] = partial(_mapping, Counter)

_FACTORIES = {f"builtins.{kind.__name__}": kind for kind in (dict, list, set, int, float, str)}


@_named("collections.defaultdict")
def _defaultdict(m: Machine, args: tuple[Any, ...]) -> Any:
    first = args[0] if args else None
    name = first.name if isinstance(first, Global) else ""
    m.check(first is None or name in _FACTORIES, f"one of {' '.join(_FACTORIES)}", first)
    return _mapping(partial(defaultdict, _FACTORIES.get(name)), m, args[1:])


def _items(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(len(args) <= 1, "at most one argument", args)
    items = args[0] if args else ()
    m.check(isinstance(items, list | tuple | set | frozenset), "a list of items", items)
    m.spend(216 + 32 * len(items))
    return items


@_named("builtins.set")
def _set(m: Machine, args: tuple[Any, ...]) -> Any:
    return m.members(set(), _items(m, args))


@_named("builtins.frozenset")
def _frozenset(m: Machine, args: tuple[Any, ...]) -> Any:
    return frozenset(m.members(set(), _items(m, args)))


@_named("builtins.list")
def _list(m: Machine, args: tuple[Any, ...]) -> Any:
    return list(_items(m, args))


@_named("builtins.tuple")
def _tuple(m: Machine, args: tuple[Any, ...]) -> Any:
    return tuple(_items(m, args))


@_named("builtins.dict")
def _dict(m: Machine, args: tuple[Any, ...]) -> Any:
    return _mapping(dict, m, args)


@_named("collections.deque")
def _deque(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(len(args) <= 2, "items and a length", args)
    most = args[1] if len(args) == 2 else None
    m.check(most is None or (type(most) is int and 0 <= most < 2**63), "a length", most)
    m.spend(760)
    return deque(_items(m, args[:1]), most)


@_named("builtins.complex")
def _complex(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(len(args) == 2 and all(type(v) is float for v in args), "two floats", args)
    return complex(*args)


@_named("builtins.slice")
def _slice(m: Machine, args: tuple[Any, ...]) -> Any:
    fits = len(args) == 3 and all(value is None or type(value) is int for value in args)
    m.check(fits, "three whole numbers", args)
    return slice(*args)


@_named("_codecs.encode")
def _encode(m: Machine, args: tuple[Any, ...]) -> Any:
    """How protocol 2 writes bytes: as a text of the characters 0 to 255."""
    fits = len(args) == 2 and all(isinstance(value, str) for value in args)
    m.check(fits and args[1] in ("latin1", "latin-1"), "a text in latin1", args)
    m.spend(len(args[0]))
    try:
        return args[0].encode("latin-1")
    except UnicodeEncodeError:
        m.fail("characters below 256", "others")


@_named("builtins.bytearray")
def _bytearray(m: Machine, args: tuple[Any, ...]) -> Any:
    if len(args) == 2:
        args = (_encode(m, args),)
    m.check(len(args) <= 1 and all(isinstance(v, bytes | bytearray) for v in args), "bytes", args)
    m.spend(56 + sum(map(len, args)))
    return bytearray(*args)


@_named("builtins.bytes")
def _bytes(m: Machine, args: tuple[Any, ...]) -> Any:
    return bytes(_bytearray(m, args))


@_named("copyreg._reconstructor")
def _reconstructor(m: Machine, args: tuple[Any, ...]) -> Any:
    """How protocols 0 and 1 make an object of a class."""
    m.check(len(args) == 3 and args[2] is None, "a class, object and None", args)
    kind = args[0]
    m.check(isinstance(kind, Global) and kind.new is not None, "a name of a class", kind)
    return kind.new(m, ())


# --- numpy ----------------------------------------------------------------------------------------

_SCALARS = {"b1": "?", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I"}
_SCALARS |= {"i8": "q", "u8": "Q", "f2": "e", "f4": "f", "f8": "d"}


@_named("numpy.dtype")
def _numpy_dtype(m: Machine, args: tuple[Any, ...]) -> Any:
    code: Any = args[0] if args else None
    fits = isinstance(code, str) and len(code) < 9 and code[:1] != ""
    if fits and code not in _SCALARS and code not in ("c8", "c16"):
        fits = code[0] in "US" and code[1:].isascii() and code[1:].isdecimal()
    m.check(fits, "a plain dtype of numpy", code)
    m.spend(100)
    return NumpyType(str(code))


@_named("numpy.core.multiarray.scalar")
def _numpy_scalar(m: Machine, args: tuple[Any, ...]) -> Any:
    """The number or text itself, as Python has it."""
    m.check(len(args) == 2 and isinstance(args[0], NumpyType), "a dtype and its bytes", args)
    kind, raw = args[0], as_bytes(m, args[1])
    m.check(len(raw) == kind.size, f"{kind.size} bytes", raw)
    m.spend(len(raw))
    order = ">" if kind.order == ">" else "<"
    if kind.code in _SCALARS:
        return struct.unpack(order + _SCALARS[kind.code], raw)[0]
    if kind.code[0] == "c":
        return complex(*struct.unpack(order + ("2f" if kind.code == "c8" else "2d"), raw))
    if kind.code[0] == "S":
        return raw.rstrip(b"\0")
    try:
        return raw.decode("utf-32-be" if order == ">" else "utf-32-le").rstrip("\0")
    except UnicodeDecodeError as error:
        m.fail("a text of numpy", error.reason)


@_named("numpy.core.multiarray._reconstruct")
def _numpy_reconstruct(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(len(args) == 3, "3 arguments", args)
    is_array = isinstance(args[0], Global) and args[0].name == "numpy.ndarray"
    m.check(is_array, "numpy.ndarray", args[0])
    m.spend(64)
    return NumpyArray()


@_named("numpy.core.numeric._frombuffer")
def _numpy_frombuffer(m: Machine, args: tuple[Any, ...]) -> Any:
    m.check(len(args) == 4 and args[3] in ("C", "F"), "4 arguments", args)
    made = NumpyArray()
    m.spend(64)
    fill_numpy(m, made, args[2], args[1], args[3] == "F", args[0])
    return made
