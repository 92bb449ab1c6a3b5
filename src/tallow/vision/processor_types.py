"""The table of processor types: their own values where a config has none, and their steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallow.lazy_dataclasses import dataclass, field, replace

_IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}
_CLIP = {
    "image_mean": (0.48145466, 0.4578275, 0.40821073),
    "image_std": (0.26862954, 0.26130258, 0.27577711),
}
_BICUBIC = {"resample": 3}
_BASE_SIZES = (
    "height+width",
    "shortest_edge",
    "shortest_edge+longest_edge",
    "max_height+max_width",
)


def _square(edge: int) -> dict[str, int]:
    return {"height": edge, "width": edge}


@dataclass(frozen=True)
class ProcessorType:
    """A row of the table.

    `defaults` are values beside those of `Settings`; `steps` names functions of `steps.py` in their
    order; `rule` names one of `sizes.py`; `sizes` are the forms of `size` that it takes. An integer
    `size` is a square's edge where `square`, else the shortest edge, with `limit` for the longest.
    `pad` says what makes one array of a batch: nothing, padding, or padding with a mask, or with
    sizes; lists of patches behind each other, with their grids; or frames, several a picture.
    `counts` says that `size` bounds numbers of pixels, not edges. `maps` says how segmentation
    maps are resized: not at all, nearest, or as pictures; `detection` how a detector's scores are
    read (`postprocess.object_detection`).
    """

    defaults: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[str, ...] = ("resize", "crop", "tones")
    rule: str = "edges"
    sizes: tuple[str, ...] = _BASE_SIZES
    square: bool = True
    limit: int = 0
    wide_first: bool = False
    square_flag: bool = False
    pad: str = "pad"
    counts: bool = False
    detection: Mapping[str, Any] = field(default_factory=dict)
    maps: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    model_types: tuple[str, ...] = ()


_SHORT_224 = {"size": {"shortest_edge": 224}, "crop_size": _square(224), "do_center_crop": True}
_CLIP_KIND = {**_CLIP, **_BICUBIC, **_SHORT_224, "do_convert_rgb": True}
_DETR = ProcessorType(
    {**_IMAGENET, "do_pad": True, "size": {"shortest_edge": 800, "longest_edge": 1333}},
    steps=("resize", "tones"),
    sizes=("shortest_edge+longest_edge", "longest_edge", "height+width", "max_height+max_width"),
    square=False,
    limit=1333,
    pad="mask",
    detection={"scores": "softmax"},
    aliases={"pad_and_return_pixel_mask": "do_pad"},
)
_SPLIT = ProcessorType(
    {
        "resample": 1,
        "size": {"longest_edge": 4 * 364},
        "max_image_size": {"longest_edge": 364},
        "do_convert_rgb": True,
        "do_pad": True,
    },
    steps=("resize", "resize_to_frames", "split", "tones", "frames_first"),
    rule="even_longest",
    sizes=("longest_edge", "shortest_edge+longest_edge", "height+width"),
    pad="frames",
)
_TOP_100 = {"scores": "sigmoid", "top_k": 100}

KINDS: dict[str, ProcessorType] = {
    "ViTImageProcessor": ProcessorType(
        {"size": _square(224)},
        model_types=(
            "vit",
            "swin",
            "swinv2",
            "trocr",
            "vit_mae",
            "vit_msn",
            "ijepa",
            "swiftformer",
        ),
    ),
    "DeiTImageProcessor": ProcessorType(
        {**_BICUBIC, "size": _square(256), "crop_size": _square(224), "do_center_crop": True},
        model_types=("deit",),
    ),
    "BeitImageProcessor": ProcessorType(
        {**_BICUBIC, "size": _square(224), "crop_size": _square(224)},
        pad="none",
        maps="own",
        model_types=("beit", "data2vec-vision"),
    ),
    "PvtImageProcessor": ProcessorType(
        {**_IMAGENET, **_BICUBIC, "size": _square(224)}, model_types=("pvt", "pvt_v2")
    ),
    "ConvNextImageProcessor": ProcessorType(
        {**_BICUBIC, "size": {"shortest_edge": 384}},
        steps=("resize", "crop_margin", "crop", "tones"),
        rule="squared",
        sizes=("shortest_edge", "shortest_edge+longest_edge"),
        square=False,
        pad="none",
        model_types=("convnext", "convnextv2", "resnet", "regnet", "cvt"),
    ),
    "EfficientNetImageProcessor": ProcessorType(
        {**_BICUBIC, "size": _square(346), "crop_size": _square(289)},
        steps=("resize", "crop", "tones_twice"),
        pad="none",
        model_types=("efficientnet", "align"),
    ),
    "MobileNetV1ImageProcessor": ProcessorType(
        {**_SHORT_224, "size": {"shortest_edge": 256}}, square=False, model_types=("mobilenet_v1",)
    ),
    "MobileNetV2ImageProcessor": ProcessorType(
        {**_SHORT_224, "size": {"shortest_edge": 256}},
        square=False,
        pad="none",
        maps="nearest",
        model_types=("mobilenet_v2",),
    ),
    "MobileViTImageProcessor": ProcessorType(
        {**_BICUBIC, **_SHORT_224, "crop_size": _square(256)},
        steps=("resize", "crop", "rescale", "flip_channels"),
        square=False,
        pad="none",
        maps="nearest",
        model_types=("mobilevit", "mobilevitv2"),
    ),
    "SegformerImageProcessor": ProcessorType(
        {**_IMAGENET, "size": _square(512)},
        steps=("resize", "tones"),
        pad="none",
        maps="nearest",
        model_types=("segformer", "upernet"),
    ),
    "CLIPImageProcessor": ProcessorType(
        _CLIP_KIND,
        square=False,
        square_flag=True,
        model_types=("clip", "altclip", "groupvit", "metaclip_2"),
    ),
    "ChineseCLIPImageProcessor": ProcessorType(
        _CLIP_KIND, square=False, model_types=("chinese_clip",)
    ),
    "BitImageProcessor": ProcessorType(
        _CLIP_KIND,
        square=False,
        model_types=("bit", "dinov2", "dinov2_with_registers", "hiera", "focalnet"),
    ),
    "Gemma3ImageProcessor": ProcessorType(
        {"size": _square(224), "do_convert_rgb": True},
        steps=("resize", "tones"),
        pad="none",
        model_types=("gemma3",),
    ),
    "SiglipImageProcessor": ProcessorType(
        {**_BICUBIC, "size": _square(224), "do_convert_rgb": True},
        square=False,
        model_types=("siglip",),
    ),
    "Siglip2ImageProcessor": ProcessorType(
        steps=("resize", "tones", "patches"),
        rule="most_patches",
        sizes=(),
        pad="patches",
        model_types=("siglip2",),
    ),
    "DINOv3ViTImageProcessor": ProcessorType(
        {**_IMAGENET, "size": _square(224)},
        steps=("resize_smooth", "crop", "normalize"),
        pad="none",
        model_types=("dinov3_vit",),
    ),
    "DetrImageProcessor": replace(_DETR, model_types=("detr", "table-transformer")),
    "ConditionalDetrImageProcessor": replace(
        _DETR, detection=_TOP_100, model_types=("conditional_detr",)
    ),
    "DeformableDetrImageProcessor": replace(
        _DETR, detection=_TOP_100, model_types=("deformable_detr", "lw_detr")
    ),
    "YolosImageProcessor": replace(_DETR, rule="multiples_of_16", model_types=("yolos",)),
    "RTDetrImageProcessor": replace(
        _DETR,
        defaults={**_IMAGENET, "do_normalize": False, "size": _square(640)},
        sizes=("height+width", "shortest_edge+longest_edge", "max_height+max_width"),
        limit=0,
        aliases={},
        detection={"scores": "sigmoid"},
        model_types=("rt_detr", "rt_detr_v2"),
    ),
    "DonutImageProcessor": ProcessorType(
        {"size": {"height": 2560, "width": 1920}, "do_pad": True},
        steps=("turn", "resize", "thumbnail", "center", "crop", "tones"),
        rule="page",
        sizes=("height+width",),
        wide_first=True,
        pad="none",
        model_types=("donut-swin",),
    ),
    "LayoutLMv3ImageProcessor": ProcessorType(
        {"size": _square(224), "apply_ocr": True}, pad="none", model_types=("layoutlmv3", "udop")
    ),
    "DPTImageProcessor": ProcessorType(
        {**_BICUBIC, "size": _square(384)},
        steps=("resize", "tones", "pad_to_multiple"),
        rule="multiples",
        sizes=("height+width",),
        pad="none",
        maps="own",
        model_types=("dpt", "depth_anything"),
    ),
    "SamImageProcessor": ProcessorType(
        {
            **_IMAGENET,
            "size": {"longest_edge": 1024},
            "do_convert_rgb": True,
            "do_pad": True,
            "pad_size": _square(1024),
            "mask_size": {"longest_edge": 256},
            "mask_pad_size": _square(256),
        },
        rule="longest",
        sizes=("longest_edge", "shortest_edge+longest_edge"),
        maps="nearest",
        model_types=("sam", "mobile_sam", "sam_hq"),
    ),
    "BlipImageProcessor": ProcessorType(
        {**_CLIP, **_BICUBIC, "size": _square(384), "do_convert_rgb": True},
        model_types=("blip", "blip-2", "instructblip"),
    ),
    "LlavaImageProcessor": ProcessorType(
        _CLIP_KIND,
        steps=("square", "resize", "crop", "tones"),
        square=False,
        pad="none",
    ),
    "PixtralImageProcessor": ProcessorType(
        {
            **_CLIP,
            **_BICUBIC,
            "size": {"longest_edge": 1024},
            "patch_size": 16,
            "do_pad": True,
            "do_convert_rgb": True,
        },
        rule="whole_patches",
        sizes=("longest_edge", "shortest_edge+longest_edge", "height+width"),
        pad="sizes",
        model_types=("pixtral", "mistral3"),
    ),
    "Qwen2VLImageProcessor": ProcessorType(
        {
            **_CLIP,
            **_BICUBIC,
            "size": {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 1280},
            "patch_size": 14,
            "do_convert_rgb": True,
        },
        steps=("resize", "tones", "merged_patches"),
        rule="pixels_between",
        sizes=("shortest_edge+longest_edge",),
        square=False,
        pad="grids",
        counts=True,
        model_types=("qwen2_vl", "qwen2_5_vl", "qwen3_vl"),
    ),
    "Idefics3ImageProcessor": replace(_SPLIT, model_types=("idefics3",)),
    "SmolVLMImageProcessor": replace(_SPLIT, model_types=("smolvlm",)),
    "TimmWrapperImageProcessor": ProcessorType(
        {**_IMAGENET, **_BICUBIC, "do_convert_rgb": True},
        steps=("resize", "crop_or_pad", "tones_in_f32"),
        rule="timm",
        sizes=("height+width",),
        pad="none",
        model_types=("timm_wrapper",),
    ),
}
"""Processor types by transformers' names without `Fast` and `Pil`."""
