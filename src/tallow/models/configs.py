"""Configs: frozen dataclasses whose fields say how they are read and what they may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

from tallow.lazy_dataclasses import dataclass, field
from tallow.models.blocks.activation import ACTIVATIONS
from tallow.models.fields import MAX_SIZE, Fields

MAX_WIDTH = 1 << 20  # of a layer; buffers of such sizes are made before the file is asked
MAX_LAYERS = 4096  # module objects are made before the file is asked, so their number is bounded

if TYPE_CHECKING:
    from dataclasses import Field

Reader = Callable[[Fields, str, Any], Any]

_REQUIRED = object()


def _field(default: Any, read: Reader | None = None, aliases: Sequence[str] = ()) -> Any:
    metadata = {"read": read, "aliases": tuple(aliases)}
    if default is _REQUIRED:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


def size(default: int | None = None, *aliases: str, low: int = 1, high: int = MAX_WIDTH) -> Any:
    """A width or number; without a default the file must say it. `aliases` are other names."""

    def read(fields: Fields, name: str, default: Any) -> int:
        return fields.integer(name, default, low=low, high=high)

    return _field(_REQUIRED if default is None else default, read, aliases)


def layers(default: int | None = None, *aliases: str) -> Any:
    """A number of layers."""
    return size(default, *aliases, low=0, high=MAX_LAYERS)


def sizes(*default: int, length: int | None = None, low: int = 1, high: int = MAX_WIDTH) -> Any:
    """A list of widths or numbers, `length` of them or any number; one number stands for all."""

    def read(fields: Fields, name: str, default: Any) -> tuple[int, ...]:
        value = fields.get(name)
        if value is None:
            return tuple(default)
        if type(value) is int and length is not None:
            value = [value] * length
        good = isinstance(value, Sequence) and not isinstance(value, str) and len(value) <= 64
        good = good and all(type(n) is int and low <= n <= high for n in value)
        if not good or (length is not None and len(value) != length):
            wanted = f"{length or 'a list of'} integers from {low} to {high}"
            raise fields.error(name, wanted, value)
        return tuple(value)

    return _field(tuple(default), read)


def ratio(default: float) -> Any:
    """What a width or number is multiplied by."""

    def read(fields: Fields, name: str, default: float) -> float:
        value = fields.real(name, default)
        if not 0 < value <= 64:
            raise fields.error(name, "a number in (0, 64]", value)
        return value

    return _field(default, read)


def choice(default: Any, *others: Any) -> Any:
    """One of some values; any other is refused by name."""

    def read(fields: Fields, name: str, default: Any) -> Any:
        value = fields.get(name)
        value = default if value is None else value
        if not any(value == each and type(value) is type(each) for each in (default, *others)):
            wanted = " or ".join(repr(each) for each in (default, *others))
            raise fields.error(name, f"{wanted} (others are not supported)", value)
        return value

    return _field(default, read)


def stated(value: Any) -> Any:
    """A value that the file must state, as an absent one is another to transformers."""

    def read(fields: Fields, name: str, _: Any) -> Any:
        found = fields.get(name)
        if found != value or type(found) is not type(value):
            raise fields.error(name, f"{value!r} (others are not supported)", found)
        return value

    return _field(value, read)


def activation(default: str = "gelu", *aliases: str) -> Any:
    """The name of an activation, as transformers knows them."""

    def read(fields: Fields, name: str, default: Any) -> str:
        value = fields.text(name, default)
        if value not in ACTIVATIONS:
            raise fields.error(name, "one of " + ", ".join(sorted(ACTIVATIONS)), value)
        return value

    return _field(default, read, aliases)


def token(default: int | None = None) -> Any:
    """A token id, or None; a negative one, which old configs have for none, is None."""

    def read(fields: Fields, name: str, default: Any) -> int | None:
        if fields.has(name) and fields.get(name) is None:
            return None
        value = fields.get(name)
        value = default if value is None else value
        if value is not None and (type(value) is not int or value > MAX_SIZE):
            raise fields.error(name, "a token id or null", value)
        return None if value is None or value < 0 else int(value)

    return _field(default, read)


def custom(default: Any, read: Reader) -> Any:
    """A field that `read(fields, name, default)` reads."""
    return _field(default, read)


def unread(default: Any) -> Any:
    """A field that no file says: what reads another format sets it (`GGUFLayout.attributes`)."""
    return _field(default, lambda fields, name, value: value)


# Keys that change nothing in what a loaded model computes: notes, training, generation (which has a
# reader of its own) and what transformers returns.
_WITHOUT_EFFECT = """
_name_or_path architectures model_type transformers_version torch_dtype dtype use_cache
initializer_range initializer_factor initializer_std init_std init_xavier_std hidden_dropout_prob
attention_probs_dropout_prob attention_dropout dropout activation_dropout classifier_dropout
classifier_dropout_prob dropout_rate drop_path_rate hidden_dropout embd_pdrop attn_pdrop resid_pdrop
residual_dropout qa_dropout seq_classif_dropout decoder_layerdrop encoder_layerdrop layerdrop
embedding_dropout
mlp_dropout pooler_dropout output_attentions output_hidden_states return_dict use_return_dict
torchscript gradient_checkpointing finetuning_task task_specific_params prefix label2id bos_token_id
eos_token_id sep_token_id cls_token_id mask_token_id pad_token_id decoder_start_token_id
forced_bos_token_id forced_eos_token_id max_length min_length do_sample early_stopping num_beams
num_beam_groups diversity_penalty temperature top_k top_p typical_p repetition_penalty
length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences
output_scores return_dict_in_generate suppress_tokens begin_suppress_tokens tokenizer_class
processor_class feature_extractor_type _attn_implementation attn_implementation
_attn_implementation_autoset _attn_implementation_internal attn_impl auto_map
chunk_size_feed_forward is_encoder_decoder tie_encoder_decoder tf_legacy_loss use_bfloat16
remove_invalid_values exponential_decay_length_penalty directionality pooler_fc_size
pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head pooler_type
sbert_ce_default_activation_function function_to_apply
sentence_transformers problem_type _commit_hash transformers_weights id2label num_labels _num_labels
pretraining_tp cache_implementation
"""
WITHOUT_EFFECT = frozenset(_WITHOUT_EFFECT.split())
# What transformers lets a config say of every call, and its defaults: here the call says it.
OF_CALLS = {
    "output_attentions": False,
    "output_hidden_states": False,
    "return_dict": True,
    "torchscript": False,
}


PROBLEM = choice(None, "regression", "single_label_classification", "multi_label_classification")


def read_problem(fields: Fields) -> str | None:
    """`problem_type`: what a classifier's loss is of, None where the labels tell."""
    return PROBLEM.options["metadata"]["read"](fields, "problem_type", None)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class ConfigBase:
    """Makes each sub-class a frozen dataclass of keyword-only fields."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(frozen=True, kw_only=True)(cls)


class Config(ConfigBase):
    """What every config has: the labels of a head, and how it is read.

    A field is read by its annotation (int, float, bool, str, each also with `| None`), or by what
    `size`, `choice` and the other functions of this module say. Defaults are transformers' own.
    """

    id2label: Mapping[int, str] = field(default_factory=lambda: _numbered(2))
    problem_type: str | None = PROBLEM

    without_effect: ClassVar[frozenset[str]] = frozenset()  # further keys of the family

    @property
    def num_labels(self) -> int:
        """The number of labels of a classifier."""
        return len(self.id2label)

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read and check every field.

        Raises:
            ModelError: a value is missing, out of range or of a kind that is not supported.
        """
        from dataclasses import fields as fields_of

        values: dict[str, Any] = {"id2label": read_labels(fields)}
        for each in fields_of(cls):
            if each.name not in values:
                values[each.name] = _read_field(each, fields)
        if fields.get("quantization_config"):
            wanted = "none, or gptq, awq, fp8, compressed-tensors (convert others to GGUF)"
            raise fields.error("quantization_config", wanted, fields.get("quantization_config"))
        fields.pruned()
        made = cls(**values)
        made.agree(fields)
        made.check(fields)
        return made

    def agree(self, fields: Fields) -> None:
        """Refuse heads that do not share the width, and a padding id that is no word."""
        # Of fields: what properties are made of has other names, which families check themselves.
        width, heads = (
            getattr(self, name, None) if name in fields.written else None
            for name in ("hidden_size", _HEADS)
        )
        if isinstance(width, int) and isinstance(heads, int) and not hasattr(self, "head_dim"):
            wanted = f"a divisor of {fields.written.get('hidden_size', 'hidden_size')} {width}"
            if width % heads:
                raise fields.error(_HEADS, wanted, heads)
        words, padding = (getattr(self, name, None) for name in ("vocab_size", "pad_token_id"))
        if words is not None and padding is not None and padding >= words:
            raise fields.error("pad_token_id", f"an id below vocab_size {words}, or null", padding)

    def check(self, fields: Fields) -> None:
        """Refuse fields that contradict each other; families say which."""


def _read_field(each: Field[Any], fields: Fields) -> Any:
    from dataclasses import MISSING

    name = each.name
    aliases = each.metadata.get("aliases", ())
    name = next((other for other in (name, *aliases) if fields.has(other)), name)
    fields.written[each.name] = name
    default = each.default
    if default is MISSING:
        make = each.default_factory
        default = None if make is MISSING else make()
    read = each.metadata.get("read")
    if read is not None:
        return read(fields, name, default)
    kind, _, optional = str(each.type).partition(" | ")
    if optional == "None" and (fields.has(name) or default is None) and fields.get(name) is None:
        return None
    return _READERS[kind](fields, name, default)


_READERS: dict[str, Reader] = {
    "int": lambda fields, name, default: fields.integer(name, default, low=0, high=MAX_SIZE),
    "float": lambda fields, name, default: fields.real(name, default),
    "bool": lambda fields, name, default: fields.flag(name, bool(default)),
    "str": lambda fields, name, default: fields.text(name, default or ""),
}


def one_each(fields: Fields, name: str, values: Sequence[int], stages: int) -> None:
    """Refuse a list that has not a number for each stage."""
    if len(values) != stages:
        wanted = f"one number for each of {stages} stages"
        raise fields.error(name, wanted, list(values))


_HEADS = "num_attention_heads"


def read_labels(fields: Fields) -> Mapping[int, str]:
    """`id2label`, or `num_labels` of them by number; two where neither stands."""
    given = fields.get("id2label")
    key = "num_labels" if "num_labels" in fields else "_num_labels"
    if given is None:
        return _numbered(fields.integer(key, 2, low=0, high=MAX_WIDTH))
    try:
        labels = {int(key): value for key, value in given.items()}
    except (AttributeError, TypeError, ValueError):
        raise fields.error("id2label", "an object from numbers to labels", given) from None
    if sorted(labels) != list(range(len(labels))) or not all(
        isinstance(label, str) for label in labels.values()
    ):
        raise fields.error("id2label", f"the labels of 0 to {len(labels) - 1}", given)
    count = fields.integer(key, len(labels), low=0, high=MAX_WIDTH)
    # As in transformers, id2label wins; a number that contradicts it is told, not ignored.
    if count != len(labels):
        raise fields.error(key, f"{len(labels)}, as id2label has", count)
    return dict(sorted(labels.items()))


def _numbered(count: int) -> Mapping[int, str]:
    return {index: f"LABEL_{index}" for index in range(count)}
