"""Phonemes of texts by the program espeak-ng, and their numbers for Piper's voices."""

from __future__ import annotations

import re
import subprocess
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tallow.errors import ArgumentError, MissingExtraError, TallowError

PAD: Final = "_"
BEGIN: Final = "^"
END: Final = "$"

PROGRAM: Final = "espeak-ng"
_CLAUSE: Final = re.compile(r"(.+?)(?:([.?!,;:…—])[.?!,;:…—]*(?=[\"'”’»)\]]*(?:\s|$))|$)", re.S)
_PARAGRAPH: Final = re.compile(r"\n[ \t\r]*\n")
_NEXT: Final = re.compile(r"\s+(\S)")
_EDGES: Final = "\"'“”‘’«»()[] \t\r\n"
_ENDS: Final = frozenset(".?!")
_MARKS: Final = {"…": ".", "—": ";"}
_LANGUAGE: Final = re.compile(r"\([a-z-]+\)")  # where espeak-ng changes to another and back


def clauses(text: str) -> Iterator[tuple[str, str]]:
    """Parts of a paragraph and the mark after each, one of `.?!,;:` or nothing.

    A single point before a small letter ends nothing, as in `e.g. this`.
    """
    before = ""
    for found in _CLAUSE.finditer(text):
        part, mark = before + found[1], found[2] or ""
        after = _NEXT.match(text, found.end())
        if text[found.end(1) : found.end()] == "." and after and after[1].islower():
            before = part + mark
            continue
        before = ""
        words = part.strip(_EDGES)
        if any(c.isalnum() for c in words):
            yield words, _MARKS.get(mark, mark)


def sentences(text: str) -> Iterator[list[tuple[str, str]]]:
    """The clauses of each sentence; an empty line ends one too."""
    for paragraph in _PARAGRAPH.split(text):
        part: list[tuple[str, str]] = []
        for words, mark in clauses(paragraph):
            part.append((words, mark))
            if mark in _ENDS:
                yield part
                part = []
        if part:
            yield part


def espeak_sentences(text: str, voice: str) -> Iterator[str]:
    """The phonemes of each sentence of a text, in the International Phonetic Alphabet.

    Raises:
        MissingExtraError: the program espeak-ng is not installed.
        ArgumentError: it has no such voice.
    """
    for sentence in sentences(text):
        made = ""
        for words, mark in sentence:
            made += espeak(words, voice) + mark
            made += " " if mark and mark not in _ENDS else ""
        if made.strip(" .?!,;:"):
            yield unicodedata.normalize("NFD", made.strip())


def espeak(words: str, voice: str) -> str:
    """What espeak-ng says of words that hold no mark between clauses."""
    command = [PROGRAM, "-q", "--ipa", "-b", "1", "-v", voice, "--stdin"]
    try:
        done = subprocess.run(command, input=words.encode(), capture_output=True, check=False)
    except FileNotFoundError:
        raise MissingExtraError(
            f"phonemes of texts need the program {PROGRAM}: apt install {PROGRAM} "
            f"(brew install {PROGRAM}), or give phonemes instead of a text"
        ) from None
    except OSError as error:
        raise ArgumentError(f"{PROGRAM}: expected a program that runs, got: {error}") from None
    if done.returncode:
        why = " ".join(done.stderr.decode(errors="replace").split()) or f"exit {done.returncode}"
        raise ArgumentError(f"{PROGRAM}: expected phonemes in the voice {voice!r}, got: {why}")
    lines = _LANGUAGE.sub("", done.stdout.decode(errors="replace")).splitlines()
    return " ".join(line.strip() for line in lines if line.strip())


def ids_of(
    phonemes: str, table: Mapping[str, Sequence[int]], other: Mapping[str, Sequence[str]]
) -> tuple[list[int], list[str]]:
    """The numbers of phonemes as Piper's voices take them, and the phonemes that have none.

    A pad stands after the begin and after each phoneme; `other` says what a phoneme is written as.
    """
    pad = table[PAD]
    ids, unknown = [*table[BEGIN], *pad], []
    for given in phonemes:
        for phoneme in other.get(given, [given]):
            if phoneme in table:
                ids += [*table[phoneme], *pad]
            elif phoneme not in unknown:
                unknown.append(phoneme)
    return [*ids, *table[END]], unknown


def check_table(table: Any, wrong: type[TallowError], where: str) -> dict[str, list[int]]:
    """A voice's table of phonemes, where it is one."""
    good = isinstance(table, dict) and all(
        isinstance(ids, list) and all(type(i) is int for i in ids) for ids in table.values()
    )
    if not good or not {PAD, BEGIN, END} <= table.keys():
        raise wrong(f"{where}: phoneme_id_map: expected lists of ids with _, ^ and $, got others")
    return dict(table)
