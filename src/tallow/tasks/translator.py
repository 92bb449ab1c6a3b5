"""Translator: texts from one language into another by Marian, NLLB, M2M-100, mBART or T5."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from tallow.lazy_dataclasses import dataclass
from tallow.tasks.base import as_text
from tallow.tasks.batches import collect
from tallow.tasks.languages import Languages, Route, languages_of
from tallow.tasks.text_writer import Prepared, TextWriter, told_for


@dataclass(frozen=True)
class Translation:
    """A text to translate; languages that are None are the translator's."""

    text: str
    source: str | None = None
    target: str | None = None


class Translator(TextWriter[str | Translation]):
    """A translator: `translator(texts)` gives each in the language `target`.

    `source` and `target` are codes as the model names them (`languages` lists them); a translator
    of one pair needs none. Lines are translated one by one, long ones cut between sentences, so
    that a text keeps its lines and nothing of it is lost. `prefix` is put before each part, for
    models that take instructions.

    Raises:
        ArgumentError: the model has no such language.
    """

    task = "translation"

    def __init__(
        self,
        *args: Any,
        source: str | None = None,
        target: str | None = None,
        prefix: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.source, self.target, self.prefix = source, target, prefix
        if source is not None or target is not None:
            _ = self.route(source, target) if target is not None else None

    def __call__(
        self,
        texts: str | Iterable[str],
        *,
        source: str | None = None,
        target: str | None = None,
        batch_size: int | None = None,
    ) -> Any:
        """The translation of each text; of a single text a string.

        Raises:
            ArgumentError: the model has no such language, or needs to be told one.
            BatchError: some texts failed; the others' translations are kept in it.
        """
        _ = self.route(source, target)
        single = self.is_one(texts)
        listed: list[Any] = [texts] if single else list(texts)
        items = [Translation(text, source, target) for text in listed]
        found = collect(self.stream(items, batch_size=batch_size), lambda item, made: made)
        return found[0] if single else found

    @cached_property
    def languages(self) -> Languages:
        """The model's languages: `languages.sources` and `languages.targets`."""
        return languages_of(self.model, self.tokenizer)

    def route(self, source: str | None = None, target: str | None = None) -> Route:
        """What the model is told of two languages.

        Raises:
            ArgumentError: the model has no such language, or needs to be told one.
        """
        if self.prefix is not None and not (source or target or self.source or self.target):
            return Route(self.prefix)
        route = self.languages.route(source or self.source, target or self.target)
        return route if self.prefix is None else route._replace(before=self.prefix + route.before)

    def check(self) -> None:
        """Raise what would make every item fail."""
        super().check()
        if self.target is not None:
            self.route()

    def prepare(self, item: str | Translation) -> Prepared:
        """The parts of a text, line by line."""
        given = item if isinstance(item, Translation) else Translation(as_text(item, "translate"))
        text = as_text(given.text, "translate")
        route = self.route(given.source, given.target)
        options = told_for(route.options)
        if route.forced is not None:
            options["forced_bos_token_id"] = route.forced

        def wrapped(part: str) -> list[int]:
            if route.tail is None:
                return self.tokenizer.encode(route.before + part)
            ids = self.tokenizer.encode(route.before + part, add_special=False)
            return [*route.head, *ids, *route.tail]

        found: Prepared = []
        for number, line in enumerate(text.split("\n")):
            found += ["\n"] if number else []
            for place, part in enumerate(self.sources(line, options, wrapped)):
                found += [route.space, part] if place else [part]
        return found
