"""Writes a tokenizer as tables that csrc/text reads in place, without Python and without parsing.

The layout is that of csrc/text/tables.h: a header, then sections of little-endian numbers and of
texts, with hash tables and sorted orders already built. What a tokenizer has and the tables have no
form for is refused by name.
"""

from __future__ import annotations

from tallow.errors import MissingExtraError, TallowError
from tallow.text.chat_tables import PlainChat
from tallow.text.encoder import Encoder, VocabEncoder
from tallow.text.folder import FileEncoder
from tallow.text.folder_files import steps_of
from tallow.text.folder_python import stand_in
from tallow.text.pipeline_python import Pipeline
from tallow.text.rows import affixes
from tallow.text.steps_python import SPACES
from tallow.text.table_builder import (
    ADDED_CONTROL,
    IN_NORMALIZED,
    IN_RAW,
    SCAN_BEHIND_SPACE,
    SKIPS_EXCLUDED,
    TAKES_AFTER,
    TAKES_BEFORE,
    WHOLE_WORD,
    Builder,
)  # fmt: skip
from tallow.text.table_models import FROM_FILE, FROM_VOCAB
from tallow.text.table_patterns import refused
from tallow.text.table_steps import Steps
from tallow.text.tokenizer import Tokenizer
from tallow.text.vocab import CONTROL, UNKNOWN, USER_DEFINED, Vocab


def tokenizer_tables(tokenizer: Tokenizer, chat: PlainChat | None = None) -> bytes:
    """The tables of a tokenizer, and those of the `chat` that its model holds.

    Raises:
        ModelError: it has a part that the tables have no form for; the text names it.
    """
    try:
        return _tables(tokenizer, chat)
    except TallowError:
        raise
    except (AttributeError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise refused(f"a step of the wrong form ({error})") from error


def _tables(tokenizer: Tokenizer, chat: PlainChat | None) -> bytes:
    vocab, encoder = _python_form(tokenizer._vocab, tokenizer._encoder)
    made = Builder(vocab)
    if isinstance(encoder, Pipeline):
        _from_file(made, encoder)
    elif vocab.algorithm == "trie":
        raise refused("a vocabulary that is searched as a trie")
    elif type(encoder) is VocabEncoder and vocab.decoder is None:
        _from_vocab(made, encoder)
    else:
        raise refused(f"a tokenizer of the kind {type(encoder).__module__}")
    return made.finish(chat)


def _python_form(vocab: Vocab, encoder: Encoder) -> tuple[Vocab, Encoder]:
    """The vocabulary and encoder whose parts are known here."""
    if not isinstance(encoder, FileEncoder):
        return vocab, encoder
    try:
        return stand_in(vocab, encoder._root)
    except MissingExtraError as error:
        what = str(error).partition(":")[2].partition("needs the package")[0].strip()
        raise refused(what) from None


def _from_vocab(made: Builder, encoder: VocabEncoder) -> None:
    """A vocabulary of GGUF, or byte-level BPE that patterns alone cut."""
    vocab, steps = made.vocab, made.steps
    if vocab.nfc:
        steps.add_form(steps.before, "NFC")
    FROM_VOCAB[vocab.algorithm](made)
    rows = []
    for text, index in vocab.added(USER_DEFINED, CONTROL, UNKNOWN).items():
        # An ordinary token that is spelled like a control one counts as one.
        bits = 0 if vocab.kinds[index] == USER_DEFINED else ADDED_CONTROL
        bits |= TAKES_BEFORE * (index in vocab.strips_before)
        bits |= TAKES_AFTER * (index in vocab.strips_after)
        rows.append((text, index, bits | IN_RAW))
    made.added(rows, " \t\n\v\f\r")
    made.around(vocab.prefix_ids, vocab.suffix_ids, encoder.template)


def _from_file(made: Builder, encoder: Pipeline) -> None:
    """A tokenizer.json, step by step."""
    root = encoder.root
    model, suffix = root["model"], str(root["model"].get("end_of_word_suffix") or "")
    made.steps = Steps(suffix)
    for step in steps_of(root.get("normalizer"), "normalizers"):
        made.steps.normalizer(step)
    for step in steps_of(root.get("pre_tokenizer"), "pretokenizers"):
        made.steps.pretokenizer(step)
    special = {str(row["content"]) for row in root.get("added_tokens") or [] if row.get("special")}
    kind = model.get("type") or "BPE"
    if made.steps.byte_level and kind != "BPE":
        raise refused(f"the model {kind} of bytes")
    FROM_FILE[kind](made, model, special)
    rows = []
    for row in root.get("added_tokens") or []:
        bits = ADDED_CONTROL * bool(row.get("special")) | TAKES_BEFORE * bool(row.get("lstrip"))
        bits |= TAKES_AFTER * bool(row.get("rstrip")) | WHOLE_WORD * bool(row.get("single_word"))
        bits |= IN_NORMALIZED if row.get("normalized") else IN_RAW
        rows.append((encoder._changed(row), int(row["id"]), bits))
    made.added(rows, SPACES)
    made.flags |= SKIPS_EXCLUDED | SCAN_BEHIND_SPACE
    made.around(*affixes(encoder.template), encoder.template)
    if made.vocab.decoder is not None:
        suffix = suffix if made.vocab.algorithm == "bpe" else ""
        made.steps.decoders(steps_of(root.get("decoder"), "decoders"), suffix)
