"""Constraints: answers that follow a JSON schema, a regular expression or a grammar.

Before each token, llguidance tells which ones may come; others cannot be chosen. It works on the
bytes of tokens, whichever tokenizer they are of. See https://github.com/guidance-ai/llguidance.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from tallow.borrowing import frombuffer
from tallow.dtype import u8
from tallow.errors import ArgumentError, MissingExtraError, expect
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.generate.sampling import SamplingParams
    from tallow.text import Tokenizer

# Objects are written as json.dumps does: a model left free would go on with white space for long.
_JSON = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}

_TABLES: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # by tokenizer; each takes a second
_LOCK = threading.Lock()


def schema_text(given: Any) -> Any:
    """A JSON schema as text: of an object, a text, or a class with `model_json_schema`.

    What is none of them is given back as it is, for the check.
    """
    made = getattr(given, "model_json_schema", None)
    if made is not None:
        given = made()
    if isinstance(given, Mapping | bool):
        try:
            return json.dumps(given, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ArgumentError(
                f"json_schema: expected what JSON has a form for: {error}"
            ) from None
    return given


class Constraint:
    """What one answer must follow; made by `constraint_of`."""

    def __init__(self, matcher: Any, what: str) -> None:
        self._matcher, self._what = matcher, what
        self._check()

    def masked(self, logits: Tensor) -> Tensor:
        """Logits `(vocabulary,)` with -inf at what may not come next.

        Raises:
            ArgumentError: nothing may come next, or following it takes too much.
        """
        found = self._matcher.compute_logit_bias()
        self._check()
        size = logits.shape[0]
        allowed = frombuffer(bytearray(found[:size].ljust(size, b"\0")), dtype=u8)
        return logits.masked_fill(allowed.eq(0), -math.inf)

    def take(self, token: int) -> bool:
        """Note the token that was chosen; whether the answer is at its end."""
        self._matcher.consume_token(token)
        self._check()
        return bool(self._matcher.is_stopped())

    def _check(self) -> None:
        if self._matcher.is_error():
            told = " ".join(self._matcher.get_error().partition("<state>")[0].split())[:300]
            raise ArgumentError(f"{self._what}: expected one that can be followed: {told}")


def constraint_of(
    params: SamplingParams, tokenizer: Tokenizer | None, ends: Collection[int], vocabulary: int
) -> Constraint | None:
    """What an answer must follow by its parameters; None if it may be anything.

    Raises:
        ArgumentError: a schema that nothing satisfies, something that is no such, or there is no
            tokenizer.
        MissingExtraError: llguidance is not installed.
    """
    given = {name: getattr(params, name) for name in ("json_schema", "regex", "grammar")}
    what = next((name for name, value in given.items() if value is not None), None)
    if what is None:
        return None
    wanted = "none for a model without a tokenizer"
    expect(tokenizer is not None, what, wanted, "one", ArgumentError)
    guidance = _package()
    grammar = _COMPILERS[what](guidance, given[what])
    table = _table(guidance, tokenizer, ends, vocabulary)
    matcher = guidance.LLMatcher(table, grammar, log_level=0)
    made = Constraint(matcher, what)
    matcher.compute_logit_bias()  # an error before the first token, where there is none
    good = not matcher.is_error()
    expect(good, what, "one that some text follows", "one that none does", ArgumentError)
    return made


def _schema(guidance: Any, text: str) -> str:
    text = {"true": "{}", "false": '{"enum": []}'}.get(text.strip(), text)
    try:
        found: str = guidance.LLMatcher.grammar_from_json_schema(text, defaults=_JSON)
    except ValueError as error:
        told = " ".join(str(error).split())[:300]
        raise ArgumentError(f"json_schema: expected a JSON schema, got {told}") from None
    return found


def _grammar(guidance: Any, text: str) -> str:
    """Of llguidance's Lark, or of llama.cpp's GBNF, whose rules have `::=`."""
    if "::=" in text:
        try:
            from llguidance.gbnf_to_lark import any_to_lark

            text = any_to_lark(text)
        except Exception as error:  # of a parser of its own
            told = " ".join(str(error).split())[:300]
            raise ArgumentError(f"grammar: expected rules of GBNF, got {told}") from None
    found: str = guidance.LLMatcher.grammar_from_lark(text)
    return found


_COMPILERS = {
    "json_schema": _schema,
    "regex": lambda guidance, text: guidance.LLMatcher.grammar_from_regex(text),
    "grammar": _grammar,
}


def _package() -> Any:
    try:
        import llguidance
    except ImportError as error:
        raise MissingExtraError(
            "constraints: expected the package llguidance, which is not installed; "
            'run: pip install "tallow[structured]"'
        ) from error
    return llguidance


class _Words:
    """A tokenizer as llguidance asks for it: the bytes of each token, and which are special."""

    def __init__(self, tokenizer: Tokenizer, end: int | None) -> None:
        count = tokenizer.vocab_size
        special = set(tokenizer.special_ids)
        self.tokens = [tokenizer.token_bytes(i) for i in range(count)]
        if end is None:  # one that the model cannot write
            self.tokens.append(b"<end>")
            special.add(count)
            end = count
        self.eos_token_id, self.bos_token_id = end, tokenizer.bos_id
        self.special_token_ids = sorted(special)
        self._tokenizer = tokenizer

    def __call__(self, text: str | bytes) -> list[int]:
        plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return self._tokenizer.encode(plain, add_special=False)


def _table(
    guidance: Any, tokenizer: Tokenizer | None, ends: Collection[int], vocabulary: int
) -> Any:
    """What llguidance makes of a tokenizer, once."""
    assert tokenizer is not None, "checked by the caller"
    key = (vocabulary, *sorted(ends))
    with _LOCK:
        held = _TABLES.setdefault(tokenizer, {})
        if key not in held:
            known = [end for end in sorted(ends) if end < tokenizer.vocab_size]
            words = _Words(tokenizer, known[0] if known else None)
            wrapped = guidance.TokenizerWrapper(words)
            given = known or [words.eos_token_id]
            held[key] = guidance.LLTokenizer(wrapped, n_vocab=len(words.tokens), eos_token=given)
        return held[key]
