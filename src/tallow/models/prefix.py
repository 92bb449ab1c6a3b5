"""What files have or lack: the prefix of a base model (`bert.`), and whole parts."""

from __future__ import annotations

import re

from tallow.models.base import Model
from tallow.nn.state import targets
from tallow.weights import WeightSource


def with_prefix(model: Model, source: WeightSource) -> tuple[WeightSource, tuple[str, ...]]:
    """The source under names as `model` has them, and patterns of names that it has no use for.

    A model with a head finds the tensors of a file without the prefix; a model without a head those
    of a file with it, and leaves the head's.
    """
    prefix = model.base_model_prefix
    head = f"{prefix}."
    inside = [name for name in source.names() if name.startswith(head)]
    if not prefix or not source.names():
        return source, ()
    if isinstance(getattr(model, prefix, None), Model):
        if inside:
            return source, ()
        tops = {path.split(".")[0] for path, _ in targets(model)} - {prefix}
        moved = {n: head + n for n in source.names() if n.split(".")[0] not in tops}
        return source.rename(moved), ()
    if not inside:
        return source, ()
    others = [name for name in source.names() if not name.startswith(head)]
    return source.rename({n: n.removeprefix(head) for n in inside}), tuple(map(re.escape, others))


def leave_out(model: Model, source: WeightSource) -> None:
    """Take the optional parts out of `model` of which the source has no tensor.

    A head on a base model has asked for the parts that the base has, so that they must be there.
    """
    names = source.names()
    for path, part in list(model.named_modules()):
        asked = bool(path) and path == model.base_model_prefix
        for name in part.optional_parts if isinstance(part, Model) and not asked else ():
            head = f"{path}.{name}." if path else f"{name}."
            inner = getattr(part, name)
            empty = inner is None or not list(targets(inner))
            if not empty and not any(n.startswith(head) for n in names):
                setattr(part, name, None)
