"""GenerationConfig: how a checkpoint wants texts to be generated, in transformers' words."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, Self

from tallow.errors import ArgumentError, ConfigWarning, FormatError, expect
from tallow.generate.processors import (
    PROCESSORS,
    SAMPLING,
    Ends,
    Processor,
    is_id_lists,
    is_ids,
    renormalize,
    suppress_at_begin,
)
from tallow.lazy_dataclasses import dataclass, replace
from tallow.weights.open import read_json

Ids = tuple[int, ...]
MOST_ROWS = 4096  # of one prompt: a file must not ask for the memory of any number


@dataclass(frozen=True)
class GenerationConfig:
    """The fields of transformers' `GenerationConfig` that Tallow follows; None is unset.

    Without `max_length` (of the whole sequence) and `max_new_tokens` there are 20 new tokens, as in
    transformers. `sequence_bias` and `logit_bias` are pairs of token ids and what is added to their
    scores.

    Raises:
        ArgumentError: a value is of the wrong kind or out of range.
    """

    max_length: int | None = None
    max_new_tokens: int | None = None
    min_length: int | None = None
    min_new_tokens: int | None = None
    early_stopping: bool | Literal["never"] = False
    do_sample: bool = False
    num_beams: int = 1
    num_return_sequences: int = 1
    temperature: float | None = None
    top_k: int | None = 50
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    epsilon_cutoff: float | None = None
    eta_cutoff: float | None = None
    repetition_penalty: float | None = None
    length_penalty: float = 1.0
    no_repeat_ngram_size: int | None = None
    bad_words_ids: Sequence[Sequence[int]] | None = None
    sequence_bias: Sequence[tuple[Sequence[int], float]] | None = None
    renormalize_logits: bool = False
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | Sequence[int] | None = None
    forced_decoder_ids: Sequence[Sequence[int]] | None = None
    remove_invalid_values: bool = False
    exponential_decay_length_penalty: Sequence[float] | None = None
    suppress_tokens: Sequence[int] | None = None
    begin_suppress_tokens: Sequence[int] | None = None
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | Sequence[int] | None = None
    decoder_start_token_id: int | None = None

    def __post_init__(self) -> None:
        for name, (good, wanted) in _CHECKS.items():
            value = getattr(self, name)
            if value is not None:
                shown = repr(value)[:80]
                expect(good(value), f"GenerationConfig.{name}", wanted, shown, ArgumentError)
        count, beams = self.num_return_sequences, self.num_beams
        good = count <= beams or (beams == 1 and self.do_sample)
        where = "GenerationConfig.num_return_sequences"
        expect(good, where, f"at most {beams}, as there are beams", count, ArgumentError)
        good = self.temperature != 0 or not self.do_sample
        where = "GenerationConfig.temperature"
        expect(good, where, "a number above 0, to sample", self.temperature, ArgumentError)
        suppressed = set(self.suppress_tokens or ())
        for name in ("forced_bos_token_id", "forced_eos_token_id"):
            token = getattr(self, name)
            forced = set() if token is None else {token} if isinstance(token, int) else set(token)
            where = f"GenerationConfig.{name}"
            good = not forced or not forced <= suppressed
            expect(good, where, "a token that is not in suppress_tokens", token, ArgumentError)

    @property
    def ends(self) -> Ids:
        """The ids that end a sequence."""
        eos = self.eos_token_id
        return () if eos is None else (eos,) if isinstance(eos, int) else tuple(eos)

    def new_tokens(self, prompt: int) -> int:
        """How many new tokens there may be after a prompt of so many."""
        if self.max_new_tokens is not None:
            return self.max_new_tokens
        return 20 if self.max_length is None else self.max_length - prompt

    def processors(self, prompt: int, limit: int) -> list[Processor]:
        """What to do with the scores after a prompt of so many tokens, for `limit` new ones."""
        keep = 1 if self.num_beams == 1 else max(len(self.ends), 1) + 1  # so that one goes on
        ends = Ends(self.ends, limit, keep)
        made = self._made(PROCESSORS, ends)
        if self.begin_suppress_tokens is not None:
            begin = 0 if prompt > 1 or self.forced_bos_token_id is None else 1
            made.append(suppress_at_begin(self.begin_suppress_tokens, begin))
        if self.do_sample:
            made += self._made(SAMPLING, ends)
        return [*made, renormalize(True, ends)] if self.renormalize_logits else made

    def _made(self, table: Mapping[str, Any], ends: Ends) -> list[Processor]:
        return [
            maker(getattr(self, name), ends)
            for name, (maker, neutral) in table.items()
            if getattr(self, name) not in neutral
        ]

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Self:
        """Of a checkpoint: its generation_config.json, else what its config.json says of it.

        Keys that mean nothing here are told in a `ConfigWarning`.

        Raises:
            FormatError: a file is no JSON object, or a value cannot be followed.
        """
        own, model = Path(folder) / "generation_config.json", Path(folder) / "config.json"
        if own.is_file():
            return cls.of(read_json(own), str(own))
        if not model.is_file():
            return cls()
        values = read_json(model)
        inner: Mapping[str, Any] = next(
            (values[key] for key in _DECODERS if isinstance(values.get(key), Mapping)), {}
        )
        known = _NAMES | _NEUTRAL.keys()
        told = {
            key: value
            for source in (inner, values)  # what stands outside goes first
            for key, value in source.items()
            if key in known and value is not None
        }
        return cls.of(told, str(model))

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str = "generation config") -> Self:
        """From keys and values as they stand in a file."""
        given = {name: value for name, value in values.items() if value is not None}
        unknown = sorted(given.keys() - _NAMES - _NEUTRAL.keys() - _WITHOUT_EFFECT)
        if unknown:
            told = f"keys that are not known are not used: {', '.join(unknown)[:300]}"
            warnings.warn(f"{where}: {told}", ConfigWarning, stacklevel=3)
        for name, neutral in _NEUTRAL.items():
            if name in given and given[name] not in neutral:
                wanted = f"{' or '.join(map(str, neutral))} (others are not supported)"
                raise FormatError(where, name, wanted, repr(given[name])[:80])
        try:
            return cls(**{name: value for name, value in given.items() if name in _NAMES})
        except ArgumentError as error:
            name, _, rest = str(error).removeprefix("GenerationConfig.").partition(": expected ")
            wanted, _, found = rest.partition(", got ")
            raise FormatError(where, name, wanted, found) from None

    def with_options(self, **options: Any) -> Self:
        """The same with other values.

        Raises:
            ArgumentError: an unknown name, or a value out of range.
        """
        unknown = sorted(options.keys() - _NAMES)
        expect(not unknown, "generation config", "names of its fields", unknown, ArgumentError)
        return replace(self, **options)


def _integer(low: int, high: float = math.inf) -> tuple[Any, str]:
    wanted = f"an integer of at least {low}" if high == math.inf else f"an integer to {high}"
    return (lambda x: type(x) is int and low <= x <= high), wanted


def _number(low: float, high: float, *, open_low: bool = False) -> tuple[Any, str]:
    def good(x: object) -> bool:
        number = isinstance(x, int | float) and not isinstance(x, bool)
        return number and low <= x <= high and not (open_low and x == low)  # type: ignore[operator]

    start = f"above {low:g}" if open_low else f"from {low:g}"
    return good, f"a number {start}" if high == _ANY else f"a number {start} to {high:g}"


def _is_biases(x: object) -> bool:
    return isinstance(x, Sequence) and all(
        isinstance(pair, Sequence)
        and len(pair) == 2
        and is_ids(pair[0])
        and len(pair[0]) > 0
        and isinstance(pair[1], int | float)
        and pair[1] < math.inf  # -inf rules a token out, NaN is no number
        for pair in x
    )


_ANY = sys.float_info.max  # infinity is none
_TOKEN = _integer(0)
_TOKENS = (lambda x: _TOKEN[0](x) or (is_ids(x) and len(x) > 0)), "a token id or several"
_IDS = is_ids, "token ids"
_LISTS = is_id_lists, "lists of token ids"
_FLAG = (lambda x: isinstance(x, bool)), "true or false"
_SHARE = _number(0, 1)
_CHECKS: dict[str, tuple[Any, str]] = {
    "max_length": _integer(1),
    "max_new_tokens": _integer(1),
    "min_length": _integer(0),
    "min_new_tokens": _integer(0),
    "early_stopping": (
        (lambda x: isinstance(x, bool) or x == "never"),
        "true, false or never",
    ),
    "do_sample": _FLAG,
    "num_beams": _integer(1, MOST_ROWS),
    "num_return_sequences": _integer(1, MOST_ROWS),
    "temperature": _number(0, _ANY),
    "top_k": _integer(0),
    "top_p": _SHARE,
    "min_p": _SHARE,
    "typical_p": _number(0, 1, open_low=True),
    "epsilon_cutoff": _SHARE,
    "eta_cutoff": _SHARE,
    "repetition_penalty": _number(0, _ANY, open_low=True),
    "length_penalty": _number(-32, 32),  # powers of lengths must stay numbers
    "no_repeat_ngram_size": _integer(0),
    "bad_words_ids": _LISTS,
    "sequence_bias": (_is_biases, "pairs of token ids and a number"),
    "renormalize_logits": _FLAG,
    "forced_bos_token_id": _TOKEN,
    "forced_eos_token_id": _TOKENS,
    "forced_decoder_ids": (
        (lambda x: _LISTS[0](x) and all(len(pair) == 2 for pair in x)),
        "pairs of a place and a token id",
    ),
    "remove_invalid_values": _FLAG,
    "exponential_decay_length_penalty": (
        (lambda x: isinstance(x, Sequence) and len(x) == 2 and all(map(_number(0, _ANY)[0], x))),
        "a start and a factor",
    ),
    "suppress_tokens": _IDS,
    "begin_suppress_tokens": _IDS,
    "pad_token_id": _integer(-1),
    "bos_token_id": _TOKEN,
    "eos_token_id": _TOKENS,
    "decoder_start_token_id": _TOKEN,
}
_NAMES = {field.name for field in fields(GenerationConfig)}
_DECODERS = ("decoder", "generator", "text_config")  # parts of a config that have such keys, too
# What is not supported, with the values at which it asks for nothing.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "num_beam_groups": (1,),
    "diversity_penalty": (0.0,),
    "penalty_alpha": (0.0,),
    "encoder_repetition_penalty": (1.0,),
    "encoder_no_repeat_ngram_size": (0,),
    "guidance_scale": (1, 1.0),
    "constraints": ((), []),
    "force_words_ids": ((), []),
    "watermarking_config": (),
    "top_h": (),
    "stop_strings": (),
    "max_time": (),
    "dola_layers": (),
    "prompt_lookup_num_tokens": (),
    "token_healing": (False,),
}
# How others run it, or what they return beside the ids.
_WITHOUT_EFFECT = {
    "transformers_version", "_from_model_config", "_commit_hash", "use_cache", "use_mtp",
    "cache_implementation", "cache_config", "max_cache_len", "output_attentions",
    "output_hidden_states", "output_scores", "output_logits", "return_dict_in_generate",
    "is_assistant", "num_assistant_tokens", "num_assistant_tokens_schedule",
    "assistant_confidence_threshold", "assistant_early_exit", "assistant_lookbehind",
    "assistant_ensemble_weight", "target_lookbehind", "max_matching_ngram_size", "compile_config",
    "disable_compile", "continuous_batching_config", "low_memory", "prefill_chunk_size",
    "speculation_type",
}  # fmt: skip
