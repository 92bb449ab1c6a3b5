"""What is on a page before tables are looked for: words, rulings, fills and the picture.

Pictures and PDFs give the same: everything after them works on a `PageContent` alone. Units are
pixels of the upright picture (of a PDF: points, 1/72 inch, of the page as it is shown), y points
down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from tallow.documents.geometry import Box, Quad
from tallow.lazy_dataclasses import dataclass, field

if TYPE_CHECKING:
    import numpy as np

    Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Word:
    """A word, or a piece of a line that no wide gap divides.

    `confidence` is from 0 to 1, 1 of a text layer. `raised` is a superscript, `turn` how many
    degrees clockwise its text is turned (0, 90, 180, 270). `line` numbers the line that it was
    found in, and so joins words that belong together; -1 where that is not known. `glued` is a
    piece of a word that goes on from the one before, without a space where a cell has both.
    """

    text: str
    box: Box
    confidence: float = 1.0
    quad: Quad | None = None
    raised: bool = False
    bold: bool = False
    italic: bool = False
    size: float = 0.0  # of its font, in units of the page; 0 where that is not known
    turn: int = 0
    line: int = -1
    glued: bool = False


@dataclass(frozen=True)
class Ruling:
    """A drawn line, horizontal or vertical: its middle, and how thick it is.

    Of a horizontal one `at` is its y, `start` and `end` are x; of a vertical one the other way.
    """

    horizontal: bool
    at: float
    start: float
    end: float
    thickness: float = 1.0


@dataclass(frozen=True)
class Fill:
    """A filled area, as behind header rows and striped ones; its colour in RGB, 0 to 255."""

    box: Box
    colour: tuple[int, int, int]


@dataclass
class PageContent:
    """A page, upright.

    `rendered` gives the picture of the page as RGB (height, width, 3), whatever the page came from;
    `scale` are pixels of that picture per unit (1 where the page is a picture). `pictures` are the
    areas of a PDF's page that pictures cover, whose text is in no text layer. `kept` is for what
    steps ask of a page again and again, by the name of the function that knows when it is stale; a
    changed copy of a page has nothing of it.
    """

    width: float
    height: float
    source: Literal["picture", "text layer"]
    words: list[Word] = field(default_factory=list)
    rulings: list[Ruling] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    pictures: list[Box] = field(default_factory=list)
    rendered: Callable[[], Pixels] | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def pixels(self) -> Pixels:
        """The picture of the page, (height, width, 3), RGB."""
        assert self.rendered is not None
        return self.rendered()

    def crop(self, box: Box, margin: float = 0.0) -> Pixels:
        """The picture of a part; `margin` in units of the page, cut at its edges."""
        k = self.scale
        pixels = self.pixels()
        left, top = int(max(0, (box[0] - margin) * k)), int(max(0, (box[1] - margin) * k))
        right, bottom = -int(-(box[2] + margin) * k // 1), -int(-(box[3] + margin) * k // 1)
        return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]
