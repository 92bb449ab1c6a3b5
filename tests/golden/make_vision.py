"""Writes tests/golden/vision/processors.npz: what transformers and timm make of pictures.

Needs the environment of `make golden`. Each case of tests/vision/cases.py over pictures of four
shapes, one by one, and DETR's over all of them as a batch.
"""

import sys
from pathlib import Path

import numpy as np
import torchvision  # noqa: F401 timm's transforms
from PIL import Image
from transformers.models.dinov3_vit.image_processing_dinov3_vit import DINOv3ViTImageProcessor

sys.path.insert(0, str(Path(__file__).parents[1]))
from vision.cases import CASES, GOLDEN_SHAPES, SMOOTH_CASES, TIMM_CASES, picture, quiet
from vision.reference import reference

FOLDER = Path(__file__).parent / "vision"


def timm_reference(config):
    from transformers.models.timm_wrapper.image_processing_timm_wrapper import (
        TimmWrapperImageProcessor,
    )

    return TimmWrapperImageProcessor(pretrained_cfg=config)


def main() -> None:
    pictures = [Image.fromarray(picture(*shape)) for shape in GOLDEN_SHAPES]
    processors = {name: reference(config) for name, config in CASES.items()}
    processors |= {name: timm_reference(config) for name, config in TIMM_CASES.items()}
    processors |= {name: DINOv3ViTImageProcessor(**config) for name, config in SMOOTH_CASES.items()}
    arrays = {}
    for name, processor in processors.items():
        for index, image in enumerate(pictures):
            found = processor(image, return_tensors="pt")
            arrays |= {f"{name}/{index}/{key}": np.asarray(found[key]) for key in found}
    for name in ("Detr-0", "Yolos-0", "Siglip2-0"):
        found = processors[name](pictures, return_tensors="pt")
        arrays |= {f"{name}/all/{key}": np.asarray(found[key]) for key in found}
    FOLDER.mkdir(exist_ok=True)
    kept = {key: array for key, array in arrays.items() if quiet(array)}
    np.savez_compressed(FOLDER / "processors.npz", **kept)


if __name__ == "__main__":
    main()
