"""What is drawn on a picture's page besides text: rulings and fills, added to its content."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallow.documents.content import PageContent


def look(content: PageContent) -> None:
    """Add the rulings and fills of an upright picture to its content."""
    from tallow.documents.pictures.fills import fills_of
    from tallow.documents.pictures.levels import ink_of, levels_of, noise_of
    from tallow.documents.pictures.rulings import rulings_of

    pixels = content.pixels()
    levels = levels_of(pixels)
    ink, noise = ink_of(levels), noise_of(levels)
    rulings = rulings_of(levels, ink, noise)
    em = ink.text_height or max(4.0, min(levels.shape) / 40)
    content.rulings += rulings
    content.fills += fills_of(pixels, levels, rulings, em=em, noise=noise)
