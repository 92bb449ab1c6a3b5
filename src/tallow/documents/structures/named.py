"""What proposes structures, by name: what `--structure` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallow.documents.steps import Propose


def proposers(name: str) -> list[Propose]:
    """The steps of a name, which are all that then proposes.

    "rulings" are those and white space; "slanet", "slanet-plus", "slanet-en", "cyclecenternet" and
    "lore" the packaged models, "cells" the one of the last two that fits the table;
    "table-transformer" is the published one, and all else is a folder or reference of such a model.

    Raises:
        ArgumentError, HubError, FormatError: there is no such model, or it finds no rows.
    """
    from tallow.documents.detection.named import check_name
    from tallow.documents.structures import (
        aligned,
        classifier,
        cycle_center_net,
        lore,
        ruled,
        slanet,
    )

    steps: dict[str, list[Propose]] = {
        "rulings": [ruled.propose, aligned.propose],
        "slanet": [slanet.propose],
        "slanet-plus": [slanet.propose_plus],
        "slanet-en": [slanet.propose_english],
        "cells": [classifier.propose],
        cycle_center_net.ALIAS: [cycle_center_net.propose],
        lore.ALIAS: [lore.propose],
    }
    if name in steps:
        return steps[name]
    check_name("--structure", name, [*steps, "table-transformer"])
    from tallow.documents.structures.table_transformer import PUBLISHED, TableTransformer

    return [TableTransformer(PUBLISHED if name == "table-transformer" else name)]
