"""The models of bench/families.py, of a middle size each, and one process's side of it.

    python bench/_families_rows.py tallow|torch|make FOLDER THREADS

`make` writes the checkpoints with transformers (random weights); the other two load them and answer
names, one a line on standard input, with the seconds of a forward pass.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from _families_decoders import LANGUAGE, SOUND, Row

BERT = {
    "vocab_size": 8000, "hidden_size": 384, "num_hidden_layers": 4, "num_attention_heads": 6,
    "intermediate_size": 1536, "max_position_embeddings": 514,
}  # fmt: skip
VIT = {
    "hidden_size": 384, "num_hidden_layers": 4, "num_attention_heads": 6,
    "intermediate_size": 1536, "image_size": 224,
}  # fmt: skip
T5 = {"vocab_size": 8000, "d_model": 384, "d_ff": 1536, "num_layers": 4, "num_heads": 6}
BART = {
    "vocab_size": 8000, "d_model": 384, "encoder_layers": 3, "decoder_layers": 3,
    "encoder_attention_heads": 6, "decoder_attention_heads": 6, "encoder_ffn_dim": 1536,
    "decoder_ffn_dim": 1536, "init_std": 0.1,
}  # fmt: skip
TEXT, PICTURE = (4, 64), (1, 3, 224, 224)

_ENCODERS: dict[str, tuple[str, str, dict[str, Any], tuple[int, ...]]] = {
    "bert": ("BertConfig", "BertModel", BERT, TEXT),
    "roberta": ("RobertaConfig", "RobertaModel", BERT, TEXT),
    "xlm-roberta": ("XLMRobertaConfig", "XLMRobertaModel", BERT, TEXT),
    "distilbert": (
        "DistilBertConfig",
        "DistilBertModel",
        {"vocab_size": 8000, "dim": 384, "n_layers": 4, "n_heads": 6, "hidden_dim": 1536},
        TEXT,
    ),
    "mpnet": ("MPNetConfig", "MPNetModel", BERT, TEXT),
    "electra": ("ElectraConfig", "ElectraModel", {**BERT, "embedding_size": 128}, TEXT),
    "albert": ("AlbertConfig", "AlbertModel", {**BERT, "embedding_size": 128}, TEXT),
    "deberta": (
        "DebertaConfig",
        "DebertaModel",
        {**BERT, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
        TEXT,
    ),
    "deberta-v2": (
        "DebertaV2Config",
        "DebertaV2Model",
        {
            **BERT,
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "position_buckets": 64,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
        },
        TEXT,
    ),
    "modernbert": (
        "ModernBertConfig",
        "ModernBertModel",
        {**BERT, "num_hidden_layers": 6, "intermediate_size": 576, "pad_token_id": 0,
         "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
        TEXT,
    ),
    "t5": ("T5Config", "T5EncoderModel", T5, TEXT),
    "umt5": ("UMT5Config", "UMT5EncoderModel", T5, TEXT),
    "bart": ("BartConfig", "BartModel", BART, TEXT),
    "mbart": ("MBartConfig", "MBartModel", BART, TEXT),
    "vit": ("ViTConfig", "ViTModel", VIT, PICTURE),
    "deit": ("DeiTConfig", "DeiTModel", VIT, PICTURE),
    "beit": ("BeitConfig", "BeitModel", {**VIT, "use_relative_position_bias": True}, PICTURE),
    "dinov2": ("Dinov2Config", "Dinov2Model", {**VIT, "mlp_ratio": 4}, PICTURE),
    "dinov2_with_registers": (
        "Dinov2WithRegistersConfig", "Dinov2WithRegistersModel", {**VIT, "mlp_ratio": 4}, PICTURE
    ),
    "dinov3_vit": ("DINOv3ViTConfig", "DINOv3ViTModel", VIT, PICTURE),
    "swin": ("SwinConfig", "SwinModel", {"depths": [2, 2, 2, 2], "embed_dim": 48}, PICTURE),
    "swinv2": (
        "Swinv2Config", "Swinv2Model",
        {"depths": [2, 2, 2, 2], "embed_dim": 48, "image_size": 256}, (1, 3, 256, 256),
    ),
    "hiera": ("HieraConfig", "HieraModel", {"depths": [1, 2, 3, 1]}, PICTURE),
    "segformer": ("SegformerConfig", "SegformerForSemanticSegmentation", {}, PICTURE),
    "mobilevit": (  # with the usual 0.02 its outputs are 1e-36
        "MobileViTConfig", "MobileViTModel", {"initializer_range": 0.1}, (1, 3, 256, 256)
    ),
    "convnext": ("ConvNextConfig", "ConvNextModel", {"depths": [2, 2, 6, 2]}, PICTURE),
    "convnextv2": ("ConvNextV2Config", "ConvNextV2Model", {"depths": [2, 2, 6, 2]}, PICTURE),
    "efficientnet": (
        "EfficientNetConfig", "EfficientNetModel",
        {"width_coefficient": 1.0, "depth_coefficient": 1.0, "image_size": 224, "hidden_dim": 1280,
         "initializer_range": 0.3},
        PICTURE,
    ),
    "mobilenet_v1": ("MobileNetV1Config", "MobileNetV1Model", {}, PICTURE),
    "mobilenet_v2": ("MobileNetV2Config", "MobileNetV2Model", {}, PICTURE),
    "regnet": (
        "RegNetConfig", "RegNetModel",
        {"depths": [1, 2, 6, 2], "hidden_sizes": [64, 128, 320, 768]},
        PICTURE,
    ),
    "resnet": (
        "ResNetConfig", "ResNetModel",
        {"hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "layer_type": "basic"},
        PICTURE,
    ),
    "yolos": ("YolosConfig", "YolosForObjectDetection", {**VIT, "image_size": [224, 224]}, PICTURE),
    "detr": (
        "DetrConfig", "DetrForObjectDetection",
        {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None,
         "backbone_config": "resnet", "encoder_layers": 3, "decoder_layers": 3},
        (1, 3, 320, 320),
    ),
    "table-transformer": (
        "TableTransformerConfig", "TableTransformerForObjectDetection",
        {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None,
         "backbone_config": "resnet", "num_queries": 125, "encoder_layers": 3,
         "decoder_layers": 3},
        (1, 3, 480, 640),
    ),
    "clip": ("CLIPVisionConfig", "CLIPVisionModel", {**VIT, "patch_size": 16}, PICTURE),
    "siglip": ("SiglipVisionConfig", "SiglipVisionModel", VIT, PICTURE),
}  # fmt: skip
ROWS = {
    **{
        name: Row(*row, "input_ids" if len(row[3]) == 2 else "pixel_values")
        for name, row in _ENCODERS.items()
    },
    **LANGUAGE,
    **SOUND,
}
SMALL_RESNET = {"hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "layer_type": "basic"}
BLOCK = 0.1  # seconds of one measurement, at least one pass


def make(folder: Path) -> None:
    """Write every checkpoint that is not there yet."""
    import torch
    import transformers

    for name, (config_class, model_class, values, _, _) in ROWS.items():
        target = folder / name
        if (target / "model.safetensors").exists():
            continue
        values = dict(values)
        if values.get("backbone_config") == "resnet":
            values["backbone_config"] = transformers.ResNetConfig(
                **SMALL_RESNET, out_features=["stage4"]
            )
        torch.manual_seed(0)
        config = getattr(transformers, config_class)(**values)
        getattr(transformers, model_class)(config).eval().save_pretrained(target)
        print(name, file=sys.stderr)


def given(name: str) -> tuple[str, Any]:
    """The name of the input, and its values as nested lists."""
    import random

    source = random.Random(0)
    shape, key = ROWS[name].shape, ROWS[name].key
    if key == "input_ids":
        rows = [[source.randrange(5, 7000) for _ in range(shape[1])] for _ in range(shape[0])]
        return key, rows
    count = 1
    for n in shape:
        count *= n
    return key, [source.gauss(0, 1) for _ in range(count)]


def side(library: str, folder: Path, threads: int) -> Any:
    """A function from a name to the call to be measured."""
    if library == "torch":
        import torch
        import transformers

        torch.set_num_threads(threads)

        def by_torch(name: str) -> Any:
            cls = getattr(transformers, ROWS[name].model)
            model = cls.from_pretrained(folder / name, dtype=torch.float32).eval()
            key, values = given(name)
            kind = torch.long if key == "input_ids" else torch.float32
            inputs = {key: torch.tensor(values, dtype=kind).reshape(ROWS[name].shape)}

            def run() -> Any:
                with torch.inference_mode():
                    return model(**inputs)[0]

            return run

        return by_torch
    import tallow as tl

    tl.set_num_threads(threads)

    def by_tallow(name: str) -> Any:
        model = tl.models.load(folder / name)
        key, values = given(name)
        kind = tl.i64 if key == "input_ids" else tl.f32
        inputs = {key: tl.tensor(values, dtype=kind).reshape(ROWS[name].shape)}

        def run() -> Any:
            with tl.inference_mode():
                return model(**inputs)[0]

        return run

    return by_tallow


def main() -> None:
    """Answer names with seconds of a pass, until standard input ends."""
    library, folder, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if library == "make":
        make(folder)
        return
    open_, calls = side(library, folder, threads), {}
    for line in sys.stdin:
        name = line.strip()
        try:
            if name not in calls:
                calls[name] = open_(name)
                first = calls[name]()
                print(json.dumps({"sum": float(abs(first).sum())}), flush=True)
                continue
            run, times, end = calls[name], [], time.perf_counter() + BLOCK
            while not times or time.perf_counter() < end:
                begin = time.perf_counter()
                run()
                times.append(time.perf_counter() - begin)
            print(json.dumps({"seconds": min(times)}), flush=True)
        except Exception as error:  # told in the table; the other rows go on
            print(json.dumps({"failed": f"{type(error).__name__}: {error}"[:200]}), flush=True)


if __name__ == "__main__":
    main()
