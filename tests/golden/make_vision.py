"""Writes processors.npz and postprocess.npz in tests/golden/vision, by transformers and timm.

Needs the environment of `make golden`. The first holds what they make of pictures: each case of
tests/vision/cases.py over pictures of a few shapes, one by one, and some of them as a batch; the
second what transformers says of random outputs of models.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torchvision  # noqa: F401 timm's transforms
from PIL import Image
from transformers.models.dinov3_vit.image_processing_dinov3_vit import DINOv3ViTImageProcessor

sys.path.insert(0, str(Path(__file__).parents[1]))
from vision.cases import (
    CASES,
    GOLDEN_SHAPES,
    SMOOTH_CASES,
    TARGET_SIZES,
    TIMM_CASES,
    picture,
    quiet,
    random_outputs,
)
from vision.reference import reference

FOLDER = Path(__file__).parent / "vision"


def timm_reference(config):
    from transformers.models.timm_wrapper.image_processing_timm_wrapper import (
        TimmWrapperImageProcessor,
    )

    return TimmWrapperImageProcessor(pretrained_cfg=config)


def postprocessed():
    """Outputs of models, and what transformers' processors say of them."""
    arrays = random_outputs()
    detr = SimpleNamespace(**{name: torch.from_numpy(array) for name, array in arrays.items()})
    sizes = {"target_sizes": TARGET_SIZES}
    found = {f"given/{name}": array for name, array in arrays.items()}
    for name in ("Detr", "ConditionalDetr", "RTDetr"):
        processor = reference({"image_processor_type": f"{name}ImageProcessor"})
        results = processor.post_process_object_detection(detr, threshold=0.3, **sizes)
        for index, result in enumerate(results):
            found |= {f"{name}/{index}/{key}": np.asarray(result[key]) for key in result}
    processor = reference({"image_processor_type": "DetrImageProcessor"})
    results = processor.post_process_panoptic_segmentation(
        detr, threshold=0.3, overlap_mask_area_threshold=0.3, label_ids_to_fuse={0, 1}, **sizes
    )
    for index, result in enumerate(results):
        rows = [tuple(row.values()) for row in result["segments_info"]]
        found[f"panoptic/{index}/segmentation"] = np.asarray(result["segmentation"])
        found[f"panoptic/{index}/segments_info"] = np.array(rows)
    semantic = processor.post_process_semantic_segmentation(detr, **sizes)
    found |= {f"semantic/{index}/map": np.asarray(each) for index, each in enumerate(semantic)}
    processor = reference({"image_processor_type": "SamImageProcessor"})
    masks = processor.post_process_masks(
        list(detr.pred_masks[:, None]),
        TARGET_SIZES,
        [(32, 21), (27, 32)],
        binarize=False,
        pad_size={"height": 32, "width": 32},
    )
    found |= {f"sam/{index}/masks": np.asarray(each) for index, each in enumerate(masks)}
    return found


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
    np.savez_compressed(FOLDER / "postprocess.npz", **postprocessed())


if __name__ == "__main__":
    main()
