"""What finds tables, by name: what `--detect` takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tallow.errors import ArgumentError, expect

if TYPE_CHECKING:
    from tallow.documents.content import PageContent
    from tallow.documents.steps import Detect, Region

PUBLISHED = "hf:microsoft/table-transformer-detection"


def detector(name: str | None) -> Detect:
    """The step of a name.

    None or "layout" is rulings, white space and the layout model; "rulings" the same without the
    model; "page" takes each page for one table; "table-transformer" is the published one, and all
    else is a folder or reference of such a model.

    Raises:
        ArgumentError, HubError, FormatError: there is no such model, or it finds no tables.
    """
    from tallow.documents.detection.detect import detect, detect_without_models

    steps: dict[str, Detect] = {
        "layout": detect,
        "rulings": detect_without_models,
        "page": whole_page,
    }
    if name is None or name in steps:
        return steps[name or "layout"]
    from tallow.documents.detection.table_transformer import TableTransformer

    check_name("--detect", name, [*steps, "table-transformer"])
    return TableTransformer(PUBLISHED if name == "table-transformer" else name)


def whole_page(content: PageContent) -> list[Region]:
    """The whole page as one table; none where it has no words."""
    from tallow.documents.steps import Region

    if not content.words:
        return []
    return [Region((0.0, 0.0, content.width, content.height), source="page")]


def check_name(where: str, name: str, known: Sequence[str]) -> None:
    """Refuse a name that is no known one, and neither a folder nor a reference.

    Raises:
        ArgumentError: it is none of these.
    """
    reference = ":" in name or os.path.exists(name)
    wanted = f"{', '.join(known)}, a Hugging Face folder or an hf: reference"
    expect(name in known or reference, where, wanted, repr(name), ArgumentError)
