"""`tallow segment`: which class each pixel of pictures is of."""

from __future__ import annotations

from typing import Any

from tallow.cli import items, options
from tallow.cli.detect import Draw, drawing_place, save


def segment(
    model: options.Model,
    inputs: items.Pictures,
    draw: Draw = None,
    output: items.Output = None,
    resume: items.Resume = False,
    batch_size: items.BatchSize = None,
    threads: options.Threads = None,
    force: options.Force = False,
) -> None:
    """Segment pictures, a JSON line each with its id and the share of the picture of each class."""
    from tallow.tasks import Segmenter

    options.set_threads(threads)
    segmenter = Segmenter(model)
    found = list(items.find_pictures(inputs))
    place = drawing_place(draw, len(found), force)
    names = segmenter.labels

    def show(item: items.Named, classes: Any) -> dict[str, Any]:
        if place is not None:
            from tallow.vision import draw as drawing

            save(drawing.segmentation(item.value, classes, names), place, item.id)
        counts = classes.reshape(-1).bincount().tolist()
        total = sum(counts)
        rows = [
            {"label": names[i], "share": round(count / total, 4)}
            for i, count in enumerate(counts)
            if count
        ]
        rows.sort(key=lambda row: -row["share"])
        return {"id": item.id, "classes": rows}

    items.run(
        iter(found),
        lambda values: segmenter.stream(values, batch_size=batch_size),
        show,
        what="segment",
        output=output,
        resume=resume,
        force=force,
    )
