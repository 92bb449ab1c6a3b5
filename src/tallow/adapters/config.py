"""LoraConfig: what an adapter changes and how strongly, in the words of PEFT's files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from tallow.errors import ArgumentError, ModelError, expect
from tallow.lazy_dataclasses import dataclass, field
from tallow.models.fields import Fields

Bias = Literal["none", "all", "lora_only"]
ALL_LINEAR = "all-linear"
MAX_RANK = 1 << 16
_MAX_PATTERN = 500
_MAX_REPEATS = 4

# Keys whose other values change what an adapter computes in ways that are not done here.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "alora_invocation_tokens": (None, []),
    "arrow_config": (None,),
    "corda_config": (None,),
    "kasa_config": (None,),
    "layer_replication": (None, []),
    "lora_ga_config": (None,),
    "megatron_config": (None,),
    "target_parameters": (None, []),
    "trainable_token_indices": (None, [], {}),
    "use_bdlora": (None, False),
    "use_qalora": (None, False),
    "velora_config": (None,),
    "monteclora_config": (None,),
}
# Ways to draw the first values that leave the base model's weights as they are.
_INITS = (None, True, False, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank changes `scale * B A` of matrices (LoRA, arXiv 2106.09685), by PEFT's field names.

    - `r`: the rank; `lora_alpha` over it (over its root if `use_rslora`, arXiv 2312.03732) is the
      scale. `rank_pattern` and `alpha_pattern` have others for modules whose path ends in a key,
      which is a regular expression.
    - `target_modules`: a regular expression of whole paths, last parts of paths, or "all-linear":
      every linear layer but the head. `exclude_modules` are taken out again; with
      `layers_to_transform` only layers of these indices are changed, below `layers_pattern`.
    - `modules_to_save`: modules that are trained as a whole, by the last part of their path.
    - `bias`: whose biases are trained: of "none", "all", or "lora_only" of changed modules;
      `lora_bias` gives B a bias of its own.
    - `use_dora`: rows keep magnitudes of their own (DoRA, arXiv 2402.09353).
    - `lora_dropout`: of what goes into A, in training. `fan_in_fan_out` is noted alone: the layer
      says how its weight lies.

    Raises:
        ArgumentError: a value is out of range.
    """

    r: int = 8
    lora_alpha: float = 8
    target_modules: str | Sequence[str] = ALL_LINEAR
    exclude_modules: str | Sequence[str] = ()
    lora_dropout: float = 0.0
    bias: Bias = "none"
    use_rslora: bool = False
    use_dora: bool = False
    lora_bias: bool = False
    modules_to_save: Sequence[str] = ()
    layers_to_transform: Sequence[int] = ()
    layers_pattern: Sequence[str] = ()
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    fan_in_fan_out: bool = False
    init_lora_weights: bool | str = True
    task_type: str | None = None
    base_model_name_or_path: str | None = None

    def __post_init__(self) -> None:
        ranks = [self.r, *self.rank_pattern.values()]
        good = all(type(r) is int and 1 <= r <= MAX_RANK for r in ranks)
        expect(good, "LoraConfig.r", f"ranks from 1 to {MAX_RANK}", ranks[:8], ArgumentError)
        drop = self.lora_dropout
        expect(0 <= drop < 1, "LoraConfig.lora_dropout", "0 to below 1", drop, ArgumentError)
        kinds = get_args(Bias)
        expect(self.bias in kinds, "LoraConfig.bias", f"one of {kinds}", self.bias, ArgumentError)
        for key in (*self.rank_pattern, *self.alpha_pattern):
            check_pattern(key)
        for text in (self.target_modules, self.exclude_modules):
            if isinstance(text, str) and text != ALL_LINEAR:
                check_pattern(text)

    def rank(self, path: str) -> int:
        """The rank for the module at a path."""
        return int(_of(self.rank_pattern, path, self.r))

    def scale(self, path: str, rank: int) -> float:
        """What `B A` is multiplied by at a path."""
        alpha = float(_of(self.alpha_pattern, path, self.lora_alpha))
        return alpha / rank**0.5 if self.use_rslora else alpha / rank

    @classmethod
    def read(cls, values: Mapping[str, Any], where: object) -> LoraConfig:
        """From an adapter_config.json.

        Raises:
            ModelError: another method than LoRA, a value out of range, or one that changes what
                is computed in a way that is not supported.
        """
        fields = Fields(values, where)
        kind = fields.text("peft_type", "LORA")
        if kind.upper() != "LORA":
            raise fields.error("peft_type", "LORA", kind)
        for name, neutral in _NEUTRAL.items():
            if fields.get(name) not in neutral:
                raise fields.error(name, "none (it is not supported)", fields.get(name))
        init = fields.get("init_lora_weights")
        if not any(init is known or init == known for known in _INITS):
            wanted = "a way that leaves the base model's weights as they are"
            raise fields.error("init_lora_weights", wanted, init)
        try:
            return cls(
                r=fields.integer("r", 8, high=MAX_RANK),
                lora_alpha=fields.real("lora_alpha", 8.0),
                target_modules=_names(fields, "target_modules"),
                exclude_modules=_names(fields, "exclude_modules"),
                lora_dropout=fields.real("lora_dropout", 0.0),
                bias=fields.text("bias", "none"),  # type: ignore[arg-type]  # checked there
                use_rslora=fields.flag("use_rslora"),
                use_dora=fields.flag("use_dora"),
                lora_bias=fields.flag("lora_bias"),
                modules_to_save=_names(fields, "modules_to_save"),
                layers_to_transform=_indices(fields),
                layers_pattern=_listed(_names(fields, "layers_pattern")),
                rank_pattern=_table(fields, "rank_pattern"),
                alpha_pattern=_table(fields, "alpha_pattern"),
                fan_in_fan_out=fields.flag("fan_in_fan_out"),
                task_type=fields.text("task_type") or None,
                base_model_name_or_path=fields.text("base_model_name_or_path") or None,
            )
        except ArgumentError as error:
            raise ModelError(f"{where}: {error}") from None

    def values(self) -> dict[str, Any]:
        """What adapter_config.json holds of it."""
        listed = {
            name: list(value) if isinstance(value, tuple | list | set | frozenset) else value
            for name in _WRITTEN
            for value in [getattr(self, name)]
        }
        for name in ("exclude_modules", "modules_to_save", "layers_to_transform", "layers_pattern"):
            listed[name] = listed[name] or None
        patterns = {"rank_pattern": self.rank_pattern, "alpha_pattern": self.alpha_pattern}
        return {
            "peft_type": "LORA",
            "inference_mode": True,
            **listed,
            **{name: dict(table) for name, table in patterns.items()},
        }


_WRITTEN = (
    "task_type", "base_model_name_or_path", "r", "lora_alpha", "target_modules", "exclude_modules",
    "lora_dropout", "bias", "use_rslora", "use_dora", "lora_bias", "modules_to_save",
    "layers_to_transform", "layers_pattern", "fan_in_fan_out", "init_lora_weights",
)  # fmt: skip


def check_pattern(text: str) -> None:
    """Refuse regular expressions that may take a time without end; a file may hold any.

    Raises:
        ArgumentError: no regular expression, or one with repeated groups or many repetitions.
    """
    where = "LoraConfig"
    plain = len(text) <= _MAX_PATTERN and not re.search(r"\)[*+{]", text)
    plain = plain and len(re.findall(r"(?<!\\)[*+{]", text)) <= _MAX_REPEATS
    wanted = f"patterns without repeated groups and with at most {_MAX_REPEATS} repetitions"
    expect(plain, where, wanted, repr(text[:80]), ArgumentError)
    try:
        re.compile(text)
    except re.error as error:
        raise ArgumentError(f"{where}: expected a regular expression, got {error}") from None


def _of(table: Mapping[str, Any], path: str, default: Any) -> Any:
    for key, value in table.items():
        if re.match(rf"(.*\.)?({key})$", path):
            return value
    return default


def _names(fields: Fields, name: str) -> str | tuple[str, ...]:
    value = fields.get(name)
    if isinstance(value, str):
        return value
    good = value is None or isinstance(value, list)
    if not good or not all(isinstance(each, str) for each in value or ()):
        raise fields.error(name, "a text or a list of texts", value)
    return tuple(value or ())


def _listed(given: str | tuple[str, ...]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given


def _indices(fields: Fields) -> tuple[int, ...]:
    value = fields.get("layers_to_transform")
    found = value if isinstance(value, list) else [] if value is None else [value]
    if not all(type(each) is int and each >= 0 for each in found):
        raise fields.error("layers_to_transform", "indices of layers", value)
    return tuple(found)


def _table(fields: Fields, name: str) -> dict[str, Any]:
    value = fields.get(name) or {}
    numbers = isinstance(value, dict) and all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in value.values()
    )
    if not numbers:
        raise fields.error(name, "numbers by pattern", value)
    return dict(value)
