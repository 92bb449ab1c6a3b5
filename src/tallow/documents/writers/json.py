"""JSON of documents: every table with its cells, values and the reasons of its columns."""

from __future__ import annotations

from math import inf
from typing import Any

from tallow.documents.document import Document, Table, as_dict


def table_dict(table: Table, *, words: bool = False) -> dict[str, Any]:
    """A table as JSON's types; the words that its cells were made of only with `words`."""
    made: dict[str, Any] = as_dict(table)
    if not words:
        for cell in made["cells"]:
            del cell["words"]
    return made


def document_dict(document: Document, *, words: bool = False) -> dict[str, Any]:
    """A document as JSON's types: its pages without their tables, and its tables, joined.

    The words of pages and cells are there only with `words`.
    """
    pages = []
    for page in document.pages:
        made = as_dict(page)
        del made["tables"]
        if not words:
            del made["words"]
        pages.append(made)
    tables = [table_dict(each, words=words) for each in document.tables]
    return {"name": document.name, "pages": pages, "tables": tables}


def document_json(document: Document, *, words: bool = False) -> str:
    """A document as JSON text; a number that JSON has no form for (infinity, NaN) is null."""
    import json

    made = _finite(document_dict(document, words=words))
    text = json.dumps(made, ensure_ascii=False, indent=1, allow_nan=False)
    return text.encode("utf-8", "replace").decode() + "\n"


def _finite(made: Any) -> Any:
    if isinstance(made, dict):
        return {key: _finite(each) for key, each in made.items()}
    if isinstance(made, list):
        return [_finite(each) for each in made]
    return None if isinstance(made, float) and not -inf < made < inf else made
