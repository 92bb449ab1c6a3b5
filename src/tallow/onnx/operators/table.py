"""The table of operators: a row is a function for one operator and a range of opsets.

A function's positional parameters are the operator's inputs, in their order (`None` for one that is
left out, `*xs` for any number); its keyword-only parameters are the attributes, with the standard's
defaults (none: the attribute is required). Three keyword-only names are no attributes: `outputs`,
how many outputs the node has; `wanted`, for each of them whether something uses it; `opset`, of the
operator's domain. It gives one value, or a tuple or list of several.

A value is a Tensor; a numpy array, where the element type is no dtype of ours (strings, 4-bit
integers, …); a list (a sequence); a dict (a map); or None (an optional without a value). `reads`
names the inputs whose elements are needed as Python numbers: these are given as `tolist` gives
them, numbers or nested lists. Rows with `host=True` take numpy arrays, too; others never see one.
Rows with `capture=False` are never recorded in a plan: they draw random numbers, or have state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from tallow.errors import ArgumentError, ModelError
from tallow.lazy_dataclasses import dataclass

Function = TypeVar("Function", bound=Callable[..., Any])

LAST_OPSET: Final = 1 << 30
_PASSED: Final = ("outputs", "wanted", "opset")
REQUIRED: Final = object()  # in the place of a default where there is none


@dataclass(frozen=True, eq=False)
class Row:
    """An operator of a domain from opset `since` to opset `until`, both included."""

    domain: str
    op_type: str
    since: int
    until: int
    function: Callable[..., Any]
    inputs: tuple[str, ...]
    variadic: bool
    needed: int  # inputs that may not be left out
    attributes: dict[str, Any]  # with defaults, or REQUIRED
    keywords: dict[str, str]  # what the function calls those that it cannot call by their names
    passed: tuple[str, ...]  # of `outputs`, `wanted` and `opset`
    reads: frozenset[str]
    host: bool
    capture: bool
    replaced: bool = False  # a program's in the place of ours: no pass knows what it does

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied and pickled as what the table has: a function may be one of a user's."""
        return _again, (self.domain, self.op_type, self.since)


_OURS: Final = ("", "ai.onnx.ml", "com.microsoft", "tallow")  # domains with rows of ours
_Rows = dict[tuple[str, str], list[Row]]
_ROWS: _Rows = {}
_OWN: _Rows = {}  # of programs: they come before ours


def operator(
    op_type: str,
    since: int = 1,
    until: int = LAST_OPSET,
    *,
    domain: str = "",
    reads: Iterable[str] = (),
    host: bool = False,
    capture: bool = True,
) -> Callable[[Function], Function]:
    """Decorate a function as the row of an operator; stack it for several operators."""
    return _adding(_ROWS, op_type, since, until, domain, frozenset(reads), host, capture)


def own_operator(
    op_type: str,
    since: int = 1,
    until: int = LAST_OPSET,
    *,
    domain: str = "",
    reads: Iterable[str] = (),
    host: bool = False,
    capture: bool = True,
    replace: bool = False,
) -> Callable[[Function], Function]:
    """Decorate a function as an operator of a program, for opsets `since` to `until` of a domain.

    Positional parameters are its inputs (None for one that is left out), keyword-only ones its
    attributes with their defaults; the result is a tensor, or a tuple of several. `reads` names
    inputs that are given as Python numbers, since shapes depend on their elements; `host=True`
    takes numpy arrays where there is no dtype (strings, 4 bits); `capture=False` keeps a function
    that draws numbers, or has a state, out of plans. Graphs that are loaded after that use it.

    Raises:
        ArgumentError: there is such an operator, and `replace` is not set.
    """
    if domain in _OURS:
        from tallow.onnx import operators

        operators.load_all()
    replaced = False
    for table in (_OWN, _ROWS):
        for row in [*table.get((domain, op_type), ())]:
            if row.since > until or since > row.until:
                continue
            if not replace:
                raise ArgumentError(
                    f"operator: expected an operator without a row, got {domain or 'ai.onnx'}."
                    f"{op_type}, which has one from opset {row.since} on (replace=True takes its "
                    "place)"
                )
            replaced |= row.replaced or table is _ROWS
            if table is _OWN:
                table[domain, op_type].remove(row)
    names = frozenset(reads)
    return _adding(_OWN, op_type, since, until, domain, names, host, capture, replaced)


def _adding(
    table: _Rows, op_type: str, since: int, until: int, domain: str, reads: frozenset[str],
    host: bool, capture: bool, replaced: bool = False,
) -> Callable[[Function], Function]:  # fmt: skip
    def add(function: Function) -> Function:
        row = _row(function, op_type, since, until, domain, reads, host, capture, replaced)
        rows = table.setdefault((domain, op_type), [])
        for other in rows:
            if row.since <= other.until and other.since <= row.until:
                raise ArgumentError(
                    f"operator: expected opsets without a row for {op_type}, "
                    f"got {max(row.since, other.since)} twice"
                )
        rows.append(row)
        return function

    return add


def _row(
    function: Any, op_type: str, since: int, until: int, domain: str, reads: frozenset[str],
    host: bool, capture: bool, replaced: bool,
) -> Row:  # fmt: skip
    inputs, needed, variadic, given = _parameters(function)
    passed = tuple(name for name in given if name in _PASSED)
    spelled = {name.removesuffix("_"): name for name in given if name not in _PASSED}
    attributes = {name: given[keyword] for name, keyword in spelled.items()}
    keywords = {name: keyword for name, keyword in spelled.items() if name != keyword}
    return Row(
        domain, op_type, since, until, function, inputs, variadic, needed, attributes,
        keywords, passed, reads, host, capture, replaced,
    )  # fmt: skip


def _parameters(function: Any) -> tuple[tuple[str, ...], int, bool, dict[str, Any]]:
    """Inputs, how many are needed, whether any number may follow; keywords with their defaults.

    Read of the code: the module `inspect`, which tells the same of every kind of callable, takes
    longer to import than a small model to load.
    """
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__") or hasattr(function, "__self__"):
        return _signature(function)
    names, count = code.co_varnames, code.co_argcount
    only = names[count : count + code.co_kwonlyargcount]
    defaults = function.__kwdefaults__ or {}
    needed = count - len(function.__defaults__ or ())
    variadic = bool(code.co_flags & 0x04)  # inspect.CO_VARARGS
    return names[:count], needed, variadic, {name: defaults.get(name, REQUIRED) for name in only}


def _signature(function: Any) -> tuple[tuple[str, ...], int, bool, dict[str, Any]]:
    import inspect

    inputs, needed, variadic, given = [], 0, False, {}
    for name, each in inspect.signature(function).parameters.items():
        if each.kind is each.VAR_POSITIONAL:
            variadic = True
        elif each.kind is not each.KEYWORD_ONLY:
            needed += each.default is each.empty
            inputs.append(name)
        else:
            given[name] = REQUIRED if each.default is each.empty else each.default
    return tuple(inputs), needed, variadic, given


def find(domain: str, op_type: str, opset: int) -> Row | None:
    """The row for an operator at an opset of its domain, or None."""
    for each in (_OWN, _ROWS):
        for row in each.get((domain, op_type), ()):
            if row.since <= opset <= row.until:
                return row
    return None


def _again(domain: str, op_type: str, opset: int) -> Row:
    from tallow.onnx import operators

    row = operators.find(domain, op_type, opset)
    if row is None:
        kind = f"{domain or 'ai.onnx'}.{op_type} of opset {opset}"
        raise ModelError(f"unpickle: expected that {kind} is registered, got no row")
    return row


def rows() -> list[Row]:
    """All rows, in the order in which they were registered."""
    return [row for table in (_OWN, _ROWS) for each in table.values() for row in each]


def forget(domain: str, op_type: str) -> list[Row]:
    """Take the rows that a program has registered for an operator out of the table."""
    return _OWN.pop((domain, op_type), [])
