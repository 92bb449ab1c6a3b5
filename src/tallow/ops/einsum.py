"""Products over named axes: einsum, tensordot, kron."""

from __future__ import annotations

from functools import lru_cache
from string import ascii_letters
from typing import Any

from ..errors import ArgumentError, expect
from ..numeric import promote_types
from ..registry import op
from ..tensor import Tensor
from .shape import axes_of, flat_tensors

_ELLIPSIS = "\0"  # axes of an ellipsis are named by this and their place from the end


@op
def einsum(equation: str | Tensor, *operands: Any) -> Tensor:
    """Sums of products over axes named by letters: `einsum("bij,bjk->bik", a, b)`.

    Axes may be numbered instead: `einsum(a, [0, 1], b, [1, 2], [0, 2])`, with `...` in the lists.

    An ellipsis stands for axes that broadcast, a letter twice in one operand for its diagonal;
    without "->" the letters that occur once remain, in alphabetical order. Operands are
    contracted from left to right, each pair by one batched matrix product.
    """
    if not isinstance(equation, str):
        equation, operands = _of_lists((equation, *operands))
    given = list(flat_tensors(operands))
    expect(len(given) > 0, einsum, "at least one operand", "none", ArgumentError)
    terms, result = _parse(equation, tuple([x.ndim for x in given]))
    dtype = given[0].dtype
    for x in given[1:]:
        if x.dtype is not dtype:
            dtype = promote_types(dtype, x.dtype)
    sizes: dict[str, int] = {}
    parts: list[tuple[list[str], Tensor]] = []
    for names, x in zip(terms, given, strict=True):
        names, x = _diagonals(names, x if x.dtype is dtype else x.to(dtype))
        for name, n in zip(names, x.shape, strict=True):
            known = sizes.setdefault(name, n)
            if known != n:
                if 1 not in (known, n):
                    said = f"sizes of {name!r} that agree ({known})"
                    expect(False, einsum, said, n, ArgumentError)
                sizes[name] = n if known == 1 else known
        parts.append((names, x))
    parts = [_without_ones(names, x, sizes) for names, x in parts]
    names, x = parts[0]
    for i, (other_names, other) in enumerate(parts[1:], 1):
        later = {name for more, _ in parts[i + 1 :] for name in more} | set(result)
        names, x = _contract(names, x, other_names, other, later)
    gone = [i for i, name in enumerate(names) if name not in result]
    if gone:  # of one operand as `sum`, which widens integers; else as `matmul`
        x = x.sum(gone) if len(parts) == 1 else x.sum(gone).to(x.dtype)
        names = [name for name in names if name in result]
    kept = [name for name in result if name in names]
    x = _ordered(names, x, kept)
    if len(kept) == len(result):
        return x
    return x.reshape([sizes[name] if name in kept else 1 for name in result])


def _of_lists(given: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Operands, each with a list of its axes' numbers, and the result's: as letters."""
    pairs = len(given) // 2
    tensors, lists = given[: 2 * pairs : 2], [*given[1 : 2 * pairs : 2], *given[2 * pairs :]]
    terms = [_letters_of(axes) for axes in lists]
    left = ",".join(terms[:pairs])
    return (f"{left}->{terms[-1]}" if len(given) % 2 else left), tensors


def _letters_of(axes: Any) -> str:
    text = ""
    for axis in axes if isinstance(axes, (list, tuple)) else [axes]:
        known = axis is ... or (isinstance(axis, int) and 0 <= axis < len(ascii_letters))
        said = f"lists of ... and numbers from 0 to {len(ascii_letters) - 1} behind each operand"
        expect(known, einsum, said, axis, ArgumentError)
        text += "..." if axis is ... else ascii_letters[axis]
    return text


def _ordered(names: list[str], x: Tensor, wanted: list[str]) -> Tensor:
    return x if names == wanted else x.permute([names.index(name) for name in wanted])


@lru_cache(256)
def _parse(equation: str, given: tuple[int, ...]) -> tuple[list[list[str]], list[str]]:
    """The axis names of each operand, of so many axes each, and of the result."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    inputs = left.split(",")
    same = len(inputs) == len(given)
    expect(same, einsum, f"{len(inputs)} operands for {equation!r}", len(given), ArgumentError)
    terms, widest = [], 0
    for term, ndim in zip(inputs, given, strict=True):
        _letters(term, equation)
        letters = len(term.replace("...", ""))
        spare = ndim - letters
        fits = spare >= 0 if "..." in term else spare == 0
        expect(fits, einsum, f"an operand of {letters} axes for {term!r}", ndim, ArgumentError)
        widest = max(widest, spare)
        before, dots, after = term.partition("...")
        hidden = [f"{_ELLIPSIS}{i}" for i in range(spare, 0, -1)] if dots else []
        terms.append([*before, *hidden, *after])
    dotted = [f"{_ELLIPSIS}{i}" for i in range(widest, 0, -1)]
    if arrow:
        _letters(right, equation)
        before, dots, after = right.partition("...")
        result = [*before, *(dotted if dots else []), *after]
        known = {name for names in terms for name in names}
        good = len(set(result)) == len(result) and set(result) <= known
        expect(good, einsum, "letters of the operands after ->, each once", right, ArgumentError)
    else:
        every = [name for names in terms for name in names if name[0] != _ELLIPSIS]
        result = dotted + sorted(name for name in set(every) if every.count(name) == 1)
    return terms, result


def _letters(term: str, equation: str) -> None:
    plain = term.replace("...", "", 1)
    good = all(c.isascii() and c.isalpha() for c in plain)
    expect(good, einsum, "letters, commas, ... and ->", equation, ArgumentError)


def _diagonals(names: list[str], x: Tensor) -> tuple[list[str], Tensor]:
    """Letters that occur twice become one axis, the diagonal."""
    while len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        i = names.index(name)
        j = names.index(name, i + 1)
        same = x.shape[i] == x.shape[j]
        expect(same, einsum, f"axes {name!r} of one size", (x.shape[i], x.shape[j]), ArgumentError)
        x = x.diagonal(0, i, j)
        names = [n for k, n in enumerate(names) if k not in (i, j)] + [name]
    return names, x


def _without_ones(names: list[str], x: Tensor, sizes: dict[str, int]) -> tuple[list[str], Tensor]:
    """Axes of length 1 that another operand has longer are dropped: the product broadcasts."""
    gone = [i for i, name in enumerate(names) if x.shape[i] == 1 and sizes[name] != 1]
    if not gone:
        return names, x
    return [name for i, name in enumerate(names) if i not in gone], x.squeeze(tuple(gone))


def _contract(
    names: list[str], x: Tensor, other_names: list[str], y: Tensor, later: set[str]
) -> tuple[list[str], Tensor]:
    """Multiply two operands and sum over the axes that nothing later needs."""
    names, x = _summed(names, x, later | set(other_names))
    other_names, y = _summed(other_names, y, later | set(names))
    if x.dtype is not y.dtype:  # a sum has widened integers
        dtype = promote_types(x.dtype, y.dtype)
        x, y = x.to(dtype), y.to(dtype)
    shared = [name for name in names if name in other_names]
    batch = [name for name in shared if name in later]
    summed = [name for name in shared if name not in later]
    own = [name for name in names if name not in shared]
    others = [name for name in other_names if name not in shared]
    size = dict(zip(names, x.shape, strict=True)) | dict(zip(other_names, y.shape, strict=True))
    lead = [size[name] for name in batch]
    x = _ordered(names, x, [*batch, *own, *summed])
    y = _ordered(other_names, y, [*batch, *summed, *others])
    if not batch and len(own) == len(summed) == len(others) == 1:
        return [*own, *others], x @ y
    m, k, n = (_product(size[name] for name in group) for group in (own, summed, others))
    if not summed:  # nothing to sum over: a plain product
        x = x.reshape(*lead, *(size[n] for n in own), *(1 for _ in others))
        y = y.reshape(*lead, *(1 for _ in own), *(size[n] for n in others))
        return [*batch, *own, *others], x * y
    b = _product(lead)
    out = x.reshape(b, m, k) @ y.reshape(b, k, n)
    return [*batch, *own, *others], out.reshape(
        *lead, *(size[name] for name in own), *(size[name] for name in others)
    )


def _summed(names: list[str], x: Tensor, needed: set[str]) -> tuple[list[str], Tensor]:
    gone = [i for i, name in enumerate(names) if name not in needed]
    if not gone:
        return names, x
    return [name for name in names if name in needed], x.sum(gone)


def _product(sizes: Any) -> int:
    out = 1
    for n in sizes:
        out *= n
    return out


@op(cached=True)
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Products summed over `dims`: that many last axes of `a` and first of `b`, or two lists."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if hasattr(dims, "__index__"):
        count = dims.__index__()
        fits = 0 <= count <= min(a.ndim, b.ndim)
        expect(fits, tensordot, f"a number of axes in [0, {min(a.ndim, b.ndim)}]", count)
        left, right = (*range(a.ndim - count, a.ndim),), (*range(count),)
    else:
        pair = [(d,) if hasattr(d, "__index__") else tuple(d) for d in dims]
        expect(len(pair) == 2, tensordot, "two lists of axes", dims, ArgumentError)
        left, right = (
            tuple(axes_of(d, x.ndim, tensordot)) for d, x in zip(pair, (a, b), strict=True)
        )
        if not (a.ndim or b.ndim):
            left = right = ()
    same = len(left) == len(right)
    expect(same, tensordot, f"{len(left)} axes of b", len(right))
    # A summed axis of length 1 broadcasts: the other's is summed first.
    for i, j in zip(left, right, strict=True):
        n, m = a.shape[i], b.shape[j]
        expect(n == m or 1 in (n, m), tensordot, f"axes of one length ({n})", m)
        if n != m:
            a = a.sum(i, keepdim=True).to(a.dtype) if m == 1 else a
            b = b.sum(j, keepdim=True).to(b.dtype) if n == 1 else b
    rows = [i for i in range(a.ndim) if i not in left]
    columns = [j for j in range(b.ndim) if j not in right]
    shape = [a.shape[i] for i in rows] + [b.shape[j] for j in columns]
    k = _product(a.shape[i] for i in left)
    m, n = _product(a.shape[i] for i in rows), _product(b.shape[j] for j in columns)
    x = a.permute([*rows, *left]).reshape(m, k)
    y = b.permute([*right, *columns]).reshape(k, n)
    return (x @ y).reshape(shape)


@op
def kron(x: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: each element of `x` times the whole of `other`."""
    ndim = max(x.ndim, other.ndim)
    p, q = (1,) * (ndim - x.ndim) + x.shape, (1,) * (ndim - other.ndim) + other.shape
    if x.requires_grad or other.requires_grad:
        x, other = x.clone(), other.clone()  # small beside the result, and the user's may change
    left = x.reshape([n for size in p for n in (size, 1)])
    right = other.reshape([n for size in q for n in (1, size)])
    return (left * right).reshape([n * m for n, m in zip(p, q, strict=True)])
