"""Fine-tuning: an adapter of an LLM learns answers from examples; a run goes on where it ended."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tallow.adapters import LoraConfig
from tallow.dtype import i64
from tallow.errors import ArgumentError, FormatError, expect
from tallow.factories import tensor
from tallow.lazy_dataclasses import dataclass
from tallow.nn.utils import clip_grad_norm_
from tallow.optim import AdamW
from tallow.tasks.llm import LLM
from tallow.training import load_checkpoint, save_checkpoint

CHECKPOINT = "checkpoint"
MAX_EXAMPLES_BYTES = 4 << 30
_UNSCORED = -100  # a label of what is given, not learnt


@dataclass(frozen=True)
class TrainingOptions:
    """How an adapter is trained.

    `epochs` times over the examples in an order by `seed`, `batch_size` at once, by AdamW with a
    `learning_rate` that rises over the first `warmup` of the steps and falls to zero linearly.
    Examples are cut at `max_length` tokens; every `checkpoint_every` steps the run is saved.
    """

    epochs: int = 1
    batch_size: int = 4
    learning_rate: float = 2e-4
    warmup: float = 0.05
    weight_decay: float = 0.0
    max_norm: float = 1.0
    max_length: int = 512
    checkpoint_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "checkpoint_every"):
            value = getattr(self, name)
            good = type(value) is int and value >= 1
            expect(good, name, "an integer of at least 1", repr(value), ArgumentError)
        good = type(self.max_length) is int and self.max_length >= 2
        expect(good, "max_length", "an integer of at least 2", self.max_length, ArgumentError)
        rate = self.learning_rate
        expect(0 < rate < 1, "learning_rate", "a number above 0, below 1", rate, ArgumentError)
        expect(0 <= self.warmup < 1, "warmup", "a share below 1", self.warmup, ArgumentError)


@dataclass(frozen=True)
class Example:
    """Token ids, and for each whether it is learnt."""

    ids: tuple[int, ...]
    learnt: tuple[bool, ...]


def read_examples(path: str | os.PathLike[str]) -> list[Mapping[str, Any]]:
    """The rows of a JSONL file: objects with `prompt` and `completion`, or chat `messages`.

    Raises:
        FormatError: the file cannot be read, or a line is something else; the text names it.
    """
    found = []
    try:
        size = Path(path).stat().st_size
        if size > MAX_EXAMPLES_BYTES:
            raise FormatError(path, "size", f"at most {MAX_EXAMPLES_BYTES} bytes", size)
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    found.append(_row(path, number, line))
    except OSError as error:
        raise FormatError(path, "file", "a readable file", error.strerror) from error
    except UnicodeDecodeError as error:
        raise FormatError(path, "content", "text in UTF-8", error.reason) from error
    if not found:
        raise FormatError(path, "content", "at least one example", "none")
    return found


def _row(path: str | os.PathLike[str], number: int, line: str) -> Mapping[str, Any]:
    where = f"line {number}"
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FormatError(path, where, "a JSON object", error) from error
    if not isinstance(row, dict):
        raise FormatError(path, where, "a JSON object", type(row).__name__)
    texts = isinstance(row.get("prompt"), str) and isinstance(row.get("completion"), str)
    if not texts and not isinstance(row.get("messages"), list):
        keys = ", ".join(row) or "no keys"
        raise FormatError(path, where, "texts prompt and completion, or messages", keys[:80])
    return row


def encoded(llm: LLM, row: Mapping[str, Any], max_length: int) -> Example:
    """What a row is to the model: completions, or what assistants say, are learnt, with their end.

    Raises:
        ArgumentError, ModelError: messages that the model's template cannot take, or nothing to
            learn within `max_length` tokens.
    """
    if "messages" in row:
        ids, learnt = _conversation(llm, row)
    else:
        tokenizer = llm.tokenizer
        before = tokenizer.encode(row["prompt"], parse_special=True)
        if tokenizer.eos_id is not None and before[-1:] == [tokenizer.eos_id]:
            before = before[:-1]  # of tokenizers that end every text
        after = tokenizer.encode(row["completion"], add_special=False)
        after += [tokenizer.eos_id] if tokenizer.eos_id is not None else []
        ids, learnt = before + after, [False] * len(before) + [True] * len(after)
    ids, learnt = ids[:max_length], learnt[:max_length]
    wanted = f"something to learn within {max_length} tokens"
    expect(any(learnt[1:]), "example", wanted, f"{len(ids)} tokens without", ArgumentError)
    return Example(tuple(ids), tuple(learnt))


def _conversation(llm: LLM, row: Mapping[str, Any]) -> tuple[list[int], list[bool]]:
    messages, tools = row["messages"], row.get("tools")
    whole = llm.chat_ids(messages, tools=tools, add_generation_prompt=False)
    learnt = [False] * len(whole)
    for i, message in enumerate(messages):
        if not isinstance(message, Mapping) or message.get("role") != "assistant" or i == 0:
            continue
        start = llm.chat_ids(messages[:i], tools=tools)
        end = llm.chat_ids(messages[: i + 1], tools=tools, add_generation_prompt=False)
        if whole[: len(start)] == start and whole[: len(end)] == end:
            learnt[len(start) : len(end)] = [True] * (len(end) - len(start))
        # A template that writes earlier turns otherwise than the last has only that to learn from.
    return whole, learnt


Step = Callable[[int, int, float], None]  # done, of how many, and the loss


class Finetuner:
    """Trains a new adapter of `llm` on `rows`; `run(folder)` writes it in PEFT's layout.

    Raises:
        ArgumentError, ModelError: as `encoded`, naming the row; and as `Adapters.add`.
    """

    def __init__(
        self,
        llm: LLM,
        rows: Sequence[Mapping[str, Any]],
        config: LoraConfig | None = None,
        options: TrainingOptions | None = None,
        *,
        name: str = "default",
    ) -> None:
        self.llm, self.name = llm, name
        self.options = options or TrainingOptions()
        most = min(self.options.max_length, llm.model.context)
        expect(len(rows) > 0, Finetuner, "at least one example", "none", ArgumentError)
        self.examples = []
        for i, row in enumerate(rows):
            try:
                self.examples.append(encoded(llm, row, most))
            except ArgumentError as error:
                raise ArgumentError(f"example {i + 1}: {error}") from None
        llm.adapters.add(config, name)
        self.optimizer = AdamW(
            llm.adapters.trainable(),
            lr=self.options.learning_rate,
            weight_decay=self.options.weight_decay,
        )
        self.losses: list[float] = []

    @property
    def steps(self) -> int:
        """How many steps a whole run has."""
        size = self.options.batch_size
        return self.options.epochs * -(-len(self.examples) // size)

    def run(self, folder: str | os.PathLike[str], *, on_step: Step | None = None) -> list[float]:
        """Train to the end, or go on from the checkpoint in `folder`; the losses of all steps.

        Raises:
            ArgumentError: the checkpoint is of another run.
            FormatError: the folder cannot be written, or its checkpoint is damaged.
        """
        target = Path(folder)
        place = target / CHECKPOINT
        if (place / "state.json").is_file():
            self._resume(place)
        model = self.llm.model
        model.train()
        try:
            for step, batch in enumerate(self._batches()):
                if step < len(self.losses):
                    continue
                self.losses.append(self._step(step, batch))
                if on_step is not None:
                    on_step(step + 1, self.steps, self.losses[-1])
                if (step + 1) % self.options.checkpoint_every == 0 and step + 1 < self.steps:
                    self._save(place)
        finally:
            model.eval()
        self.llm.adapters.save(target, self.name)
        self._save(place)
        return self.losses

    def _step(self, step: int, batch: Sequence[Example]) -> float:
        ids, mask, labels = _padded(batch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * self._share(step)
        self.optimizer.zero_grad()
        loss = self.llm.model(ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        clip_grad_norm_(self.llm.adapters.trainable(), self.options.max_norm)
        self.optimizer.step()
        return float(loss.item())

    def _share(self, step: int) -> float:
        """Of the learning rate, at a step."""
        rise = max(int(self.steps * self.options.warmup), 1)
        return min((step + 1) / rise, (self.steps - step) / max(self.steps - rise + 1, 1))

    def _batches(self) -> Iterator[list[Example]]:
        size = self.options.batch_size
        for epoch in range(self.options.epochs):
            order = list(range(len(self.examples)))
            random.Random(f"{self.options.seed} {epoch}").shuffle(order)
            for at in range(0, len(order), size):
                yield [self.examples[i] for i in order[at : at + size]]

    def _save(self, place: Path) -> None:
        held = self.llm.adapters.held[self.name]
        save_checkpoint(
            place, adapter=held, optimizer=self.optimizer, losses=self.losses, run=self._run_key()
        )

    def _resume(self, place: Path) -> None:
        found = load_checkpoint(place)
        same = found.get("run") == self._run_key()
        wanted = "a checkpoint of this run (the same model, examples and options)"
        expect(same, f"{place}", wanted, "one of another", ArgumentError)
        held = self.llm.adapters.held[self.name]
        rest = load_checkpoint(place, adapter=held, optimizer=self.optimizer)
        self.losses = list(rest["losses"])

    def _run_key(self) -> str:
        """What tells one run from another."""
        shapes = {
            n: tuple(p.shape) for n, p in self.llm.adapters.held[self.name].named_parameters()
        }
        options = {**vars(self.options), "checkpoint_every": 0}
        config = self.llm.adapters.configs[self.name].values()
        text = repr((self.examples, options, sorted(shapes.items()), config))
        return hashlib.sha256(text.encode()).hexdigest()


def _padded(batch: Sequence[Example]) -> tuple[Any, Any, Any]:
    """Ids, mask and labels of examples, padded on the right to the longest."""
    width = max(len(example.ids) for example in batch)
    ids, mask, labels = [], [], []
    for example in batch:
        gap = width - len(example.ids)
        known = zip(example.ids, example.learnt, strict=True)
        scored = [token if learnt else _UNSCORED for token, learnt in known]
        ids.append([*example.ids, *[0] * gap])
        mask.append([1] * len(example.ids) + [0] * gap)
        labels.append([*scored, *[_UNSCORED] * gap])
    return tuple(tensor(rows, dtype=i64) for rows in (ids, mask, labels))  # type: ignore[return-value]
