"""TableReader: the tables of pictures and PDFs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias

from tallow.documents.document import Document, Page, Table, forget_words
from tallow.documents.inputs import Input, open_input, selected
from tallow.documents.inputs.opening import PDF_DPI, Source
from tallow.documents.named_steps import Named, steps_of
from tallow.documents.page_reading import PageReader
from tallow.documents.steps import Progress
from tallow.errors import ArgumentError, HubError, MissingExtraError, TallowError, expect

if TYPE_CHECKING:
    from tallow.documents.page_reading import Steps
    from tallow.documents.steps import Detect, Orient, Propose, Reader, Select

Tell: TypeAlias = Callable[[Progress], None]


class TableReader:
    """Reads tables: `reader.read(path)` gives a `Document` with pages, tables and cells.

    `models` is "best", or "fast": without the two large structure models and with the small reader.
    `ocr`, `detect` and `structure` name other models, as `tallow table` does ("table-transformer",
    "trocr-small-printed", a Hugging Face folder, an `hf:` reference), or are callables of the shape
    in `tallow.documents.steps`; so are `orient` and `select`. `language` is what the text is in
    ("en", "de", "zh", …), which the reader may refuse. Tables that go on over pages become one
    unless `join` is False. `raw` keeps every value as text. Scanned pages of PDFs are rendered at
    `dpi`.

    Models are fetched and loaded when they are first needed. One object is not for several threads
    at the same time.

    Raises:
        ArgumentError: a name is not known, or the reader cannot read that language.
    """

    def __init__(
        self,
        *,
        models: Literal["best", "fast"] = "best",
        ocr: str | Reader | None = None,
        language: str | None = None,
        detect: str | Detect | None = None,
        structure: str | Propose | None = None,
        orient: Orient | None = None,
        select: Select | None = None,
        join: bool = True,
        raw: bool = False,
        dpi: int = PDF_DPI,
    ) -> None:
        expect(models in ("best", "fast"), "TableReader", "models of best or fast", models,
               ArgumentError)  # fmt: skip
        expect(36 <= dpi <= 1200, "TableReader", "a dpi from 36 to 1200", dpi, ArgumentError)
        self.join, self.raw, self.dpi = join, raw, dpi
        self._named = Named(models, ocr, language, detect, structure, orient, select, raw)
        self._steps: Steps | None = None

    @property
    def steps(self) -> Steps:
        """The steps that pages go through."""
        if self._steps is None:
            self._steps = steps_of(self._named)
        return self._steps

    def read(
        self,
        source: Source,
        *,
        name: str | None = None,
        pages: str | None = None,
        password: str | None = None,
        progress: Tell | None = None,
    ) -> Document:
        """All pages of a file, or those that `pages` means ("1-3,7,10-").

        `source` is a path, bytes, an open file, a Pillow image or an array. A page that cannot be
        read has an `error`, the others are there.

        Raises:
            MissingFileError, FormatError: there is no such file, or it is no picture or PDF.
            ArgumentError: the file has no such page.
        """
        found = self.pages(source, name=name, pages=pages, password=password, progress=progress)
        label = name or (str(source) if isinstance(source, str) else "")
        return self.document(label or str(getattr(source, "name", "document")), found)

    def pages(
        self,
        source: Source,
        *,
        name: str | None = None,
        pages: str | None = None,
        password: str | None = None,
        progress: Tell | None = None,
        skip: Callable[[int], bool] = lambda number: False,
    ) -> Iterator[Page]:
        """The pages of a file one by one, as `read`; of one at a time is anything kept.

        `skip` says of a page's number whether it is left out. Raises as `read`.
        """
        tell = progress or (lambda _: None)
        with open_input(source, name=name, password=password, dpi=self.dpi) as opened:
            numbers = selected(pages, opened.count, opened.name)
            for done, number in enumerate(numbers):
                if skip(number):
                    continue

                def step(what: str, done: int = done, number: int = number) -> None:
                    tell(Progress(number, done, len(numbers), what))

                step("open")
                yield self._page(opened, number, step)
                tell(Progress(number, done + 1, len(numbers), "done"))

    def document(self, name: str, pages: Iterable[Page], *, lean: bool = False) -> Document:
        """A document of pages: tables that go on over pages joined, and typed as a whole.

        With `lean` pages keep neither words nor tables of their own, and cells not the words that
        they were made of, which are most of what a page takes: for long files of which only the
        tables are wanted.
        """
        from tallow.documents.joining import Joiner

        joiner, listed = Joiner(lean=lean), list[Page]()
        apart = list[Table]()
        for page in pages:
            if self.join:
                joiner.add(page.number, page.tables, page)
            elif lean:
                forget_words(page.tables)
            apart += [] if self.join else page.tables
            if lean:
                page.words, page.tables = [], []
            listed.append(page)
        tables = joiner.tables() if self.join else apart
        for table in tables:  # anew: a joined column has more evidence, one of a journal no dates
            self.steps.type_cells(table)
        return Document(name, listed, tables)

    def _page(self, opened: Input, number: int, tell: Callable[[str], None]) -> Page:
        try:
            return PageReader(self.steps, tell).read(opened.page(number))
        except (HubError, MissingExtraError):  # they would be the same for every page
            raise
        except Exception as error:  # whatever one page does, the others go on
            text = " ".join(str(error).split())
            if not isinstance(error, TallowError):
                text = f"{type(error).__name__}: {text}"
            return Page(number, 0, 0, error=text)
