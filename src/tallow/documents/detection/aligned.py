"""Tables by the white space between columns of words, where nothing is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tallow.documents.detection.text_lines import TextLine, is_tabular
from tallow.documents.geometry import union
from tallow.documents.steps import Region

BREAK = 2.5
"""Heights of a line: a wider white band ends a table that nothing is drawn around."""
LEAST_LINES = 3


def aligned_regions(lines: Sequence[TextLine]) -> list[Region]:
    """Runs of lines in columns, from the first to the last that has several pieces."""
    regions = []
    for run in _runs(lines):
        if len(run) >= LEAST_LINES and is_tabular(run):
            columns = median(len(line.pieces) for line in run if len(line.pieces) > 1)
            score = min(0.8, 0.4 + 0.1 * columns)
            regions.append(Region(union(line.box for line in run), score, source="alignment"))
    return regions


def _runs(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    """Lines of several pieces, with at most two of one piece between them (as in tall cells)."""
    runs: list[list[TextLine]] = []
    single: list[TextLine] = []
    for line in lines:
        several = len(line.pieces) > 1
        if runs and runs[-1]:
            last = (single or runs[-1])[-1]
            if line.box[1] - last.box[3] > BREAK * line.height:
                runs.append([])
                single = []
        if several:
            if not runs:
                runs.append([])
            if runs[-1]:
                runs[-1] += single
            single = []
            runs[-1].append(line)
        elif runs and runs[-1]:
            single.append(line)
            text = line.lengths[0] > 60
            if len(single) > 2 or (text and len(single) > 1):
                runs.append([])
                single = []
    return [run for run in runs if run]
