"""How large a detector is shown a picture: its characters at the height that it finds best."""

from __future__ import annotations

import math

MOST_PIXELS = 6_000_000
"""What a detector is given at most; more is made smaller."""
WANTED_HEIGHT = 24.0


def detection_scale(size: tuple[int, int], character_height: float) -> float:
    """How many times as large a picture of (height, width) is shown to the detector."""
    height, width = size
    wanted = WANTED_HEIGHT / character_height if character_height else 736 / min(height, width)
    least = 32 / min(height, width)
    most = math.sqrt(MOST_PIXELS / (height * width))
    return float(min(max(min(max(wanted, 0.25), 4.0), least), most))
