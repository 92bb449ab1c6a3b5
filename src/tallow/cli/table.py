"""`tallow table`: tables of pictures and PDFs into spreadsheets."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

from tallow.cli import items, options
from tallow.cli.parameters import Option

NO_TABLE = 3
"""The exit code where a page has no table; what was found is written all the same."""


class Models(StrEnum):
    """How much is spent on a page."""

    BEST = "best"
    FAST = "fast"


class Format(StrEnum):
    """What is printed, or what a file is whose name does not say it."""

    XLSX = "xlsx"
    CSV = "csv"
    HTML = "html"
    MD = "md"
    JSON = "json"
    PARQUET = "parquet"


_HF = "a Hugging Face folder or hf: reference"
_OUT = (
    "A file of .xlsx, .csv, .html, .md, .json or .parquet; with / at its end a folder, with a file "
    "for each input. Of several tables .csv and .parquet become OUT-1.csv, OUT-2.csv, …"
)
_TRANSFORMER = "table-transformer, " + _HF
Output = Annotated[str | None, Option(_OUT, short="-o", metavar="OUT", absent="print the tables")]
Pages = Annotated[str | None, Option("Pages, as 1-3,7,10-.", absent="all")]
Password = Annotated[str | None, Option("Of encrypted PDFs.", absent="none")]
Ocr = Annotated[
    str | None,
    Option(f"small, tiny, v5, trocr-base-printed, …, {_HF}.", metavar="NAME", absent="small"),
]
Language = Annotated[str | None, Option("Language of the text, as en or zh.", absent="any")]
Dpi = Annotated[int, Option("Of scanned pages in PDFs.", min=36, max=1200)]
_DETECT = "layout, rulings, page (all of it is a table), " + _TRANSFORMER + "."
DetectName = Annotated[str | None, Option(_DETECT, metavar="NAME", absent="layout")]
_STRUCTURE = (
    "rulings, slanet, slanet-plus, slanet-en, cyclecenternet, lore, cells (the one of these two "
    "that fits), " + _TRANSFORMER + "."
)
StructureName = Annotated[
    str | None, Option(_STRUCTURE, metavar="NAME", absent="several, chosen by the page")
]


def table(
    inputs: items.Documents,
    output: Output = None,
    format: Annotated[
        Format | None, Option("What is written.", short="-f", absent="as OUT ends, or a table")
    ] = None,
    pages: Pages = None,
    password: Password = None,
    models: Annotated[Models, Option("Accuracy, or less time.")] = Models.BEST,
    ocr: Ocr = None,
    lang: Language = None,
    detect: DetectName = None,
    structure: StructureName = None,
    dpi: Dpi = 200,
    no_join: Annotated[bool, Option("Keep tables apart that go on over pages.")] = False,
    raw: Annotated[bool, Option("Keep texts as they are, without numbers and dates.")] = False,
    skip_empty: Annotated[bool, Option("Pages without a table are no failure.")] = False,
    resume: Annotated[bool, Option("Go on with a run to OUT that was interrupted.")] = False,
    force: options.Force = False,
    threads: options.Threads = None,
) -> None:
    """Read tables of pictures and PDFs into spreadsheets, one sheet a table.

    Exit code 3 says that a page has no table; what was found is written.
    """
    from tallow.cli.table_job import Job
    from tallow.documents import TableReader

    options.set_threads(threads)
    reader = TableReader(
        models=models.value, ocr=ocr, language=lang, detect=detect, structure=structure,
        join=not no_join, raw=raw, dpi=dpi,
    )  # fmt: skip
    settings = {
        "models": models.value, "ocr": ocr, "lang": lang, "detect": detect,
        "structure": structure, "dpi": dpi, "pages": pages, "raw": raw,
    }  # fmt: skip
    job = Job(reader, output, format and format.value, settings, resume=resume, force=force)
    empty = job.run(items.find_documents(inputs, output), pages, password)
    if empty and not skip_empty:
        sys.exit(NO_TABLE)
