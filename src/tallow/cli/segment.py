"""`tallow segment`: which class each pixel of pictures is of."""

from __future__ import annotations

from typing import Any

from tallow.cli import drawings, items, options


def segment(
    model: options.Model,
    inputs: items.Pictures,
    draw: drawings.Draw = None,
    output: items.Output = None,
    resume: items.Resume = False,
    batch_size: items.BatchSize = None,
    threads: options.Threads = None,
    force: options.Force = False,
) -> None:
    """Segment pictures, a JSON line each with its id and the share of the picture of each class."""
    from tallow.tasks import Segmenter

    options.set_threads(threads)
    items.check_output(output, resume, force)
    found = list(items.find_pictures(inputs, output))
    found, targets = drawings.plan(draw, inputs, found, resume=resume, force=force)
    segmenter = Segmenter(model)
    names = segmenter.labels

    def show(item: items.NamedItem, classes: Any) -> dict[str, Any]:
        if targets:
            from tallow.vision import draw as drawing

            drawn = drawing.segmentation(item.value, classes, names)
            drawings.save(drawn, targets[item.id])
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
