"""The table of families: `model_type` → classes and the module that has them."""

from __future__ import annotations

import fnmatch
from collections.abc import Container, Mapping
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass
from tallow.models import rows as rows_text

if TYPE_CHECKING:
    from tallow.models.base import Model
    from tallow.models.gguf_layout import GGUFLayout

# What `task=` asks for → how the names of such architectures end. Names are those of
# transformers' pipelines, and `embedding`: the model without a head.
TASKS: dict[str, tuple[str, ...]] = {
    "embedding": ("Model",),
    "feature-extraction": ("Model",),
    "fill-mask": ("ForMaskedLM",),
    "text-classification": ("ForSequenceClassification",),
    "reranking": ("ForSequenceClassification",),
    "token-classification": ("ForTokenClassification",),
    "question-answering": ("ForQuestionAnswering",),
    "multiple-choice": ("ForMultipleChoice",),
    "text-generation": ("ForCausalLM", "LMHeadModel"),
    "image-classification": ("ForImageClassification", "ForImageClassificationWithTeacher"),
    "zero-shot-image-classification": ("Model",),
    "object-detection": ("ForObjectDetection",),
    "image-segmentation": ("ForSemanticSegmentation", "ForSegmentation"),
    "depth-estimation": ("ForDepthEstimation",),
    "mask-generation": ("SamModel",),
    "image-to-text": ("VisionEncoderDecoderModel", "ForConditionalGeneration"),
    "translation": ("ForConditionalGeneration", "MarianMTModel", "EncoderDecoderModel"),
    "summarization": ("ForConditionalGeneration", "MarianMTModel", "EncoderDecoderModel"),
    "text2text-generation": ("ForConditionalGeneration", "MarianMTModel", "EncoderDecoderModel"),
    "automatic-speech-recognition": ("ForConditionalGeneration", "ForCTC"),
    "audio-classification": ("ForAudioClassification", "ForSequenceClassification"),
    "audio-frame-classification": ("ForAudioFrameClassification",),
    "audio-xvector": ("ForXVector", "Ge2eModel"),
    "backbone": ("Backbone",),
}


@dataclass(frozen=True)
class Family:
    """A row of the table: `name` is Hugging Face's `model_type`."""

    name: str
    file: str
    classes: Mapping[str, str]  # architecture → class

    @cached_property
    def module(self) -> Any:
        """The family's module."""
        return import_module(f"tallow.models.families.{self.file}")

    @property
    def model(self) -> type[Model]:
        """The class of a checkpoint that names none."""
        return self.of(next(iter(self.classes)))

    @property
    def generative(self) -> type[Model]:
        """The class that generates text, which is what GGUF files hold; else the first."""
        tasks = ("text-generation", "text2text-generation")
        return next(filter(None, map(self.for_task, tasks)), None) or self.model

    @property
    def config(self) -> Any:
        """The class of the family's configs."""
        return self.model.config_class

    @property
    def projectors(self) -> Mapping[str, Any]:
        """How the family stands in files of projectors, by their type."""
        found: Mapping[str, Any] = import_module(f"tallow.models.projectors.{self.file}").PROJECTORS
        return found

    @property
    def gguf(self) -> GGUFLayout | None:
        """How the family stands in GGUF files; None where it does not."""
        own = f"GGUF_{self.name.upper()}"  # where a module has several families
        return getattr(self.module, own, None) or getattr(self.module, "GGUF", None)

    def of(self, architecture: str) -> type[Model]:
        """The class of an architecture of this family."""
        return getattr(self.module, self.classes[architecture])

    def architecture(self, model: type[Model]) -> str:
        """The architecture that a class of this family stands for."""
        return next((name for name in self.classes if self.of(name) is model), model.__name__)

    def for_task(self, task: str) -> type[Model] | None:
        """The class that a task needs, None where the family has none."""
        for ending in TASKS[task]:
            for architecture in self.classes:
                if architecture.endswith(ending):
                    return self.of(architecture)
        return None


_TENSOR = "tensor "  # before the name of one in a condition


@dataclass(frozen=True)
class GGUFArchitecture:
    """An architecture of GGUF files: its families, with the key and value that choose them.

    `classes` are the architectures of families whose files hold another one than generates.
    """

    name: str
    choices: tuple[tuple[str, str, str], ...]
    classes: Mapping[str, str]

    def family(self, metadata: Mapping[str, Any], names: Container[object] = ()) -> Family:
        """The family of a file with this metadata and tensors: the first whose condition holds."""
        for family, key, wanted in self.choices:
            value = metadata.get(f"{self.name}.{key}") if key else True
            if key.startswith(_TENSOR):
                value = key.removeprefix(_TENSOR) in names
            if str(value) == wanted if wanted else value:
                return FAMILIES[family]
        return FAMILIES[self.choices[-1][0]]


@dataclass(frozen=True)
class TimmFamily(Family):
    """A row of timm's names, each of which has a class for every task of image models."""

    patterns: tuple[str, ...] = ()

    @cached_property
    def views(self) -> Mapping[str, type[Model]]:
        """The class that classifies, and its views for other tasks."""
        from tallow.models.timm import view

        return {kind: view(getattr(self.module, name), kind) for kind, name in self.classes.items()}

    def of(self, architecture: str) -> type[Model]:
        """The class that classifies, or its view for another task."""
        return self.views[architecture]


def find_timm(name: object, where: str) -> TimmFamily:
    """The row of a name of timm's registry, with or without the tag of its weights.

    Raises:
        ModelError: there is none.
    """
    given = name.partition(".")[0] if isinstance(name, str) else ""
    for row in TIMM:
        if any(fnmatch.fnmatchcase(given, pattern) for pattern in row.patterns):
            return row
    known = ", ".join(pattern for row in TIMM for pattern in row.patterns)
    raise ModelError(f"{where}: expected one of timm's names {known}, found {name!r}")


def find(name: object, known: Mapping[str, Any], where: str) -> Any:
    """The row of a name.

    Raises:
        ModelError: there is none; near names are told.
    """
    found = known.get(name) if isinstance(name, str) else None
    if found is None:
        from difflib import get_close_matches

        near = get_close_matches(str(name), known, n=5, cutoff=0.6)
        listed = (f"near: {', '.join(near)}; all: " if near else "") + ", ".join(sorted(known))
        raise ModelError(f"{where}: expected one of the known families ({listed}), found {name!r}")
    return found


def choose(row: Family, architectures: object, task: str | None, where: str) -> type[Model]:
    """The class for a checkpoint: the one that it was saved for, or another that `task` needs.

    Raises:
        ModelError: the family has no class for the task or the architecture.
    """
    have = f"{', '.join(row.classes)} ({row.name})"
    listed = architectures if isinstance(architectures, list) else [architectures]
    names = [name for name in listed if isinstance(name, str) and name in row.classes]
    if task is not None:
        endings = find(task, TASKS, f"{where}: task")
        saved = next((name for name in names if name.endswith(endings)), None)
        found = row.for_task(task) if saved is None else row.of(saved)
        if found is None:
            raise ModelError(f"{where}: task: expected one of {have}, found none for {task!r}")
        return found
    if architectures in (None, [], ()):
        return row.model
    if names:
        return row.of(names[0])
    raise ModelError(
        f"{where}: architectures: expected one of {have}, found {listed}; "
        "task='embedding' takes the model without a head"
    )


def _families() -> dict[str, Family]:
    rows: dict[str, Family] = {}
    for line in rows_text.FAMILIES.replace("\n    ", " ").strip().splitlines():
        head, _, rest = line.partition(":")
        name, _, file = (part.strip() for part in head.partition("="))
        pairs = (each.partition("=") for each in rest.split())
        classes = {architecture: other or architecture for architecture, _, other in pairs}
        rows[name] = Family(name, file or name.replace("-", "_"), classes)
    return rows


def _timm() -> tuple[TimmFamily, ...]:
    rows = []
    for line in rows_text.TIMM.replace("\n    ", " ").strip().splitlines():
        patterns, _, rest = line.partition(":")
        file, name = rest.split()
        kinds = dict.fromkeys(("ForImageClassification", "Model", "Backbone"), name)
        rows.append(TimmFamily(file, file, kinds, tuple(patterns.split())))
    return tuple(rows)


def _gguf(text: str, prefix: str = "") -> dict[str, GGUFArchitecture]:
    rows = {}
    for line in text.replace("\n    ", " ").strip().splitlines():
        name, _, rest = line.partition(":")
        choices, classes = [], {}
        for choice in rest.split(","):
            chosen, _, condition = choice.strip().partition(" if ")
            family, _, architecture = chosen.partition("/")
            if architecture:
                classes[family] = architecture
            key, _, value = condition.partition("=")
            choices.append((family, key, value))
        rows[name] = GGUFArchitecture(prefix or name, tuple(choices), classes)
    return rows


FAMILIES: Mapping[str, Family] = _families()
TIMM: tuple[TimmFamily, ...] = _timm()
GGUF_ARCHITECTURES: Mapping[str, GGUFArchitecture] = _gguf(rows_text.GGUF)
# By the type of a projector.
PROJECTORS: Mapping[str, GGUFArchitecture] = _gguf(rows_text.PROJECTORS, "clip.vision")
