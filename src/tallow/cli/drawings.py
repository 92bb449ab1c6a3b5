"""Where `--draw` puts the drawing of each picture: a file, or a folder for several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tallow.cli.items import NamedItem
from tallow.cli.parameters import Option

if TYPE_CHECKING:
    from PIL.Image import Image

Draw = Annotated[
    str | None,
    Option("Draw on the picture: a .png, or a folder for several.", metavar="OUT", absent="no"),
]

FILES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def plan(
    draw: str | None, words: Sequence[str], found: list[NamedItem], *, resume: bool, force: bool
) -> tuple[list[NamedItem], dict[str, Path]]:
    """The pictures, and the path of each one's drawing by its id; makes the folder.

    Drawings of an earlier run in a folder below one of `words` are no pictures.

    Raises:
        ArgumentError: drawings are there already, would lie among the pictures or on them, or
            cannot be written.
    """
    from tallow.cli.writing import check_writable, refuse_existing
    from tallow.errors import ArgumentError

    if draw is None:
        return found, {}
    place = Path(draw)
    if place.is_dir() or draw.endswith("/") or not place.suffix:
        found = _without_drawings(place, words, found)
        targets = _in_folder(place, found)
    else:
        ids = {item.id for item in found}
        several = len(ids) > 1
        if several or place.suffix.lower() not in FILES:
            wanted = (
                f"a folder for {len(ids)} pictures" if several else f"one of {', '.join(FILES)}"
            )
            raise ArgumentError(f"{draw}: expected {wanted}, got {place.suffix!r}")
        targets = dict.fromkeys(ids, place)
        check_writable(draw)
    inputs = {Path(item.id).resolve() for item in found}
    for target in targets.values():
        if target.resolve() in inputs:
            raise ArgumentError(f"{target}: expected another place than the picture's own")
        refuse_existing(str(target), force or resume)
    return found, targets


def save(picture: Image, target: Path) -> None:
    """Write a drawing.

    Raises:
        ArgumentError: it cannot be written.
    """
    from tallow.cli.writing import written

    with written(target):
        picture.save(target)


def _without_drawings(place: Path, words: Sequence[str], found: list[NamedItem]) -> list[NamedItem]:
    from tallow.cli.writing import note, written
    from tallow.errors import ArgumentError

    with written(place):
        place.mkdir(parents=True, exist_ok=True)
    home = place.resolve()
    inside = [item for item in found if home in Path(item.id).resolve().parents]
    if not inside:
        return found
    if not any(Path(word).resolve() in home.parents for word in words if Path(word).is_dir()):
        raise ArgumentError(f"{place}: expected another folder than that of the pictures")
    note(f"{len(inside)} pictures in {place} are left out, for drawings go there")
    left_out = set(map(id, inside))
    return [item for item in found if id(item) not in left_out]


def _in_folder(place: Path, found: Sequence[NamedItem]) -> dict[str, Path]:
    """Under the pictures' own names; two folders may have pictures of one name."""
    targets: dict[str, Path] = {}
    taken: set[str] = set()
    for item in found:
        if item.id in targets:
            continue
        stem, number = Path(item.id).stem, 0
        name = f"{stem}.png"
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}.png"
        taken.add(name.lower())
        targets[item.id] = place / name
    return targets
