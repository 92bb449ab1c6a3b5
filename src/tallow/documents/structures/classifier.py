"""Whether a table is ruled or lineless, by a classifier of pictures (alias table-cls)."""

from __future__ import annotations

from typing import Any

from tallow.documents import sessions
from tallow.documents.content import PageContent
from tallow.documents.steps import Region
from tallow.documents.structure import Structure
from tallow.documents.structures.crops import IMAGENET_MEAN, IMAGENET_STD, cropped, normalized

ALIAS = "table-cls"
SIDE = 224
_SURE = 0.6  # its logits are small: the surest of probabilities are 0.27 and 0.73


def propose(content: PageContent, region: Region) -> list[Structure]:
    """The structure that the model of a table's kind gives: Cycle-CenterNet's, or LORE's.

    Each takes seconds, and is no help with tables of the other kind. Both where the kind is not
    sure.

    Raises:
        HubError, FormatError: as `sessions.model`.
    """
    from tallow.documents.structures import cycle_center_net, lore

    sure = ruled(content, region)
    of_ruled = cycle_center_net.propose(content, region) if sure > 1 - _SURE else []
    return [*of_ruled, *(lore.propose(content, region) if sure < _SURE else [])]


def ruled(content: PageContent, region: Region) -> float:
    """How probable it is that the table is ruled, from 0 to 1.

    Raises:
        HubError, FormatError: as `sessions.model`.
        MissingExtraError: Pillow is not installed.
    """
    return probability(cropped(content, region).pixels)


def probability(pixels: Any) -> float:
    """Of a picture, RGB, the probability that its table is ruled.

    The model was trained on grey pictures squashed to a square by Pillow's bicubic filter.
    """
    import numpy as np

    from tallow.vision.images import pillow

    image = pillow().fromarray(np.asarray(pixels, np.uint8))
    grey = np.asarray(image.convert("L").resize((SIDE, SIDE), resample=3))
    logits = sessions.model(ALIAS)(
        normalized(np.repeat(grey[..., None], 3, 2), IMAGENET_MEAN, IMAGENET_STD)
    )[0][0]
    odds = float(logits[1]) - float(logits[0])
    return float(1 / (1 + np.exp(odds)))
