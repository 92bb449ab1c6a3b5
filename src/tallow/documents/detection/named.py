"""What finds tables, by name: what `--detect` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

    return TableTransformer(PUBLISHED if name == "table-transformer" else name)


def whole_page(content: PageContent) -> list[Region]:
    """The whole page as one table; none where it has no words."""
    from tallow.documents.steps import Region

    if not content.words:
        return []
    return [Region((0.0, 0.0, content.width, content.height), source="page")]
