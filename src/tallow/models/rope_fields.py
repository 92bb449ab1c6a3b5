"""What a config.json says of rotary positions: their base, and how frequencies are stretched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tallow.models.blocks.rope import RopeScaling
from tallow.models.fields import Fields

Rotation = tuple[float, RopeScaling | None]


def read_rope(
    fields: Fields,
    theta: float = 10000.0,
    *,
    head: int = 0,
    share: float | None = None,
    kinds: Sequence[str] = (),
) -> Rotation:
    """The base of rotary frequencies, `theta` unless given, and how they are stretched.

    `head` and `share` are as of `read_rotary_dim`; `kinds` are the kinds of scaling that the family
    knows (all unless given).

    Raises:
        ModelError: a value is out of range, or of a kind that is not supported.
    """
    rope = rope_scope(fields)
    theta = rope.number("rope_theta", fields.number("rope_theta", theta), low=1.0)
    size = read_rotary_dim(fields, head, share)
    key = "rope_type" if "rope_type" in rope else "type"
    kind = rope.text(key, "default")
    if kind in ("default", "none", "mrope"):
        return theta, None
    reader = _SCALINGS.get(kind)
    if reader is None or (kinds and kind not in kinds):
        raise rope.error(key, "default, " + ", ".join(sorted(kinds or _SCALINGS)), kind)
    return theta, reader(rope, fields, size)


def read_rope_of(
    fields: Fields,
    kind: str,
    theta: float,
    *,
    base: str = "rope_theta",
    head: int = 0,
    share: float | None = None,
) -> Rotation:
    """`read_rope` for layers of a kind, where `rope_parameters` may hold an object for each.

    `base` is the key of older configs for this kind's base, if there is one. Their `rope_scaling`
    counts for layers that attend to all keys.
    """
    whole = kind == "full_attention"
    given = fields.get("rope_parameters")
    own = given.get(kind) if isinstance(given, Mapping) else None
    scaling = fields.get("rope_scaling") if whole else None
    if own is not None and not isinstance(own, Mapping):
        raise fields.error(f"rope_parameters: {kind}", "an object", own)
    theta = fields.number(base, theta) if base else theta
    rope = {"rope_theta": theta, **(own or {}), **(scaling or {})}
    fields = fields.with_value("rope_parameters", rope).with_value("rope_scaling", None)
    return read_rope(fields, head=head, share=share)


def rope_scope(fields: Fields) -> Fields:
    """The object that tells of rotary positions.

    That is `rope_parameters` since transformers 5; before, it was `rope_scaling` beside a
    `rope_theta`, and goes first where both stand.
    """
    return fields.scope("rope_scaling" if fields.get("rope_scaling") else "rope_parameters")


def read_rotary_dim(fields: Fields, head: int, share: float | None) -> int:
    """How many of a head's `head` elements are rotated, an even number.

    That is a `partial_rotary_factor` of them, `share` unless it is given; where that is None, all
    are, and another factor is refused.
    """
    rope = rope_scope(fields)
    place = rope if "partial_rotary_factor" in rope else fields
    found = place.number("partial_rotary_factor", share or 1.0)
    if share is None and found != 1.0:
        wanted = "1 (partial rotation is not supported)"
        raise place.error("partial_rotary_factor", wanted, found)
    size = int(head * found + 1e-6)  # of a share that was a quotient
    if found > 1.0 or (head and size < 2):
        wanted = f"a share of the {head} elements of a head that is at least 2 of them"
        raise place.error("partial_rotary_factor", wanted, found)
    return size - size % 2


def _linear(rope: Fields, _: Fields, size: int) -> RopeScaling:
    return RopeScaling("linear", rope.number("factor"))


def _original_context(rope: Fields, fields: Fields) -> int:
    # As in transformers, what stands beside the other sizes goes before what stands here.
    name = "original_max_position_embeddings"
    context = fields.integer("max_position_embeddings", 2048)
    return fields.integer(name, rope.integer(name, context))


def _dynamic(rope: Fields, fields: Fields, size: int) -> RopeScaling:
    factor = rope.number("factor")
    if factor < 1.0:
        raise rope.error("factor", "a number of at least 1", factor)
    if size <= 2:
        raise rope.error("rope_type", "another for so few elements of a head", "dynamic")
    context = fields.integer("max_position_embeddings", 2048)
    return RopeScaling("dynamic", factor, original_context=context)


def _llama3(rope: Fields, fields: Fields, size: int) -> RopeScaling:
    low = rope.number("low_freq_factor")
    return RopeScaling(
        "llama3",
        rope.number("factor"),
        original_context=_original_context(rope, fields),
        low_freq_factor=low,
        high_freq_factor=rope.number("high_freq_factor", low=low),
    )


def _yarn(rope: Fields, fields: Fields, size: int) -> RopeScaling:
    original = _original_context(rope, fields)
    factor = rope.number("factor", fields.integer("max_position_embeddings", 2048) / original)
    growth = 0.1 * math.log(max(factor, 1.0))
    attention = 1 + growth
    if "attention_factor" in rope:
        attention = rope.number("attention_factor")
    elif rope.get("mscale") and rope.get("mscale_all_dim"):
        above, below = rope.number("mscale"), rope.number("mscale_all_dim")
        attention = (1 + above * growth) / (1 + below * growth)
    return RopeScaling(
        "yarn",
        factor,
        original_context=original,
        beta_fast=rope.number("beta_fast", 32.0),
        beta_slow=rope.number("beta_slow", 1.0),
        attention_factor=attention,
        truncate=rope.flag("truncate", True),
    )


def _longrope(rope: Fields, fields: Fields, size: int) -> RopeScaling:
    original = _original_context(rope, fields)
    context = fields.integer("max_position_embeddings", 2048)
    factor = rope.number("factor", context / original)
    usual = 1.0
    if factor > 1.0 and original > 1:
        usual = math.sqrt(1 + math.log(factor) / math.log(original))
    return RopeScaling(
        "longrope",
        1.0,
        original_context=original,
        attention_factor=rope.number("attention_factor", usual),
        short_factors=_factors(rope, "short_factor", size // 2),
        long_factors=_factors(rope, "long_factor", size // 2),
    )


def _factors(rope: Fields, name: str, count: int) -> tuple[float, ...]:
    value = rope.get(name)
    good = isinstance(value, list) and len(value) == count
    good = good and all(type(each) in (int, float) and 0 < each < 1e30 for each in value)
    if not good:
        raise rope.error(name, f"{count} numbers above 0, one for each frequency", value)
    return tuple(float(each) for each in value)


def _proportional(rope: Fields, fields: Fields, size: int) -> RopeScaling:
    share = rope.number("partial_rotary_factor", 1.0)
    return RopeScaling("proportional", rope.number("factor", 1.0), turning=share)


_SCALINGS = {
    "dynamic": _dynamic,
    "linear": _linear,
    "llama3": _llama3,
    "longrope": _longrope,
    "proportional": _proportional,
    "yarn": _yarn,
}


def read_rotating(fields: Fields, layers: int, every: int) -> tuple[bool, ...]:
    """`no_rope_layers`, 1 for each layer that rotates; all but each `every`-th unless given.

    Raises:
        ModelError: fewer than `layers`, or others than 0 and 1.
    """
    interval = fields.integer("no_rope_layer_interval", every)
    turned = fields.get("no_rope_layers") or [int((i + 1) % interval != 0) for i in range(layers)]
    good = isinstance(turned, list) and len(turned) >= layers
    if not good or any(each not in (0, 1) for each in turned):
        raise fields.error("no_rope_layers", f"{layers} of 0 or 1", turned)
    return tuple(map(bool, turned[:layers]))
