"""Filled areas of a picture: what lies behind header rows, striped rows and single cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallow.documents.content import Fill, Ruling
from tallow.documents.geometry import Box
from tallow.documents.pictures.runs import Runs, bridged, groups, touching
from tallow.errors import expect

if TYPE_CHECKING:
    from tallow.documents.content import Pixels
    from tallow.documents.pictures.levels import Levels, Mask

MOST_COLOURS = 12
"""Colours that are looked for: a page of tables has few, and a photograph is none."""
RULING = 255
"""The label of drawn lines; 0 is no colour that counts."""


def find_fills(pixels: Pixels, rulings: Sequence[Ruling] | None = None) -> list[Fill]:
    """Areas of one colour other than the page's, of at least a row's height, in order of reading.

    Text on them does not divide them; rulings do, so that the cells of a ruled table each give one.
    `rulings` are those of `find_rulings`; looked for where they are not given.
    """
    from tallow.documents.pictures.levels import ink_of, levels_of, noise_of
    from tallow.documents.pictures.rulings import rulings_of

    levels = levels_of(pixels)
    ink, noise = ink_of(levels), noise_of(levels)
    if rulings is None:
        rulings = rulings_of(levels, ink, noise)
    em = ink.text_height or max(4.0, min(levels.shape) / 40)
    return fills_of(pixels, levels, rulings, em=em, noise=noise)


def fills_of(
    pixels: Pixels, levels: Levels, rulings: Sequence[Ruling], *, em: float, noise: float
) -> list[Fill]:
    """`find_fills` where levels, noise and `em`, the height of capitals, are known."""
    import numpy as np
    from PIL import Image, ImageFilter

    from tallow.documents.pictures.levels import NOISY, levels_of

    expect(pixels.shape[:2] == levels.shape, "fills_of", pixels.shape[:2], levels.shape)
    if min(levels.shape) < 4:
        return []
    if noise >= NOISY:  # a mean of nine has a third of it
        blurred = Image.fromarray(pixels).filter(ImageFilter.BoxBlur(1))
        pixels, noise = np.asarray(blurred), noise / 3
        levels = levels_of(pixels)
    labels, colours = _labels(pixels, levels, em, noise)
    labels[_drawn(rulings, levels.shape)] = RULING
    page = _page_label(labels)
    row, start, end, label = _stretches(labels)
    found = []
    for number in range(1, len(colours)):
        if number == page:
            continue
        # Pixels of text hide a fill; a stretch of another colour, or a ruling, ends it.
        own = label == number
        listed = own | (label == RULING) | (end - start > em)
        own = own[listed]
        runs = Runs(row[listed], start[listed], end[listed])
        joined, even = bridged(runs, own[1:] & own[:-1])
        first = np.flatnonzero(
            np.concatenate([[True], ~(own[1:] & own[:-1] & (runs.row[1:] == runs.row[:-1]))])
        )
        kept = own[first] & (joined.length >= 1.5 * em) & (even >= 0.2 * joined.length)
        red, green, blue = (round(float(each)) for each in colours[number])
        found += [Fill(box, (red, green, blue)) for box in _boxes(joined.take(kept), em)]
    return sorted(found, key=lambda each: (each.box[1], each.box[0]))


def _page_label(labels: Any) -> int:
    """The label of the page itself: what most of the picture's edge is, or most of the picture."""
    import numpy as np

    edge = np.concatenate([labels[1], labels[-3], labels[:, 1], labels[:, -3]])
    for pixels in (edge, labels.reshape(-1)):
        count = np.bincount(pixels, minlength=RULING + 1)
        best = int(count[1:RULING].argmax()) + 1
        if count[best] >= len(pixels) / 2:
            return best
    return best


def _stretches(labels: Any) -> tuple[Any, Any, Any, Any]:
    """(row, start, end, label) of each stretch of one label along rows; those of none left out."""
    import numpy as np

    height, width = labels.shape
    changed = np.ones((height, width), bool)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=changed[:, 1:])
    first = np.flatnonzero(changed)
    row, start = np.divmod(first, width)
    end = np.append(first[1:], height * width) - row * width
    label = labels.reshape(-1)[first]
    kept = label > 0
    return row[kept], start[kept], end[kept], label[kept]


def _labels(pixels: Pixels, levels: Levels, em: float, noise: float) -> tuple[Any, Any]:
    """The number of each pixel's colour, 0 where it is not even, and the colours by number."""
    import numpy as np

    tolerance = int(2 + 3 * noise)
    even = np.zeros(levels.shape, bool)
    close_right = np.abs(np.diff(levels.astype(np.int16), axis=1)) <= tolerance
    close_below = np.abs(np.diff(levels.astype(np.int16), axis=0)) <= tolerance
    even[:-1, :-1] = close_right[:-1] & close_below[:, :-1]
    code: Any = (pixels[..., 0] >> 3).astype(np.uint16)
    code = (code << 5 | pixels[..., 1] >> 3) << 5 | pixels[..., 2] >> 3
    chosen = code[even]
    count = np.bincount(chosen, minlength=1 << 15)
    sums = [np.bincount(chosen, pixels[..., c][even], 1 << 15) for c in range(3)]
    means = np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]
    colours, table = _palette(count, means, least=6 * em * em, near=4 + 4 * noise)
    return np.where(even, table[code], np.uint8(0)), colours


def _palette(count: Any, means: Any, least: float, near: float) -> tuple[Any, Any]:
    """The common colours, and which of them each code is; those that noise tells apart are one."""
    import numpy as np

    table = np.zeros(len(count), np.uint8)
    colours = [np.zeros(3)]
    used = np.flatnonzero(count)
    for code in used[np.argsort(-count[used], kind="stable")]:
        if count[code] < least or len(colours) > MOST_COLOURS:
            break
        if table[code]:
            continue
        close = used[np.abs(means[used] - means[code]).max(axis=1) <= near]
        table[close[table[close] == 0]] = len(colours)
        colours.append(means[code])
    return np.array(colours), table


def _drawn(rulings: Sequence[Ruling], shape: tuple[int, ...]) -> Mask:
    """Rulings as a mask, a little thicker than they are, for their blurred edges."""
    import numpy as np

    mask = np.zeros(shape, bool)
    for each in rulings:
        low, high = int(each.at - each.thickness / 2), -int(-(each.at + each.thickness / 2) // 1)
        start, end = int(each.start), -int(-each.end // 1)
        if each.horizontal:
            mask[max(low, 0) : high, start:end] = True
        else:
            mask[start:end, max(low, 0) : high] = True
    return mask


def _boxes(runs: Runs, em: float) -> list[Box]:
    """Boxes of the runs of one colour that lie over each other and are alike in extent."""
    import numpy as np

    if not len(runs.row):
        return []
    reach = max(1, int(1.5 * em))  # a line of bold text can hide it over a word's length
    above, below = touching(runs, rows=reach)
    alike = np.abs(runs.start[above] - runs.start[below]) <= em / 2
    alike &= np.abs(runs.end[above] - runs.end[below]) <= em / 2
    group = groups(len(runs.row), (above[alike], below[alike]))
    boxes = []
    for number in np.flatnonzero(np.bincount(group) >= 0.5 * em):
        part = runs.take(group == number)
        top, bottom = (
            int(part.row[0]),
            int(part.row[-1]) + 2,
        )  # evenness looks at the next pixel too
        left, right = np.percentile(part.start, 10), np.percentile(part.end, 90) + 1
        if bottom - top >= em:
            boxes.append((float(left), float(top), float(right), float(bottom)))
    return boxes
