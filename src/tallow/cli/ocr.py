"""`tallow ocr`: the text of pictures and PDFs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from tallow.cli import items, options
from tallow.cli.parameters import Option
from tallow.cli.table import Dpi, Language, Models, Ocr, Pages, Password


class Format(StrEnum):
    """What is printed, or what a file is whose name does not say it."""

    TXT = "txt"
    JSON = "json"
    HOCR = "hocr"
    ALTO = "alto"
    PDF = "pdf"


Output = Annotated[
    str | None,
    Option(
        "A file of .txt, .json, .hocr, .xml (ALTO) or .pdf; with / at its end a folder, with a "
        "file for each input.",
        short="-o",
        metavar="OUT",
        absent="print the text",
    ),
]


def ocr(
    inputs: items.Documents,
    output: Output = None,
    format: Annotated[
        Format | None, Option("What is written.", short="-f", absent="as OUT ends, or txt")
    ] = None,
    pages: Pages = None,
    password: Password = None,
    models: Annotated[Models, Option("Accuracy, or less time.")] = Models.BEST,
    ocr: Ocr = None,
    lang: Language = None,
    dpi: Dpi = 200,
    resume: Annotated[bool, Option("Go on with a run to OUT that was interrupted.")] = False,
    force: options.Force = False,
    threads: options.Threads = None,
) -> None:
    """Read the text of pictures and PDFs: plain, with boxes, or as a PDF that can be searched.

    Pages are turned upright, columns read one after the other. PDFs are read by their text layer
    where they have one.
    """
    from tallow.cli.ocr_job import TextJob
    from tallow.documents import TableReader

    options.set_threads(threads)
    reader = TableReader(
        models=models.value, ocr=ocr, language=lang, detect=lambda content: [], dpi=dpi
    )
    settings = {
        "text": True, "models": models.value, "ocr": ocr, "lang": lang, "dpi": dpi, "pages": pages,
    }  # fmt: skip
    job = TextJob(reader, output, format and format.value, settings, resume=resume, force=force)
    job.password = password
    job.run(items.find_documents(inputs, output), pages, password)
