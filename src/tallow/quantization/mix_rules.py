"""The rules of llama.cpp's mixes: which tensors get which dtype, and what that depends on.

Source: `src/llama-quant.cpp` of llama.cpp (`llama_tensor_get_type_impl`, `tensor_type_fallback`,
`tensor_allows_quantization`). Sensitive tensors get more bits: the values' projection, the
feed-forward's way down, the first and last layers, the output.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tallow.lazy_dataclasses import dataclass, field


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
class LayerPosition:
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
    when: Callable[[LayerPosition], bool] = lambda place: True


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


def _shares_4(place: LayerPosition) -> bool:
    return place.facts.sharing >= 4


def _shares_4_or_experts(place: LayerPosition) -> bool:
    return place.facts.sharing >= 4 or place.facts.experts >= 4


def _experts_8(place: LayerPosition) -> bool:
    return place.facts.experts == 8


def _no_imatrix(place: LayerPosition) -> bool:
    return not place.facts.has_imatrix


def _eighth(place: LayerPosition) -> bool:
    return place.within(8)


def _sixteenth(place: LayerPosition) -> bool:
    return place.within(16)


def _middle(place: LayerPosition) -> bool:
    return place.count // 8 <= place.index < 7 * place.count // 8


def _more(place: LayerPosition) -> bool:
    return place.more_bits


def _falcon(place: LayerPosition) -> bool:
    return place.facts.architecture == "falcon"


def both(*conditions: Callable[[LayerPosition], bool]) -> Callable[[LayerPosition], bool]:
    """The condition that all of `conditions` hold."""
    return lambda place: all(condition(place) for condition in conditions)


def _not(condition: Callable[[LayerPosition], bool]) -> Callable[[LayerPosition], bool]:
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
    MixRule("attn_v", "iq3_xxs", "iq3_s", _no_imatrix),
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
    MixRule("ffn_down", "iq3_xxs", "q4_k", both(_no_imatrix, _eighth)),
    MixRule("ffn_down", "iq3_xxs", "q3_k", _no_imatrix),
    MixRule("ffn_down", "q3_k_m", "q5_k", _sixteenth),
    MixRule("ffn_down", "q3_k_m", "q4_k", lambda place: not _falcon(place) or place.more_bits),
    MixRule("ffn_down", "iq3_m", "q4_k", _eighth),
    MixRule("ffn_down", "iq3_m", "q4_k", both(_experts_8, _more)),
    MixRule("ffn_down", "q3_k_l", "q4_k", _falcon),
    MixRule("ffn_down", "q3_k_l", "q5_k"),
    MixRule("ffn_down", "q4_k_m", "q6_k", both(_falcon, _sixteenth)),
    MixRule("ffn_down", "q4_k_m", "q5_k", both(_falcon, _more)),
    MixRule("ffn_down", "q4_k_m", "q6_k", both(_not(_falcon), _more)),
    MixRule("ffn_down", "iq4_nl iq4_xs", "q5_k", both(_no_imatrix, _eighth)),
    MixRule("ffn_down", "q5_k_m", "q6_k", _more),
    MixRule("ffn_down", "q4_k_s", "q5_k", both(_not(_falcon), _eighth)),
    # The first layers go astray in q4_0 even with an importance matrix.
    MixRule("ffn_down", "q4_0", "q4_1", both(_not(_no_imatrix), _eighth)),
    MixRule("ffn_down", "q5_0", "q5_1", both(_not(_no_imatrix), _eighth)),
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
