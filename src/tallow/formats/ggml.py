"""The containers of llama.cpp before GGUF (GGML, GGMF, GGJT) and those of whisper.cpp.

All are a head of numbers, a vocabulary, and tensors up to the end of the file, each behind its own
little head. Sources: `convert_llama_ggml_to_gguf.py` of llama.cpp (what its versions had in common
and where they differed), `models/convert-pt-to-ggml.py` of whisper.cpp, `ggml.h` for the types.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tallow.formats.cursor import Cursor
from tallow.formats.gguf_types import GGML_TYPES, MAX_DIMS, WITHDRAWN_TYPES
from tallow.formats.mapping import (
    MAX_INT64,
    FileMap,
    TensorFile,
    TensorInfo,
    element_count,
    opening,
    shown,
)

if TYPE_CHECKING:
    from tallow.formats.mapping import Source

MAX_TEXT: Final = 4096  # bytes of a token or name; more means that it is a file of another model

_LLAMA: Final = ("n_vocab", "n_embd", "n_mult", "n_head", "n_layer", "n_rot", "ftype")
_WHISPER: Final = (
    "n_vocab", "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer", "n_text_ctx",
    "n_text_state", "n_text_head", "n_text_layer", "n_mels", "ftype",
)  # fmt: skip
MEL_FILTERS: Final = "mel_filters"
MEL_FREQUENCIES: Final = 201  # of a Fourier transform over 400 samples, in all Whisper models
_QUANT_VERSION: Final = 1000  # GGML_QNT_VERSION_FACTOR: what whisper.cpp adds to ftype


class _Layout(NamedTuple):
    """What a container has; `versions` gives the generation of block layouts of each version."""

    name: str
    versions: dict[int, int]
    scores: bool
    alignment: int


_MAGICS: Final = {
    b"lmgg": _Layout("GGML", {}, False, 1),
    b"fmgg": _Layout("GGMF", {1: 0}, True, 1),
    b"tjgg": _Layout("GGJT", {1: 0, 2: 1, 3: 2}, True, 32),
}
# Types whose blocks have been the same since a generation of layouts. The first change (May 2023)
# ordered the nibbles anew, the second made the scales of some types half floats.
_FLOATS: Final = frozenset({"f32", "f16"})
_READABLE: Final = (
    _FLOATS,
    _FLOATS | {"q5_0", "q5_1"},
    _FLOATS | {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k"},
)


class GGMLFile(TensorFile):
    """An open file of the time before GGUF.

    `.metadata` has `container` (GGML, GGMF, GGJT or whisper.cpp), `version` and the numbers of the
    head under llama.cpp's names (`n_vocab`, `n_embd`, …, `ftype`). `.vocabulary` has the tokens as
    bytes, `.scores` their scores, None in files that have none. Whisper's mel filters are the
    tensor `mel_filters`. GGJT aligns tensors; the others do not, so that some are copied when they
    are taken.
    """

    def __init__(
        self,
        file: FileMap,
        tensors: dict[str, TensorInfo],
        metadata: dict[str, Any],
        vocabulary: tuple[bytes, ...],
        scores: tuple[float, ...] | None,
    ) -> None:
        super().__init__(file, tensors)
        self.metadata, self.vocabulary, self.scores = metadata, vocabulary, scores


def open_ggml(source: Source) -> GGMLFile:
    """Open a LLaMA file of GGML, GGMF 1 or GGJT 1 to 3, or a Whisper file, by mapping it.

    No byte of a tensor is read. Of a model in several files (`.bin`, `.bin.1`, …) each is opened by
    itself and has its part of every tensor. Blocks of layouts that ggml has changed since are
    refused: all quantised ones before GGJT 2, Q4_0, Q4_1 and Q8_0 before GGJT 3.

    Raises:
        FormatError: not such a file, of another model or version, damaged, or quantised in a layout
            that is no longer read.
    """
    with opening(source) as file:
        return _parse(file)


def _parse(file: FileMap) -> GGMLFile:
    cursor = Cursor(file)
    magic = cursor.raw(min(4, cursor.size), "magic")
    if magic == b"algg":
        raise cursor.fail("magic", "a model", "GGLA, a LoRA adapter of former times")
    if magic == b"GGUF":
        raise cursor.fail("magic", "a file older than GGUF", "GGUF: use open_gguf")
    if magic not in _MAGICS:
        raise cursor.fail("magic", f"one of {', '.join(map(repr, _MAGICS))}", repr(magic))
    layout = _MAGICS[magic]
    if not layout.versions and _is_whisper(cursor):
        return _parse_whisper(file, cursor)
    version, generation = 0, 0
    if layout.versions:
        version = cursor.u32("version")
        if version not in layout.versions:
            known = " or ".join(map(str, layout.versions))
            raise cursor.fail("version", f"{known} of {layout.name}", version)
        generation = layout.versions[version]
    metadata: dict[str, Any] = {"container": layout.name, "version": version}
    metadata |= _numbers(cursor, _LLAMA)
    vocabulary, scores = _vocabulary(cursor, metadata["n_vocab"], scores=layout.scores)
    label = f"{layout.name} {version}".removesuffix(" 0")
    tensors = _tensors(cursor, {}, layout.alignment, generation, label)
    return GGMLFile(file, tensors, metadata, vocabulary, scores)


def _numbers(cursor: Cursor, names: tuple[str, ...]) -> dict[str, int]:
    start = cursor.take(4 * len(names), "head")
    values = struct.unpack_from(f"<{len(names)}i", cursor.buffer, start)
    return dict(zip(names, values, strict=True))


def _is_whisper(cursor: Cursor) -> bool:
    """Whether Whisper's numbers follow: the mel bands are told twice, their 201 frequencies behind.

    In a LLaMA file these places are within the first tokens.
    """
    if cursor.size < cursor.at + 52:
        return False
    values: tuple[int, ...] = struct.unpack_from("<13i", cursor.buffer, cursor.at)
    return values[9] == values[11] > 0 and values[12] == MEL_FREQUENCIES


def _parse_whisper(file: FileMap, cursor: Cursor) -> GGMLFile:
    numbers = _numbers(cursor, _WHISPER)
    quantised, numbers["ftype"] = divmod(numbers["ftype"], _QUANT_VERSION)
    metadata: dict[str, Any] = {"container": "whisper.cpp", "version": quantised, **numbers}
    shape = (cursor.u32("mel bands"), cursor.u32("mel frequencies"))
    nbytes = 4 * shape[0] * shape[1]
    filters = TensorInfo(MEL_FILTERS, "f32", shape, cursor.take(nbytes, "mel filters"), nbytes)
    vocabulary, _ = _vocabulary(cursor, cursor.u32("vocabulary count"), scores=False)
    if not 0 <= quantised < len(_READABLE):
        wanted = f"0 to {len(_READABLE) - 1}, the quantisations known so far"
        raise cursor.fail("ftype / 1000", wanted, quantised)
    label = f"whisper.cpp, quantisation {quantised}"
    tensors = _tensors(cursor, {MEL_FILTERS: filters}, 1, quantised, label)
    return GGMLFile(file, tensors, metadata, vocabulary, None)


def _vocabulary(
    cursor: Cursor, count: int, *, scores: bool
) -> tuple[tuple[bytes, ...], tuple[float, ...] | None]:
    if count < 0:
        raise cursor.fail("vocabulary count", "0 or more", count)
    cursor.need(count * (8 if scores else 4), f"vocabulary of {count}")
    tokens, numbers = [], []
    for number in range(count):
        length = cursor.u32(f"token {number} length")
        if length > MAX_TEXT:
            wanted = f"at most {MAX_TEXT} bytes in a file of LLaMA or Whisper"
            raise cursor.fail(f"token {number} length", wanted, length)
        tokens.append(cursor.raw(length, f"token {number}"))
        if scores:
            start = cursor.take(4, f"token {number} score")
            numbers.append(struct.unpack_from("<f", cursor.buffer, start)[0])
    return tuple(tokens), tuple(numbers) if scores else None


def _tensors(
    cursor: Cursor,
    found: dict[str, TensorInfo],
    alignment: int,
    generation: int,
    label: str,
) -> dict[str, TensorInfo]:
    while cursor.at < cursor.size:
        cursor.where = f"tensor {len(found)}"
        dims, length, kind = (cursor.u32(field) for field in ("dimensions", "name length", "type"))
        if not 0 < dims <= MAX_DIMS:
            raise cursor.fail("dimensions", f"1 to {MAX_DIMS}", dims)
        if length > MAX_TEXT:
            raise cursor.fail("name length", f"at most {MAX_TEXT}", length)
        start = cursor.take(4 * dims, "shape")
        lengths: tuple[int, ...] = struct.unpack_from(f"<{dims}I", cursor.buffer, start)
        name = cursor.text(length, "name")
        cursor.where = f"tensor {shown(name)}"
        if name in found:
            raise cursor.fail("name", "a name not used before", "the same name twice")
        dtype = _dtype(cursor, kind, generation, label)
        nbytes = _size(cursor, kind, lengths)
        cursor.take(-cursor.at % alignment, "padding")
        offset = cursor.take(nbytes, "data")
        found[name] = TensorInfo(name, dtype, lengths[::-1], offset, nbytes)
    cursor.where = ""
    return found


def _dtype(cursor: Cursor, kind: int, generation: int, label: str) -> str:
    if kind in WITHDRAWN_TYPES:
        raise cursor.fail("type", "a type of ggml", f"{WITHDRAWN_TYPES[kind]}, withdrawn from it")
    if kind > 15:  # larger numbers had other meanings then, and were not used in files
        raise cursor.fail("type", "a type of ggml", kind)
    name = GGML_TYPES[kind].name
    if name not in _READABLE[generation]:
        known = (row.name for row in GGML_TYPES.values())
        readable = " ".join(one for one in known if one in _READABLE[generation])
        got = f"{name}, whose blocks were another layout then: convert the original model again"
        raise cursor.fail("type", f"one of {readable} in a file of {label}", got)
    return name


def _size(cursor: Cursor, kind: int, lengths: tuple[int, ...]) -> int:
    row = GGML_TYPES[kind]
    elements = element_count(lengths, MAX_INT64 // row.size)
    if elements is None:
        raise cursor.fail("shape", "fewer than 2^63 bytes", lengths)
    if lengths[0] % row.block:
        wanted = f"rows of a multiple of {row.block} elements of {row.name}"
        raise cursor.fail("shape", wanted, lengths[0])
    return elements // row.block * row.size
