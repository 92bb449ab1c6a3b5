"""Quantise a whole model: plan a dtype for each tensor, then write the file tensor by tensor."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from tallow.conversion.casting import cast, expect_finite
from tallow.conversion.content import Content, Entry, stored_bytes
from tallow.conversion.file_types import FileType
from tallow.conversion.writers import ACTIVATION_DTYPES
from tallow.dtype import DTYPES, by_name, f32
from tallow.errors import ArgumentError, ModelError
from tallow.formats.gguf_types import GGML_IDS
from tallow.lazy_dataclasses import dataclass
from tallow.quantization.mix_rules import TOKEN_EMBEDDINGS, Choice, Facts, Options, Subject
from tallow.quantization.mixes import needs_imatrix, plan

if TYPE_CHECKING:
    from tallow.formats.imatrix import ImportanceMatrix
    from tallow.hub.progress import Progress
    from tallow.tensor import Tensor

SLAB = 1 << 22  # elements that are held as floats at a time: 16 MB
QUANTIZATION_VERSION = 2  # GGML_QNT_VERSION of ggml.h
TARGET_DTYPES = (
    "f32", "f16", "bf16",
    *(row.name for row in DTYPES if row.is_quantized and row.name in GGML_IDS
      and row.name not in ACTIVATION_DTYPES),
)  # fmt: skip
_SET_BY_US = ("general.quantization_version", "general.file_type")


@dataclass(frozen=True)
class ModelPlan:
    """The file that is to be made: its type, and what becomes of each tensor, in order."""

    kind: FileType
    choices: tuple[Choice, ...]
    bytes_before: int

    @property
    def bytes_after(self) -> int:
        """The size of all tensors in the file to be made."""
        return sum(stored_bytes(row.dtype, row.subject.shape) for row in self.choices)

    @property
    def elements(self) -> int:
        """How many parameters there are."""
        return sum(math.prod(row.subject.shape) for row in self.choices)

    @property
    def changed(self) -> list[Choice]:
        """The tensors that get another dtype."""
        return [row for row in self.choices if row.dtype != row.subject.dtype]

    @property
    def fallbacks(self) -> int:
        """How many tensors have rows that the intended blocks do not divide."""
        return sum(row.fallback for row in self.choices)

    @property
    def without_imatrix(self) -> list[Choice]:
        """The tensors that are garbage if made without an importance matrix."""
        return [row for row in self.choices if needs_imatrix(row, self.kind)]


def plan_model(
    content: Content, kind: FileType, options: Options | None = None, *, has_imatrix: bool = False
) -> ModelPlan:
    """What `quantize_model` would write, without reading a tensor."""
    values = {key: getattr(value, "value", value) for key, value in content.metadata.items()}
    subjects = [Subject(row.name, row.shape, row.dtype) for row in content.entries.values()]
    choices = plan(subjects, kind, Facts.of(values, has_imatrix=has_imatrix), options)
    before = sum(row.nbytes for row in content.entries.values())
    return ModelPlan(kind, tuple(choices), before)


def quantize_model(
    content: Content,
    made: ModelPlan,
    out: str | os.PathLike[str],
    *,
    importance: ImportanceMatrix | None = None,
    importance_path: str = "",
    allow_requantize: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write `content` as GGUF with the dtypes of `made`; one slab of one tensor is held as floats.

    Raises:
        ArgumentError: the importance matrix is missing where it is needed, or is of another model.
        FormatError: a file is damaged or cannot be written.
        ModelError: a tensor is quantised already and `allow_requantize` is not set, or holds nan.
    """
    from tallow.formats.gguf import LazyTensor, save_gguf

    check(content, made, importance, allow_requantize=allow_requantize)
    tell = (lambda n: None) if progress is None else progress.advance
    tensors = {}
    for choice in made.choices:
        entry = content.entries[choice.subject.name]
        weights = _weights_for(entry, choice, importance)
        make = partial(_make, entry, choice.dtype, weights, tell)
        tensors[entry.name] = LazyTensor(choice.dtype, entry.shape, make)
    if progress is not None:
        progress.start(f"{made.kind.name} {os.fsdecode(out)}", made.bytes_before)
    try:
        save_gguf(tensors, out, _metadata(content, made, importance, importance_path))
    finally:
        if progress is not None:
            progress.finish()


def check(
    content: Content,
    made: ModelPlan,
    importance: ImportanceMatrix | None,
    *,
    allow_requantize: bool,
) -> None:
    """Refuse what cannot be made or would be garbage, before anything is written."""
    lacking = [
        row.subject.name
        for row in made.without_imatrix
        if importance is None or row.subject.name not in importance
    ]
    if lacking:
        wanted = f"{made.kind.name}: expected an importance matrix (--imatrix) for"
        raise ArgumentError(f"{wanted} {_some(lacking)}: without one the result is garbage")
    again = [row.subject for row in made.changed if by_name(row.subject.dtype).is_quantized]
    if again and not allow_requantize:
        found = f"{again[0].name} in {again[0].dtype}"
        raise ModelError(
            f"{content.origin}: expected float weights, found {found}: quantising twice loses "
            "quality; --allow-requantize does it nevertheless"
        )
    odd = [s for s in (row.subject for row in made.changed) if by_name(s.dtype).kind not in "fq"]
    if odd:
        raise ModelError(f"{content.origin}: {odd[0].name}: expected floats, found {odd[0].dtype}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"


def _weights_for(
    entry: Entry, choice: Choice, importance: ImportanceMatrix | None
) -> Tensor | None:
    """The mean squares for a tensor as `(experts, columns)`; None where the matrix has none."""
    if importance is None or choice.dtype == entry.dtype:
        return None
    if entry.name not in importance:
        return None
    found = importance.values(entry.name)
    experts = entry.shape[0] if len(entry.shape) > 2 else 1
    if found.numel() != experts * entry.shape[-1]:
        if entry.name in TOKEN_EMBEDDINGS:  # rows are looked up there, its columns have no input
            return None
        wanted = f"{experts * entry.shape[-1]} values for {entry.name}"
        raise ArgumentError(f"imatrix: expected {wanted}, got {found.numel()}: of another model?")
    return found.reshape(experts, entry.shape[-1])


def _make(
    entry: Entry,
    dtype: str,
    weights: Tensor | None,
    tell: Callable[[int], None],
) -> bytes | bytearray:
    from tallow.tensor import tobytes

    if dtype == entry.dtype:
        tell(entry.nbytes)
        return tobytes(entry.take())
    columns = entry.shape[-1]
    rows = entry.values().reshape(-1, columns)
    experts = 1 if weights is None else weights.shape[0]
    per_expert = rows.shape[0] // experts
    step = max(1, SLAB // columns)
    made = bytearray()
    for begin, end, expert in _slabs(per_expert, experts, step):
        part = rows[begin:end].to(f32)
        expect_finite(entry.name, part)
        weight = None if weights is None else weights[expert]
        made += tobytes(cast(entry.name, part, dtype, weight))
        tell(stored_bytes(entry.dtype, (end - begin, columns)))
    return made


def _slabs(per_expert: int, experts: int, step: int) -> Iterable[tuple[int, int, int]]:
    for expert in range(experts):
        first = expert * per_expert
        for begin in range(first, first + per_expert, step):
            yield begin, min(begin + step, first + per_expert), expert


def _metadata(
    content: Content, made: ModelPlan, importance: ImportanceMatrix | None, path: str
) -> dict[str, Any]:
    """The keys of the source, and those that llama-quantize sets, at the end as it does."""
    from tallow.formats.gguf import Typed

    keys = {key: value for key, value in content.metadata.items() if key not in _SET_BY_US}
    keys["general.quantization_version"] = Typed("u32", QUANTIZATION_VERSION)
    keys["general.file_type"] = Typed("u32", made.kind.code)
    if importance is not None:
        head = "quantize.imatrix."
        keys[head + "file"] = Typed("str", path)
        if importance.datasets:
            keys[head + "dataset"] = Typed("str", importance.datasets[0])
        keys[head + "entries_count"] = Typed("u32", len(importance))
        if importance.chunk_count > 0:
            keys[head + "chunks_count"] = Typed("u32", importance.chunk_count)
    return keys
