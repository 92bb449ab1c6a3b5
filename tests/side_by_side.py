"""Small programs run once with torch and once with Tallow's namespace, and what they made compared.

A program is text. Each line that is an expression is noted: its value, or the error that it ended
in; then the program goes on. Errors agree when torch's class is a base of ours.
"""

from __future__ import annotations

import ast
import collections
import copy
import io
import pickle
import re
import warnings
from typing import Any

import numpy as np

from tallow.errors import TallowError

TOLERANCE = {"rtol": 2e-5, "atol": 2e-6}

HELPERS = """
def fill(m, start=0.0):
    with torch.no_grad():
        for i, p in enumerate(m.parameters()):
            n = p.numel()
            p.copy_((torch.arange(n, dtype=p.dtype).sin() * 0.5 + start + i / 8).reshape(p.shape))
    return m

def x_of(*shape):
    n = 1
    for s in shape:
        n *= s
    return (torch.arange(n, dtype=torch.get_default_dtype()) * 0.7).cos().reshape(shape)

def keys(m):
    return {k: tuple(v.shape) for k, v in m.state_dict().items()}

def again(m):
    return pickle.loads(pickle.dumps(m))
"""


def notes(program: str, torch: Any, data: Any, told: list[Any]) -> list[Any]:
    """What the lines of a program made with this torch."""
    scope: dict[str, Any] = {
        "torch": torch, "nn": torch.nn, "F": torch.nn.functional, "optim": torch.optim,
        "copy": copy,
        "data": data, "pickle": pickle, "collections": collections, "np": np, "io": io,
    }  # fmt: skip
    scope["__name__"] = __name__
    scope["attributes"] = lambda m: attributes(m, told)
    exec(HELPERS, scope)
    made: list[Any] = []
    for line in ast.parse(program).body:
        try:
            if isinstance(line, ast.Expr):
                value = eval(compile(ast.Expression(line.value), "program", "eval"), scope)
                made.append(plain(value))
            else:
                exec(compile(ast.Module([line], []), "program", "exec"), scope)
        except Exception as error:
            made.append(error)
    return made


SPELLINGS = {
    "torch.FloatTensor": "tl.f32", "torch.DoubleTensor": "tl.f64", "torch.float32": "tl.f32",
    "torch.float64": "tl.f64", "_IncompatibleKeys": "IncompatibleKeys",
}  # fmt: skip
FAST_PATH = ("use_nested_tensor", "activation_relu_or_gelu")  # of torch, for its own use
PLAIN = (bool, int, float, str, tuple, type(None))


def attributes(thing: Any, told: list[Any]) -> dict[str, Any]:
    """The public attributes of torch's object that are numbers, texts or tuples, or of ours those.

    `told` takes the names from the first run to the second.
    """
    if type(thing).__module__.startswith("torch"):
        told.append([
            name for name, value in vars(thing).items()
            if not name.startswith("_") and isinstance(value, PLAIN) and name not in FAST_PATH
        ])  # fmt: skip
        names = told[-1]
    else:
        names = told.pop(0)
    return {name: plain(getattr(thing, name, "absent")) for name in names}


def plain(value: Any) -> Any:
    """A value in terms that both sides have."""
    if hasattr(value, "detach") and hasattr(value, "requires_grad"):
        if type(value).__name__.startswith("Uninitialized"):
            return type(value).__name__
        kind = str(value.dtype).rpartition(".")[2]
        kind = {"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16",
                "int64": "i64", "int32": "i32", "uint8": "u8", "int8": "i8", "int16": "i16",
                }.get(kind, kind)  # fmt: skip
        wide = value.detach()
        wide = wide.float() if kind in ("f16", "bf16") else wide
        # A Buffer of torch is a plain Tensor that isinstance takes for one.
        name = type(value).__name__.replace("Buffer", "Tensor")
        return Made(name, kind, bool(value.requires_grad), wide.numpy().copy())
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        name = type(value).__name__.replace("Size", "tuple").removeprefix("_")
        return [name, *map(plain, value)]
    if isinstance(value, str):
        for theirs, ours in SPELLINGS.items():
            value = value.replace(theirs, ours)
        return value
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return plain(re.sub("<.*(RemovableHandle) object at .*>", r"\1", repr(value)))


class Made:
    """A tensor that a program made."""

    def __init__(self, name: str, dtype: str, grad: bool, values: Any) -> None:
        self.said = (name, dtype, grad, values.shape)
        self.values = values

    def __repr__(self) -> str:
        return f"{self.said} {self.values.tolist()}"


def difference(ours: Any, theirs: Any) -> str | None:
    """What differs, or None."""
    told = f"{ours!r}\n  torch: {theirs!r}"
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        good = isinstance(ours, Exception) and isinstance(theirs, Exception)
        # What torch asserts, no program catches: any error of ours will do.
        wanted = TallowError if isinstance(theirs, AssertionError) else type(theirs)
        return None if good and isinstance(ours, wanted) else told
    if isinstance(theirs, Made) and isinstance(ours, Made):
        if ours.said != theirs.said:
            return told
        a, b = ours.values, theirs.values
        good = np.allclose(a, b, equal_nan=True, **TOLERANCE) if a.dtype.kind == "f" else (a == b)
        return None if np.all(good) else told
    if isinstance(theirs, list) and isinstance(ours, list) and len(ours) == len(theirs):
        found = (difference(a, b) for a, b in zip(ours, theirs, strict=True))
        return next((text for text in found if text), None)
    if isinstance(theirs, dict) and isinstance(ours, dict):
        if list(ours) != list(theirs):
            return f"{list(ours)}\n  torch: {list(theirs)}"
        found = (difference(ours[key], theirs[key]) for key in theirs)
        return next((text for text in found if text), None)
    if isinstance(theirs, float) and isinstance(ours, float):
        return None if np.isclose(ours, theirs, equal_nan=True, **TOLERANCE) else told
    return None if ours == theirs and type(ours) is type(theirs) else told


def programs(*texts: str) -> list[str]:
    """The programs of tables: parts between lines of `---`."""
    return [part.strip() for text in texts for part in text.split("---\n")]


def title(program: str) -> str:
    """What a program is called among tests: the begin of its first line."""
    return program.strip().partition("\n")[0][:60]


def compare(program: str) -> str:
    """The lines in which Tallow's namespace does not what torch does."""
    import torch
    import torch.optim.swa_utils
    import torch.utils.data

    import tallow.torch as namespace

    default = torch.get_default_dtype()
    wrong = []
    told: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = notes(program, torch, torch.utils.data, told)
            torch.set_default_dtype(default)
            ours = notes(program, namespace, namespace.utils.data, told)
        finally:
            torch.set_default_dtype(default)
            namespace.set_default_dtype(namespace.float32)
    lines = [ast.unparse(line) for line in ast.parse(program).body]
    if len(ours) != len(theirs):
        return f"{len(ours)} notes against {len(theirs)}: {ours}\n  torch: {theirs}"
    for at, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        text = difference(a, b)
        if text:
            wrong.append(f"[{at}] {text}")
    return "\n".join([*wrong, "in: " + "; ".join(lines)]) if wrong else ""
