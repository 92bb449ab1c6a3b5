"""What each opcode of a pickle does to a `Machine`, as far as checkpoints use it.

Those of protocol 0 for texts are absent: PyTorch cannot write a storage with it.

Source: Python's `pickletools` (the opcodes and their arguments), PEP 307, PEP 3154, PEP 574.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final

from tallow.errors import FormatError
from tallow.formats.torch_pickle.machine import MARK, Machine, apply, fill_numpy
from tallow.formats.torch_pickle.opcodes_plain import STEPS, U8, U32, U64, step
from tallow.formats.torch_pickle.values import Global, NumpyArray, NumpyType, Record, described

MAX_DEPTH: Final = 1000  # marks; Python's own pickler cannot nest deeper

_STOP: Final = ord(".")

_OTHERS = {
    ord("S"): "STRING",
    ord("V"): "UNICODE",
    ord("P"): "PERSID",
    ord("i"): "INST",
    ord("o"): "OBJ",
    0x82: "EXT1",
    0x83: "EXT2",
    0x84: "EXT4",
    0x97: "NEXT_BUFFER",
    0x98: "READONLY_BUFFER",
}


def run(m: Machine) -> Any:
    """The object that the pickle describes; `m.at` is then the byte after it.

    Raises:
        FormatError: truncated, an opcode that checkpoints do not use, or a name off the list.
    """
    data, steps, end = m.data, STEPS, m.end
    while True:
        if m.at >= end:
            m.fail("an opcode", "the end of the data")
        code = data[m.at]
        m.at += 1
        if code == _STOP:
            break
        m.step = action = steps.get(code)
        if action is None:
            got = _OTHERS.get(code, f"byte {code:#04x}")
            field = f"{m.where} at byte {m.at - 1}"
            raise FormatError(m.path, field, "an opcode of checkpoints", got)
        action(m)
    m.step = None
    if len(m.stack) != 1 or m.frames:
        m.fail("one object at the end", f"{len(m.stack)}, {len(m.frames)} marks")
    return m.stack.pop()


# --- frames and the stack -------------------------------------------------------------------------


@step(0x80)
def _proto(m: Machine) -> None:
    version = m.number(U8)
    m.check(version <= 5, "protocol 5 or lower", version)


@step(0x95)
def _frame(m: Machine) -> None:
    size = m.number(U64)
    m.check(size <= m.end - m.at, f"a frame of at most {m.end - m.at} bytes", size)


@step("(")
def _mark(m: Machine) -> None:
    m.need(len(m.frames) < MAX_DEPTH, f"at most {MAX_DEPTH} nested containers", "more")
    m.spend(MARK)
    m.frames.append(m.stack)
    m.stack = []


@step("0")
def _pop(m: Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.since_mark()


@step("1")
def _pop_mark(m: Machine) -> None:
    m.since_mark()


@step("2")
def _dup(m: Machine) -> None:
    m.stack.append(m.top())


# --- the memo -------------------------------------------------------------------------------------


def _put(m: Machine, index: int) -> None:
    value = m.top()
    if index == len(m.memo):
        m.memo.append(value)
    elif index < len(m.memo):
        m.memo[index] = value
    else:
        m.spend(120)
        m.far[index] = value


def _get(m: Machine, index: int) -> None:
    if index < len(m.memo):
        m.stack.append(m.memo[index])
    elif index in m.far:
        m.stack.append(m.far[index])
    else:
        m.fail("a memo entry that was set", index)


def _index(m: Machine) -> int:
    text = m.line()
    m.check(text.isascii() and text.isdecimal() and len(text) < 10, "a memo index", text)
    return int(text)


@step("q")
def _binput(m: Machine) -> None:
    _put(m, m.number(U8))


@step("r")
def _long_binput(m: Machine) -> None:
    _put(m, m.number(U32))


@step("p")
def _text_put(m: Machine) -> None:
    _put(m, _index(m))


@step(0x94)
def _memoize(m: Machine) -> None:
    _put(m, len(m.memo))


@step("h")
def _binget(m: Machine) -> None:
    _get(m, m.number(U8))


@step("j")
def _long_binget(m: Machine) -> None:
    _get(m, m.number(U32))


@step("g")
def _text_get(m: Machine) -> None:
    _get(m, _index(m))


# --- containers -----------------------------------------------------------------------------------


def _push_tuple(m: Machine, values: list[Any]) -> None:
    m.spend(48 + 8 * len(values))
    m.stack.append(tuple(values))


@step(")")
def _empty_tuple(m: Machine) -> None:
    m.stack.append(())


@step("t")
def _tuple(m: Machine) -> None:
    _push_tuple(m, m.since_mark())


@step(0x85)
def _tuple1(m: Machine) -> None:
    _push_tuple(m, [m.pop()])


@step(0x86)
def _tuple2(m: Machine) -> None:
    second = m.pop()
    _push_tuple(m, [m.pop(), second])


@step(0x87)
def _tuple3(m: Machine) -> None:
    third, second = m.pop(), m.pop()
    _push_tuple(m, [m.pop(), second, third])


@step("]")
def _empty_list(m: Machine) -> None:
    m.spend(60)
    m.stack.append([])


@step("l")
def _list(m: Machine) -> None:
    m.spend(64)
    m.stack.append(m.since_mark())


@step("a")
def _append(m: Machine) -> None:
    value = m.pop()
    _extend(m, [value])


@step("e")
def _appends(m: Machine) -> None:
    _extend(m, m.since_mark())


def _extend(m: Machine, values: list[Any]) -> None:
    target = m.top()
    if isinstance(target, Record):
        if target.values is None:
            target.values = []
        target = target.values
    m.check(isinstance(target, list | deque), "a list to append to", target)
    m.spend(8 * len(values))
    target.extend(values)


@step("}")
def _empty_dict(m: Machine) -> None:
    m.spend(64)
    m.stack.append({})


@step("d")
def _dict(m: Machine) -> None:
    values = m.since_mark()
    m.spend(64)
    m.stack.append({})
    _update(m, values)


@step("s")
def _setitem(m: Machine) -> None:
    value = m.pop()
    _update(m, [m.pop(), value])


@step("u")
def _setitems(m: Machine) -> None:
    _update(m, m.since_mark())


def _update(m: Machine, values: list[Any]) -> None:
    m.need(len(values) % 2 == 0, "keys and values in pairs", f"{len(values)} objects")
    target = m.top()
    if isinstance(target, Record):
        if target.entries is None:
            target.entries = {}
        target = target.entries
    m.check(isinstance(target, dict), "a dict to set items of", target)
    m.spend((0 if target else 120) + 24 * len(values))
    for position in range(0, len(values), 2):
        m.put(target, values[position], values[position + 1])


@step(0x8F)
def _empty_set(m: Machine) -> None:
    m.spend(216)
    m.stack.append(set())


@step(0x90)
def _additems(m: Machine) -> None:
    values, target = m.since_mark(), m.top()
    m.check(isinstance(target, set), "a set to add to", target)
    m.spend(32 * len(values))
    m.members(target, values)


@step(0x91)
def _frozenset(m: Machine) -> None:
    values = m.since_mark()
    m.spend(216 + 32 * len(values))
    m.stack.append(frozenset(m.members(set(), values)))


# --- names, and what is done with them ------------------------------------------------------------


@step("c")
def _global(m: Machine) -> None:
    module = m.line()
    m.stack.append(m.find(module, m.line()))


@step(0x93)
def _stack_global(m: Machine) -> None:
    name, module = m.pop(), m.pop()
    m.check(isinstance(module, str) and isinstance(name, str), "two texts", (module, name))
    m.stack.append(m.find(module, name))


@step("R")
def _reduce(m: Machine) -> None:
    args = m.pop()
    m.stack.append(apply(m, m.pop(), args))


@step(0x81)
def _newobj(m: Machine) -> None:
    args = m.pop()
    _new(m, m.pop(), args)


@step(0x92)
def _newobj_ex(m: Machine) -> None:
    named, args = m.pop(), m.pop()
    m.check(isinstance(named, dict) and not named, "no arguments by name", named)
    _new(m, m.pop(), args)


def _new(m: Machine, kind: Any, args: Any) -> None:
    m.check(isinstance(kind, Global) and kind.new is not None, "a name of a class", kind)
    m.check(isinstance(args, tuple), "a tuple of arguments", args)
    m.stack.append(kind.new(m, args))


@step("b")
def _build(m: Machine) -> None:
    state = m.pop()
    target = m.top()
    build = next((build for kind, build in _BUILDS.items() if isinstance(target, kind)), None)
    if build is None:
        m.fail("an object that takes a state", described(target))
    build(m, target, state)


def _build_dict(m: Machine, target: OrderedDict[Any, Any], state: Any) -> None:
    m.check(isinstance(state, dict), "a dict as state", state)
    m.spend(64 + 100 * len(state))
    for name, value in state.items():
        # An attribute must not hide a method: `_metadata` of a state dict is the usual one.
        m.check(isinstance(name, str) and not hasattr(target, name), "a new attribute", name)
        setattr(target, name, value)


def _build_record(m: Machine, target: Record, state: Any) -> None:
    parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    if all(part is None or isinstance(part, dict) for part in parts):
        for part in parts:
            m.spend(100 * len(part or ()))
            m.check(all(isinstance(name, str) for name in part or ()), "names as keys", part)
            target.attributes.update(part or {})
    else:
        target.attributes["state"] = state  # a class that pickles itself in its own way


def _build_numpy_type(m: Machine, target: NumpyType, state: Any) -> None:
    m.check(isinstance(state, tuple) and len(state) >= 3, "the state of a dtype", state)
    order, *inner = state[1:5]
    m.check(order in ("<", ">", "|", "="), "a byte order", order)
    m.need(not any(inner), "a plain dtype", "one with fields")
    target.order = "<" if order == "=" else order


def _build_numpy_array(m: Machine, target: NumpyArray, state: Any) -> None:
    m.check(isinstance(state, tuple) and len(state) == 5, "the state of an array", state)
    fill_numpy(m, target, *state[1:])


_BUILDS: dict[type, Callable[[Machine, Any, Any], None]] = {
    OrderedDict: _build_dict,
    Record: _build_record,
    NumpyType: _build_numpy_type,
    NumpyArray: _build_numpy_array,
}


@step("Q")
def _binpersid(m: Machine) -> None:
    if m.persistent is None:
        m.fail("no reference to data outside of the pickle", "one")
    m.stack.append(m.persistent(m, m.pop()))
