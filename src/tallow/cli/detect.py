"""`tallow detect`: boxes of what is in pictures."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from tallow.cli import drawings, items, options
from tallow.cli.parameters import Option


def detect(
    model: options.Model,
    inputs: items.Pictures,
    threshold: Annotated[float, Option("Least score.", min=0, max=1)] = 0.5,
    draw: drawings.Draw = None,
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
    items.check_output(output, resume, force)
    found = list(items.find_pictures(inputs, output))
    found, targets = drawings.plan(draw, inputs, found, resume=resume, force=force)
    detector = Detector(model, threshold=threshold)

    def show(item: items.NamedItem, result: Any) -> dict[str, Any]:
        listed = detector.detections(result)
        if targets:
            from tallow.vision import draw as drawing

            boxes = {
                "boxes": [each.box for each in listed],
                "labels": [each.index for each in listed],
                "scores": [each.score for each in listed],
            }
            drawn = drawing.detections(item.value, boxes, detector.labels)
            drawings.save(drawn, targets[item.id])
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
