"""`tallow detect`: boxes of what is in pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tallow.cli import items, options
from tallow.cli.parameters import Option

if TYPE_CHECKING:
    from PIL.Image import Image

Draw = Annotated[
    str | None,
    Option("Draw on the picture: a .png, or a folder for several.", metavar="OUT", absent="no"),
]


def detect(
    model: options.Model,
    inputs: items.Pictures,
    threshold: Annotated[float, Option("Least score.", min=0, max=1)] = 0.5,
    draw: Draw = None,
    output: items.Output = None,
    resume: items.Resume = False,
    batch_size: items.BatchSize = None,
    threads: options.Threads = None,
    force: options.Force = False,
) -> None:
    """Detect objects, a JSON line a picture with its id and detections: label, score, box.

    A box is left, top, right, bottom in pixels.
    """
    from tallow.tasks import Detector

    options.set_threads(threads)
    detector = Detector(model, threshold=threshold)
    found = list(items.find_pictures(inputs))
    place = drawing_place(draw, len(found), force)

    def show(item: items.Named, result: Any) -> dict[str, Any]:
        listed = detector.detections(result)
        if place is not None:
            from tallow.vision import draw as drawing

            boxes = {
                "boxes": [each.box for each in listed],
                "labels": [each.index for each in listed],
                "scores": [each.score for each in listed],
            }
            save(drawing.detections(item.value, boxes, detector.labels), place, item.id)
        rows = [{k: v for k, v in asdict(each).items() if k != "index"} for each in listed]
        return {"id": item.id, "detections": rows}

    items.run(
        iter(found),
        lambda values: detector.stream(values, batch_size=batch_size),
        show,
        what="detect",
        output=output,
        resume=resume,
        force=force,
    )


def drawing_place(draw: str | None, count: int, force: bool) -> Path | None:
    """The file or folder for drawings; a folder is made for more than one picture.

    Raises:
        ArgumentError: it is there already, as a file.
    """
    from tallow.cli.writing import refuse_existing

    if draw is None:
        return None
    path = Path(draw)
    if count > 1 or path.is_dir() or not path.suffix:
        path.mkdir(parents=True, exist_ok=True)
    else:
        refuse_existing(draw, force)
    return path


def save(picture: Image, place: Path, name: str) -> None:
    """Write a drawing to the file, or into the folder under the picture's own name."""
    if not place.is_dir():
        picture.save(place)
        return
    stem, number = Path(name).stem, 0
    target = place / f"{stem}.png"
    while target.exists():  # two folders may have pictures of one name
        number += 1
        target = place / f"{stem}-{number}.png"
    picture.save(target)
