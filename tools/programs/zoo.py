"""Models that others wrote, by name: output in training, and every gradient's norm in f64.

child.py RESULT 0 zoo.py torchvision|timm|cifar NAME[:ARGUMENT]…
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch
from recording import note

SIZES = {
    "inception_v3": 96, "vit_b_32": 224, "maxvit_t": 224, "swin_v2_t": 64, "swin_t": 64,
    "lenet": 32,
}  # fmt: skip


def build(kind: str, name: str) -> tuple[Any, Any]:
    """A model and a batch for it."""
    if kind == "cifar":
        made, _, argument = name.partition(":")
        function = getattr(importlib.import_module("models"), made)
        given = [argument if made == "VGG" else float(argument)] if argument else []
        return function(*given), torch.randn(4, 3, 32, 32)
    if kind == "timm":
        import timm

        model = timm.create_model(name, num_classes=10)
        size = model.default_cfg["input_size"][-1]
        fixed = model.default_cfg.get("fixed_input_size", False) or size > 224
        return model, torch.randn(2, 3, *(2 * [size if fixed else 96]))
    models = importlib.import_module("torchvision.models")
    place, _, last = name.rpartition(".")
    function = getattr(getattr(models, place) if place else models, last)
    if place == "segmentation":
        return function(weights=None, weights_backbone=None, num_classes=5), torch.randn(
            2, 3, 64, 64
        )
    if place == "video":
        return function(num_classes=5), torch.randn(1, 3, 8, 48, 48)
    if place == "detection":
        model = function(weights=None, weights_backbone=None, num_classes=5)
        return model, [torch.rand(3, 96, 96), torch.rand(3, 80, 112)]
    size = SIZES.get(last, 64)
    return function(num_classes=10), torch.randn(4 if size < 100 else 1, 3, size, size)


def loss_of(out: Any) -> Any:
    """A number that every output has a part in."""
    if isinstance(out, torch.Tensor):
        weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape)
        return (out * weights).sum() + out.square().mean()
    parts = out.values() if hasattr(out, "values") else out
    return sum(loss_of(part) for part in parts if part is not None)


def detect(name: str, model: Any, images: Any) -> None:
    """Losses of training with boxes, and the boxes that are found."""
    import torchvision.ops.boxes

    # nms stands in Python on torch's side (kernels.py) and is ours on the other.
    torchvision.ops.boxes._assert_has_ops = lambda: None
    targets = [
        {"boxes": torch.tensor([[5.0, 8.0, 60.0, 70.0], [20.0, 20.0, 75.0, 50.0]]),
         "labels": torch.tensor([1, 3])}
        for _ in images
    ]  # fmt: skip
    # In f64: which boxes match, and so every loss, hangs on the last bit of untrained ones.
    model, images = model.double(), [image.double() for image in images]
    for target in targets:
        target["boxes"] = target["boxes"].double()
    losses = model(images, targets)
    for key, value in losses.items():
        note(f"{name} {key}", value)
    sum(losses.values()).backward()
    model.eval()
    with torch.no_grad():
        found = model(images)
    note(f"{name} boxes", torch.tensor([float(len(f["boxes"])) for f in found]))
    note(f"{name} scores", torch.stack([f["scores"].sum() for f in found]))


def main() -> None:
    kind, *names = sys.argv[1:]
    for name in names:
        torch.manual_seed(0)
        model, batch = build(kind, name)
        if isinstance(batch, list):
            detect(name, model.train(), batch)
        else:
            with torch.no_grad():
                note(f"{name} output", loss_of(model.eval()(batch)))
            model.train()
            note(f"{name} training output", loss_of(model(batch)))
            # Gradients in f64: through norms that nobody trained rounding to f32 grows to percents.
            loss_of(model.double()(batch.double())).backward()
        norms = [p.grad.norm() for p in model.parameters() if p.grad is not None]
        note(f"{name} gradients", torch.stack(norms))
        print(name, len(norms), "gradients", flush=True)


if __name__ == "__main__":
    main()
