"""Lazy dataclasses do what those of the standard library do, and cost nothing until then."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

import tallow
from tallow import lazy_dataclasses as lazy
from tallow.models.configs import Config

# Of the standard library, what a greedy answer does without.
REST = ["dataclasses", "inspect", "json", "random", "signal", "base64"]

KINDS = {"lazy": lazy, "standard": dataclasses}


def classes(kind: str) -> dict[str, Any]:
    """The same classes by one decorator."""
    return points(kind) | others(kind)


def points(kind: str) -> dict[str, Any]:
    """With fields of all options, and what inherits them."""
    dataclass, field = KINDS[kind].dataclass, KINDS[kind].field

    @dataclass(frozen=True)
    class Point:
        """Two numbers and a name."""

        count: ClassVar[int] = 3
        x: int
        y: int = 2
        name: str = field(default="p", compare=False)
        notes: dict[str, int] = field(default_factory=dict, hash=False)
        hidden: int = field(default=0, repr=False, metadata={"unit": "m"})

        def __post_init__(self) -> None:
            if self.x < 0:
                raise ValueError("negative")

    @dataclass(frozen=True)
    class Point3(Point):
        y: int = 5
        z: int = 0

    return {"Point": Point, "Point3": Point3}


def others(kind: str) -> dict[str, Any]:
    """With options, and methods of their own."""
    dataclass, field = KINDS[kind].dataclass, KINDS[kind].field

    @dataclass
    class Plain:
        a: int
        b: list[int] = field(default_factory=list)

    @dataclass(frozen=True, slots=True)
    class Slotted:
        a: int
        b: str = "b"

    @dataclass(slots=True, eq=False)
    class Identity:
        a: int

    @dataclass(frozen=True, kw_only=True)
    class Named:
        b: int = 1
        a: int

    @dataclass(frozen=True)
    class Own:
        a: int

        def __init__(self, twice: int) -> None:
            object.__setattr__(self, "a", twice // 2)

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return True

    @dataclass(frozen=True)
    class Empty:
        pass

    return {k: v for k, v in locals().items() if isinstance(v, type)}


CLASSES = {kind: classes(kind) for kind in KINDS}
CALLS: dict[str, Callable[[Any], Any]] = {
    "positional": lambda c: c["Point"](1, 3, "q"),
    "mixed": lambda c: c["Point"](1, name="q"),
    "defaults": lambda c: vars(c["Point"](1)),
    "inherited": lambda c: (c["Point3"](1), vars(c["Point3"](1, 2, z=4))),
    "missing": lambda c: c["Point"](y=1),
    "missing two": lambda c: c["Named"](),
    "unknown": lambda c: c["Point"](1, w=1),
    "twice": lambda c: c["Point"](1, x=1),
    "too many": lambda c: c["Slotted"](1, "b", 3),
    "positional keyword": lambda c: c["Named"](1),
    "keyword": lambda c: c["Named"](a=1),
    "post init": lambda c: c["Point"](-1),
    "equal": lambda c: (
        c["Point"](1, name="a") == c["Point"](1, name="b"),
        c["Point"](1) == c["Point"](2),
        c["Point"](1) == c["Point3"](1, 2),
        c["Point"](1) == 1,
        c["Identity"](1) == c["Identity"](1),
        c["Slotted"](1) == c["Slotted"](1),
        c["Empty"]() == c["Empty"](),
    ),
    "hash": lambda c: (hash(c["Point"](1)), hash(c["Slotted"](1)), hash(c["Empty"]())),
    "no hash": lambda c: hash(c["Plain"](1)),
    "own hash": lambda c: hash(c["Own"](4)),
    "own": lambda c: (c["Own"](4), c["Own"](4).a, c["Own"](2) == 7),
    "recursive": lambda c: (lambda p: (p.b.append(p), repr(p))[1])(c["Plain"](1)),
    "set frozen": lambda c: setattr(c["Point"](1), "x", 2),
    "set frozen slot": lambda c: setattr(c["Slotted"](1), "a", 2),
    "delete frozen": lambda c: delattr(c["Point"](1), "x"),
    "set plain": lambda c: (lambda p: (setattr(p, "a", 7), p)[1])(c["Plain"](1)),
    "slots": lambda c: (c["Slotted"].__slots__, hasattr(c["Slotted"](1), "__dict__")),
    "own lists": lambda c: c["Plain"](1).b is not c["Plain"](1).b,
    "class attributes": lambda c: (c["Point"].y, c["Point"].count, hasattr(c["Point"], "notes")),
    "match": lambda c: [c[name].__match_args__ for name in sorted(c)],
    "fields": lambda c: [
        [(f.name, f.type, f.default is f.default_factory, dict(f.metadata)) for f in fields]
        for fields in map(dataclasses.fields, c.values())
    ],
    "is": lambda c: [dataclasses.is_dataclass(c[name]) for name in sorted(c)],
    "asdict": lambda c: dataclasses.asdict(c["Point3"](1, notes={"a": 1})),
    "replace": lambda c: dataclasses.replace(c["Point3"](1, notes={"a": 1}), x=4),
    "lazy replace": lambda c: lazy.replace(c["Point3"](1, notes={"a": 1}), x=4),
    "replace slots": lambda c: lazy.replace(c["Slotted"](1), a=4),
    "replace unknown": lambda c: lazy.replace(c["Slotted"](1), z=4),
    "names": lambda c: [(lazy.field_names(c[n]), lazy.is_dataclass(c[n])) for n in sorted(c)],
    "copies": lambda c: [copy.copy(c["Point"](1)), copy.deepcopy(c["Slotted"](3))],
    "signature": lambda c: [str(inspect.signature(c[name])) for name in sorted(c)],
    "subclass": lambda c: type("Sub", (c["Slotted"],), {})(1, "c"),
    "standard subclass": lambda c: dataclasses.dataclass(frozen=True)(
        type("Sub", (c["Point"],), {"__annotations__": {"w": int}, "w": 3})
    )(1, w=9),
    "thawed subclass": lambda c: dataclasses.dataclass(type("Sub", (c["Point"],), {})),
}


def outcome(call: Callable[[Any], Any], kind: str) -> str:
    try:
        return repr(call(CLASSES[kind]))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("name", CALLS)
def test_is_as_in_the_standard_library(name):
    found, wanted = (outcome(CALLS[name], kind) for kind in KINDS)
    assert found == wanted


def test_an_init_put_around_that_of_a_class_stays():
    cls, seen = classes("lazy")["Point"], []
    before = cls.__init__

    def around(self, *args, **options):
        seen.append(args)
        before(self, *args, **options)

    cls.__init__ = around
    for i in range(lazy._BEFORE_COMPILED + 2):
        cls(i)
    assert cls.__init__ is around and len(seen) == lazy._BEFORE_COMPILED + 2


@pytest.mark.parametrize("name", ["Point", "Slotted"])
def test_many_instances_are_as_the_first(name):
    cls = classes("lazy")[name]
    before = cls.__init__
    assert len({cls(1) if name == "Slotted" else cls(1, 2) for _ in range(1100)}) == 1
    assert cls.__init__ is not before  # compiled by now
    with pytest.raises(TypeError, match=rf"{name}.__init__\(\) missing 1 required"):
        cls()


def test_a_class_of_a_user_may_have_fields_of_the_standard_library():
    class Sized(Config):
        sizes: list[int] = dataclasses.field(default_factory=lambda: [3])
        hidden: int = dataclasses.field(default=4, repr=False, compare=False)

    assert (Sized().sizes, Sized().hidden, Sized.hidden) == ([3], 4, 4)
    assert Sized().sizes is not Sized().sizes
    assert Sized() == Sized(hidden=5)
    assert "sizes=[3]" in repr(Sized()) and "hidden" not in repr(Sized())
    assert dataclasses.replace(Sized(), hidden=6).hidden == 6


@pytest.mark.parametrize("kind", [ClassVar, ClassVar[int], "ClassVar[int]", "typing.ClassVar"])
def test_a_class_variable_is_no_field(kind):
    made = type("Counted", (Config,), {"count": 2, "__annotations__": {"count": kind}})
    assert "count" not in lazy.field_names(made)


@lazy.dataclass(frozen=True, slots=True)
class Kept:
    """At the top of a module, where pickle finds it."""

    a: int
    b: str = "b"


def test_instances_are_pickled():
    assert pickle.loads(pickle.dumps(Kept(2))) == Kept(2)


def test_a_base_of_the_standard_library_is_refused():
    @dataclasses.dataclass
    class Base:
        a: int

    with pytest.raises(AssertionError, match="another kind"):
        lazy.dataclass(type("Sub", (Base,), {}))


def test_each_class_of_the_package_can_be_completed():
    found = set()
    for module in pkgutil.walk_packages(tallow.__path__, "tallow."):
        if module.name.endswith("__main__") or "_native" in module.name:
            continue
        try:
            there = vars(importlib.import_module(module.name))
        except ImportError:  # of an extra that is not installed
            continue
        found |= {v for v in there.values() if isinstance(v, type) and "_lazy_fields" in vars(v)}
    assert len(found) > 100
    for cls in found:
        names = tuple(each.name for each in dataclasses.fields(cls))
        assert names == lazy.field_names(cls)
        assert dataclasses.is_dataclass(cls)


def test_a_start_compiles_no_classes_and_imports_little():
    names = "tallow.cli.generate", "tallow.cli.app", "tallow.tasks.llm", "tallow.text.tokenizer"
    code = f"import sys, {', '.join(names)}; print({{*{REST}}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
