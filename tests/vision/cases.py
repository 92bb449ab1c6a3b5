"""Configs of image processors and pictures of many shapes, for the goldens and the oracle tests."""

import numpy as np


def picture(height, width, seed=0):
    """Waves and noise as an array (H, W, 3) of u8."""
    rng = np.random.default_rng(seed + 7 * height + width)
    y, x = np.mgrid[:height, :width][..., None]
    phase = np.array([0.0, 1.3, 2.1])
    waves = 96 * np.sin(x / 5.3 + phase) * np.cos(y / 7.1 - phase) + 128
    return np.clip(waves + rng.normal(0, 24, (height, width, 3)), 0, 255).astype(np.uint8)


SHAPES = [(1, 1), (1, 7), (9, 2), (13, 13), (20, 31), (48, 17), (64, 64), (37, 90)]

_TYPES = {
    "ViT": [
        {},
        {"size": 20},
        {"size": [12, 31]},
        {"do_resize": False},
        {"size": {"max_height": 30, "max_width": 17}},
    ],
    "DeiT": [
        {},
        {"size": 24, "crop_size": 16},
        {"size": 16, "crop_size": {"height": 25, "width": 9}},
    ],
    "Beit": [
        {"size": 23, "do_center_crop": True, "crop_size": 20, "do_reduce_labels": True},
    ],
    "Pvt": [
        {"size": 20},
    ],
    "ConvNext": [
        {"size": 24},
        {"size": {"shortest_edge": 17}, "crop_pct": 0.7},
        {"size": {"shortest_edge": 384}},
        {"size": 20, "do_center_crop": True, "crop_size": 13},
    ],
    "EfficientNet": [
        {"size": 22},
        {"size": 22, "do_center_crop": True, "crop_size": 19, "include_top": False},
        {"size": 21, "rescale_factor": 1 / 127.5, "rescale_offset": True, "include_top": False},
        {"size": 21, "do_normalize": False},
    ],
    "MobileNetV1": [
        {"size": 24, "crop_size": 20},
    ],
    "MobileNetV2": [
        {"size": {"shortest_edge": 24}, "crop_size": 30},
    ],
    "MobileViT": [
        {"size": 22, "crop_size": 19},
        {"size": 20, "crop_size": 27, "do_flip_channel_order": False},
        {"size": {"height": 15, "width": 18}, "do_center_crop": False, "do_rescale": False},
    ],
    "Segformer": [
        {"size": 24, "do_reduce_labels": True},
        {"size": 24, "do_center_crop": True, "crop_size": 8},
    ],
    "CLIP": [
        {"size": 24, "crop_size": 20},
        {"size": {"shortest_edge": 18, "longest_edge": 40}, "crop_size": 16},
        {"use_square_size": True, "crop_size": 20},
    ],
    "ChineseCLIP": [
        {"size": {"height": 19, "width": 19}, "do_center_crop": False},
    ],
    "Bit": [
        {"size": {"shortest_edge": 25}, "crop_size": [20, 22]},
    ],
    "Siglip": [
        {"size": {"height": 21, "width": 21}},
        {"size": 20, "do_center_crop": True, "crop_size": 20},
    ],
    "Siglip2": [
        {"patch_size": 4, "max_num_patches": 30},
        {"patch_size": 16, "max_num_patches": 9},
    ],
    "Detr": [
        {"size": {"shortest_edge": 24, "longest_edge": 40}},
        {"size": 20, "max_size": 33},
        {"size": {"max_height": 30, "max_width": 40}},
        {"size": {"height": 20, "width": 21}, "do_pad": False},
        {"size": 24, "pad_size": {"height": 1400, "width": 1400}},
        {"size": 18, "do_normalize": False, "do_rescale": False},
    ],
    "ConditionalDetr": [
        {"size": {"shortest_edge": 24, "longest_edge": 40}},
    ],
    "DeformableDetr": [
        {"size": {"shortest_edge": 24, "longest_edge": 40}},
    ],
    "Yolos": [
        {"size": {"shortest_edge": 50, "longest_edge": 90}},
        {"size": {"height": 40, "width": 30}},
    ],
    "RTDetr": [
        {"size": {"height": 24, "width": 20}},
        {"size": {"height": 24, "width": 20}, "do_normalize": True},
    ],
    "Donut": [
        {"size": {"height": 40, "width": 30}},
        {"size": [30, 40], "do_align_long_axis": True},
        {"size": {"height": 31, "width": 31}, "resample": 0},
        {"size": {"height": 24, "width": 60}, "do_align_long_axis": True, "resample": 3},
    ],
    "LayoutLMv3": [
        {"size": 24, "apply_ocr": False},
    ],
    "DPT": [
        {"size": 20},
        {"size": {"height": 28, "width": 28}, "keep_aspect_ratio": True, "ensure_multiple_of": 14},
        {"size": 21, "do_pad": True, "size_divisor": 8},
    ],
    "Blip": [
        {"size": {"height": 20, "width": 21}},
    ],
    "Llava": [
        {"size": 24, "crop_size": 20},
        {"size": {"height": 21, "width": 21}, "do_pad": True, "do_center_crop": False},
    ],
    "Pixtral": [
        {"size": {"longest_edge": 40}, "patch_size": 8},
        {"size": {"height": 24, "width": 32}, "patch_size": {"height": 4, "width": 4}},
    ],
    "Qwen2VL": [
        {"size": {"shortest_edge": 300, "longest_edge": 1500}, "patch_size": 4},
        {"min_pixels": 64, "max_pixels": 900, "patch_size": 3, "merge_size": 1},
    ],
    "Idefics3": [
        {"size": {"longest_edge": 40}, "max_image_size": {"longest_edge": 16}},
        {
            "size": {"longest_edge": 40},
            "max_image_size": {"longest_edge": 16},
            "do_image_splitting": False,
        },
    ],
    "SmolVLM": [
        {"size": {"longest_edge": 30}, "max_image_size": {"longest_edge": 12}, "resample": 3},
    ],
    "Sam": [
        {"size": {"longest_edge": 32}, "pad_size": {"height": 32, "width": 32}},
        {"size": {"longest_edge": 33}, "pad_size": 40, "do_center_crop": True, "crop_size": 10},
    ],
}

CASES = {
    f"{name}-{index}": {"image_processor_type": f"{name}ImageProcessor", **config}
    for name, configs in _TYPES.items()
    for index, config in enumerate(configs)
}

TIMM_CASES = {
    "timm-lite0": {"input_size": [3, 28, 28], "interpolation": "bicubic", "crop_pct": 0.875},
    "timm-plain": {"input_size": [3, 21, 30], "mean": [0.5], "std": [0.25, 0.5, 0.75]},
    "timm-squash": {"input_size": [3, 25, 18], "crop_pct": 0.8, "crop_mode": "squash"},
    "timm-border": {
        "input_size": [3, 24, 21],
        "crop_pct": 0.93,
        "crop_mode": "border",
        "interpolation": "bilinear",
        "mean": [0.5, 0.4, 0.3],
    },
    "timm-whole": {"input_size": [3, 33, 33], "crop_pct": 1.0, "interpolation": "lanczos"},
}

SMOOTH_CASES = {
    "DINOv3ViT-0": {"size": 24},
    "DINOv3ViT-1": {"size": {"shortest_edge": 30}, "crop_size": 21, "do_center_crop": True},
    "DINOv3ViT-2": {"size": {"height": 20, "width": 19}, "resample": 3},
    "DINOv3ViT-3": {"do_resize": False, "do_normalize": False},
}

GOLDEN_SHAPES = [(13, 13), (20, 31), (48, 17)]


def quiet(x, limit=3_000):
    """Whether an array is small enough to lie in the repository."""
    return x.size <= limit


TARGET_SIZES = [(31, 20), (15, 18)]


def random_outputs(seed=3):
    """Classes, boxes and masks of 12 queries over two pictures; masks are blobs, some on others."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:14, :16]
    centers = rng.uniform(0, 14, (2, 12, 2))
    distance = np.hypot(y - centers[..., 0, None, None], x - centers[..., 1, None, None])
    return {
        "logits": rng.normal(0, 3, (2, 12, 5)).astype(np.float32),
        "pred_boxes": rng.random((2, 12, 4), dtype=np.float32),
        "pred_masks": (rng.uniform(3, 7, (2, 12, 1, 1)) - distance).astype(np.float32),
    }
