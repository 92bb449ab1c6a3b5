"""Lets Python look for garbage rarely from here on, until the package has been imported.

What an import makes stays: to look for garbage in it, as often as Python does, is a tenth of the
time. A threshold, unlike a pause, does no harm where the import fails.
"""

from __future__ import annotations

import gc

_thresholds = gc.get_threshold()
if _thresholds[0]:
    gc.set_threshold(50_000, *_thresholds[1:])


def end() -> None:
    """The package has been imported."""
    gc.set_threshold(*_thresholds)
