"""Which dtype each tensor gets in a file of some type: llama.cpp's mixes, as tables of rules.

Source: `src/llama-quant.cpp` of llama.cpp (`llama_tensor_get_type_impl`, `tensor_type_fallback`,
`tensor_allows_quantization`). Sensitive tensors get more bits: the values' projection, the
feed-forward's way down, the first and last layers, the output. `tests/golden/mixes` holds what
llama-quantize itself chooses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tallow.conversion.file_types import FileType
from tallow.dtype import by_name


class Subject(NamedTuple):
    """A tensor as the rules see it: its GGUF name, row-major shape and present dtype."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class Choice(NamedTuple):
    """What becomes of a tensor: `fallback` when the rows did not fit the dtype that was meant."""

    subject: Subject
    dtype: str
    fallback: bool = False


@dataclass(frozen=True)
class Facts:
    """What the rules ask of a model; `sharing` is how many query heads share a key head."""

    architecture: str = ""
    layers: int = 0
    sharing: int = 1
    experts: int = 0
    has_imatrix: bool = False

    @classmethod
    def of(cls, metadata: Mapping[str, Any], *, has_imatrix: bool) -> Facts:
        """Read from GGUF metadata; a key that is absent or no number counts as none."""
        name = metadata.get("general.architecture", "")

        def number(key: str) -> int:
            value = metadata.get(f"{name}.{key}")
            if isinstance(value, tuple | list):  # one for each layer: the first speaks for all
                value = value[0] if value else 0
            return value if isinstance(value, int) else 0

        heads = number("attention.head_count")
        kv_heads = number("attention.head_count_kv") or heads
        sharing = heads // kv_heads if kv_heads else 0
        layers, experts = number("block_count"), number("expert_count")
        return cls(str(name), layers, sharing, experts, has_imatrix)

    @property
    def is_70b(self) -> bool:
        """Whether llama.cpp takes it for a model of 70 billion, whose `attn_v` is small."""
        if self.architecture == "llama":
            return self.layers == 80 and self.experts != 8 and self.sharing != 1
        return (self.architecture, self.layers) in _SIZES_70B


_SIZES_70B = {("qwen2", 80), ("deci", 80), ("olmo", 80), ("jais2", 68)}


@dataclass(frozen=True)
class Place:
    """Where a rule looks: the `index`-th of `count` such tensors (or layers) of a model."""

    facts: Facts
    index: int
    count: int

    @property
    def more_bits(self) -> bool:
        """The first and last eighth, and every third between."""
        eighth = self.count // 8
        last = self.index >= 7 * self.count // 8
        return self.index < eighth or last or (self.index - eighth) % 3 == 2

    def within(self, share: int) -> bool:
        """Whether in the first 1/`share`."""
        return self.index < self.count // share


class MixRule(NamedTuple):
    """Tensors of `role` in files of `types` get `dtype` where `when` holds; the first rule wins."""

    role: str
    types: str
    dtype: str
    when: Callable[[Place], bool] = lambda place: True


@dataclass
class Options:
    """What a caller may fix by hand: `overrides` are pairs of a regular expression and a dtype."""

    pure: bool = False
    output: str | None = None
    token_embedding: str | None = None
    overrides: Sequence[tuple[re.Pattern[str], str]] = field(default_factory=tuple)

    def named(self, name: str) -> str | None:
        """The dtype that the first matching override gives."""
        return next((dtype for pattern, dtype in self.overrides if pattern.search(name)), None)


# --- which tensors are quantised at all, and what they are ----------------------------------------

# Parts of names of matrices that stay as they are: small, or their precision decides (routers,
# convolutions, time mixing, position tables, codebooks).
KEPT_PARTS = (
    "_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel",
    "per_layer_model_proj", "ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight",
    "indexer.q_proj.weight", "time_mix_first.weight", "time_mix_w0.weight", "time_mix_w1.weight",
    "time_mix_w2.weight", "time_mix_v0.weight", "time_mix_v1.weight", "time_mix_v2.weight",
    "time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight", "time_mix_g1.weight",
    "time_mix_g2.weight", "time_mix_decay_w1.weight", "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight", "attn_rel_b.weight", ".position_embd", "sam.pos_embd",
    "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger", "a.rvq.codebook",
    "mm.a.code_embd",
)  # fmt: skip
KEPT_NAMES = ("position_embd.weight", "token_types.weight")

TOKEN_EMBEDDINGS = ("token_embd.weight", "per_layer_token_embd.weight")
_ROLES = (
    ("attn_qkv.weight", "attn_v"), ("attn_kv_b.weight", "attn_v"), ("attn_v.weight", "attn_v"),
    ("attn_k.weight", "attn_k"), ("attn_q.weight", "attn_q"), ("attn_output.weight", "attn_output"),
    ("ffn_up", "ffn_up"), ("ffn_gate", "ffn_gate"), ("ffn_down", "ffn_down"),
)  # fmt: skip


def is_quantizable(subject: Subject) -> bool:
    """Whether any file type changes this tensor: matrices called `….weight`, but for exceptions."""
    # ggml drops leading lengths of 1, so that such a tensor may be a vector there.
    ones = next((i for i, length in enumerate(subject.shape) if length != 1), len(subject.shape))
    if len(subject.shape) - ones < 2 or not subject.name.endswith("weight"):
        return False
    return subject.name not in KEPT_NAMES and not any(part in subject.name for part in KEPT_PARTS)


def role(name: str) -> str:
    """What a tensor does in the model, by its name: `output`, `attn_v`, `ffn_down` and so on."""
    if name == "output.weight":
        return "output"
    if name in TOKEN_EMBEDDINGS:
        return "token_embd"
    return next((role for part, role in _ROLES if part in name), "other")


# --- the rules ------------------------------------------------------------------------------------


def _shares_4(place: Place) -> bool:
    return place.facts.sharing >= 4


def _shares_4_or_experts(place: Place) -> bool:
    return place.facts.sharing >= 4 or place.facts.experts >= 4


def _experts_8(place: Place) -> bool:
    return place.facts.experts == 8


def _blind(place: Place) -> bool:
    return not place.facts.has_imatrix


def _eighth(place: Place) -> bool:
    return place.within(8)


def _sixteenth(place: Place) -> bool:
    return place.within(16)


def _middle(place: Place) -> bool:
    return place.count // 8 <= place.index < 7 * place.count // 8


def _more(place: Place) -> bool:
    return place.more_bits


def _falcon(place: Place) -> bool:
    return place.facts.architecture == "falcon"


def both(*conditions: Callable[[Place], bool]) -> Callable[[Place], bool]:
    """The condition that all of `conditions` hold."""
    return lambda place: all(condition(place) for condition in conditions)


def _not(condition: Callable[[Place], bool]) -> Callable[[Place], bool]:
    return lambda place: not condition(place)


# Below about 2.7 bits a weight the mixes have rules of their own.
LOW = "iq1_s iq1_m iq2_xxs iq2_xs iq2_s iq2_m"
_LOW_WIDE = "iq2_s iq2_m"
_ATTN_OUTPUT_8 = (
    "q2_k q3_k_s q3_k_m q4_k_s q4_k_m iq3_xxs iq3_xs iq3_s iq3_m iq4_nl iq4_xs"  # and not q3_k_l
)

LOW_RULES = (
    MixRule("attn_v", LOW, "q4_k", _shares_4_or_experts),
    MixRule("attn_v", _LOW_WIDE, "iq3_s"),
    MixRule("attn_v", LOW, "q2_k"),
    MixRule("attn_k", LOW, "q4_k", _experts_8),
    MixRule("ffn_down", _LOW_WIDE, "iq3_s", _eighth),
    MixRule("ffn_down", LOW, "q2_k", _eighth),
    MixRule("attn_output", LOW, "q5_k", _experts_8),
    MixRule("attn_output", "iq1_s iq1_m", "iq2_xxs"),
    MixRule("attn_output", _LOW_WIDE, "iq3_s"),
)
RULES = (
    MixRule("attn_v", "q2_k q2_k_s iq3_xxs iq3_xs iq3_s", "q4_k", _shares_4),
    MixRule("attn_v", "q2_k", "q3_k"),
    MixRule("attn_v", "iq3_xxs", "iq3_s", _blind),
    MixRule("attn_v", "iq3_m", "q4_k"),
    MixRule("attn_v", "q3_k_m", "q5_k", lambda place: place.index < 2),
    MixRule("attn_v", "q3_k_m", "q4_k"),
    MixRule("attn_v", "q3_k_l", "q5_k"),
    MixRule("attn_v", "iq4_nl iq4_xs", "q5_k", _shares_4),
    MixRule("attn_v", "q4_k_m q5_k_m", "q6_k", _more),
    MixRule("attn_v", "q4_k_s", "q5_k", lambda place: place.index < 4),
    MixRule("attn_k", "", "q8_0", _experts_8),
    MixRule("attn_k", "iq3_xs", "iq3_xxs"),
    MixRule("attn_k", "iq3_xxs", "iq2_s"),
    MixRule("attn_q", "iq3_xs", "iq3_xxs"),
    MixRule("attn_q", "iq3_xxs", "iq2_s"),
    MixRule("ffn_down", "q2_k", "q3_k"),
    MixRule("ffn_down", "q2_k_s", "q4_k", _eighth),
    MixRule("ffn_down", "iq3_xxs", "q4_k", both(_blind, _eighth)),
    MixRule("ffn_down", "iq3_xxs", "q3_k", _blind),
    MixRule("ffn_down", "q3_k_m", "q5_k", _sixteenth),
    MixRule("ffn_down", "q3_k_m", "q4_k", lambda place: not _falcon(place) or place.more_bits),
    MixRule("ffn_down", "iq3_m", "q4_k", _eighth),
    MixRule("ffn_down", "iq3_m", "q4_k", both(_experts_8, _more)),
    MixRule("ffn_down", "q3_k_l", "q4_k", _falcon),
    MixRule("ffn_down", "q3_k_l", "q5_k"),
    MixRule("ffn_down", "q4_k_m", "q6_k", both(_falcon, _sixteenth)),
    MixRule("ffn_down", "q4_k_m", "q5_k", both(_falcon, _more)),
    MixRule("ffn_down", "q4_k_m", "q6_k", both(_not(_falcon), _more)),
    MixRule("ffn_down", "iq4_nl iq4_xs", "q5_k", both(_blind, _eighth)),
    MixRule("ffn_down", "q5_k_m", "q6_k", _more),
    MixRule("ffn_down", "q4_k_s", "q5_k", both(_not(_falcon), _eighth)),
    # The first layers go astray in q4_0 even with an importance matrix.
    MixRule("ffn_down", "q4_0", "q4_1", both(_not(_blind), _eighth)),
    MixRule("ffn_down", "q5_0", "q5_1", both(_not(_blind), _eighth)),
    MixRule("attn_output", "q3_k_l", "q4_k", _falcon),
    MixRule("attn_output", _ATTN_OUTPUT_8, "q5_k", both(_experts_8, _not(_falcon))),
    MixRule("attn_output", "q2_k", "q3_k", _not(_falcon)),
    MixRule("attn_output", "iq3_xxs", "iq3_s", _not(_falcon)),
    MixRule("attn_output", "q3_k_m iq3_m", "q4_k", _not(_falcon)),
    MixRule("attn_output", "q3_k_l", "q5_k", both(_not(_falcon), _not(_experts_8))),
    MixRule("ffn_gate", "iq3_xs", "iq3_xxs", _middle),
    MixRule("ffn_up", "iq3_xs", "iq3_xxs", _middle),
)
TOKEN_EMBEDDING_RULES = (
    MixRule("token_embd", "iq1_s iq1_m iq2_xxs iq2_xs", "q2_k"),
    MixRule("token_embd", "iq2_s iq2_m iq3_xxs", "iq3_s"),
    MixRule("token_embd", "tq1_0 tq2_0 q2_0", "q4_k"),
)

# When rows are no multiple of 256: the type of blocks of 32 that comes closest.
FALLBACKS = {
    "iq1_s": "iq4_nl", "iq1_m": "iq4_nl", "iq2_xxs": "iq4_nl", "iq2_xs": "iq4_nl",
    "iq2_s": "iq4_nl", "iq3_xxs": "iq4_nl", "iq3_s": "iq4_nl", "iq4_xs": "iq4_nl",
    "q2_k": "q4_0", "q3_k": "q4_0", "tq1_0": "q4_0", "tq2_0": "q4_0", "q2_0": "q4_0",
    "q1_0": "q4_0",  # llama.cpp has nothing here, and gives up
    "q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0",
}  # fmt: skip

# Types that give garbage without an importance matrix, outside of embedding and output.
NEEDS_IMATRIX = ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs")


def needs_imatrix(choice: Choice, kind: FileType) -> bool:
    """Whether llama.cpp refuses to make this tensor without an importance matrix."""
    name = choice.subject.name
    if role(name) in ("output", "token_embd") or not is_quantizable(choice.subject):
        return False
    low = choice.dtype == "q2_k" and kind.name == "q2_k_s"
    return low or choice.dtype in NEEDS_IMATRIX


def in_order(subjects: Iterable[Subject]) -> list[Subject]:
    """The order in which llama.cpp goes through a file: by layer, then by name."""
    return sorted(subjects, key=lambda subject: (layer(subject.name), subject.name.encode()))


def layer(name: str) -> int:
    """The number in `blk.7.…`, -1 for a tensor outside of the layers."""
    found = re.match(r"blk\.(\d+)\.", name)
    return int(found[1]) if found else -1


class Mix:
    """The rules at work on one model: tensors are asked for in llama.cpp's order, for it counts."""

    def __init__(
        self, kind: FileType, facts: Facts, options: Options, names: Iterable[str]
    ) -> None:
        self._kind, self._facts, self._options = kind, facts, options
        roles = [role(name) for name in names]
        self._tied = "output" not in roles
        self._values = roles.count("attn_v")
        self._seen: dict[str, int] = {}

    def choose(self, subject: Subject) -> Choice:
        """The dtype of the next tensor."""
        if not is_quantizable(subject):
            return Choice(subject, subject.dtype)
        options, kind = self._options, self._kind
        part, named = role(subject.name), options.named(subject.name)
        # The per-layer table is large and separate: a rule of its own is stronger.
        by_rule = subject.name == TOKEN_EMBEDDINGS[1] and named is not None
        if part == "token_embd" and options.token_embedding is not None and not by_rule:
            return Choice(subject, options.token_embedding)
        if part == "output" and options.output is not None:
            return Choice(subject, options.output)
        if not kind.is_quantized:
            return Choice(subject, kind.base)
        if named is not None:
            chosen = named
        else:
            chosen = kind.base if options.pure else self._by_rules(subject, part)
        fitting = fitted(chosen, subject.shape[-1])
        return Choice(subject, fitting, fallback=fitting != chosen)

    def _by_rules(self, subject: Subject, part: str) -> str:
        kind, facts = self._kind, self._facts
        if part == "output" or (part == "token_embd" and self._tied):
            return self._of_output(subject)
        if kind.name == "mxfp4_moe":
            return "mxfp4" if _is_expert(subject) else "q8_0"
        if part == "token_embd":
            return self._first(TOKEN_EMBEDDING_RULES, part, Place(facts, 0, 0))
        low = kind.name in LOW.split()
        place = self._place(subject, part, low)
        chosen = self._first(LOW_RULES if low else RULES, part, place)
        if part == "attn_v" and not low:
            if facts.is_70b and chosen in ("q3_k", "q4_k"):
                chosen = "q5_k"
            if facts.experts == 8:
                chosen = "q8_0"
        return chosen

    def _of_output(self, subject: Subject) -> str:
        kind = self._kind
        if self._options.output is not None:
            return self._options.output
        ragged = subject.shape[-1] % by_name(kind.base).block != 0
        if kind.base in ("mxfp4", "nvfp4") or self._facts.architecture == "falcon" or ragged:
            return "q8_0"
        if kind.name in LOW.split() or kind.name == "iq3_xxs":
            return "q5_k"
        return "q8_0" if kind.base == "q8_0" else "q6_k"

    def _place(self, subject: Subject, part: str, low: bool) -> Place:
        index = self._seen.get(part, 0)
        self._seen[part] = index + 1
        if part == "attn_v":
            return Place(self._facts, index, self._values)
        # The experts of a layer are several tensors: there the name tells the layer.
        if self._facts.experts > 1 and not low:
            index = layer(subject.name)
        return Place(self._facts, index, self._facts.layers)

    def _first(self, rules: Sequence[MixRule], part: str, place: Place) -> str:
        name = self._kind.name
        for rule in rules:
            serves = not rule.types or name in rule.types.split()
            if rule.role == part and serves and rule.when(place):
                return rule.dtype
        return self._kind.base


def _is_expert(subject: Subject) -> bool:
    return len(subject.shape) > 2 and subject.shape[-3] > 1


def fitted(dtype: str, columns: int) -> str:
    """`dtype`, or what stands for it where rows of `columns` are no whole number of blocks."""
    if columns % by_name(dtype).block == 0:
        return dtype
    other = FALLBACKS.get(dtype, dtype)
    return other if columns % by_name(other).block == 0 else "f16"


def plan(
    subjects: Iterable[Subject], kind: FileType, facts: Facts, options: Options | None = None
) -> list[Choice]:
    """The dtype of every tensor of a model, in the order of llama.cpp's files."""
    ordered = in_order(subjects)
    mix = Mix(kind, facts, options or Options(), [subject.name for subject in ordered])
    return [mix.choose(subject) for subject in ordered]
