"""Writes the ONNX models of bench/onnx_vs_ort.py that PyTorch exports: random weights, real shapes.

python bench/_onnx_exports.py FOLDER        (torch, timm, transformers, onnxruntime)
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools" / "programs"))

import kernels


class Block(nn.Module):
    """A convolution, a batch norm, SiLU."""

    def __init__(self, into: int, out: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(into, out, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Any) -> Any:
        return nn.functional.silu(self.bn(self.conv(x)))


class Split(nn.Module):
    """Half of the channels through bottlenecks, all joined (C2f)."""

    def __init__(self, size: int, count: int) -> None:
        super().__init__()
        half = size // 2
        self.first, self.last = Block(size, size), Block(half * (count + 2), size)
        self.inner = nn.ModuleList(
            nn.Sequential(Block(half, half, 3), Block(half, half, 3)) for _ in range(count)
        )

    def forward(self, x: Any) -> Any:
        parts = [*self.first(x).chunk(2, 1)]
        for each in self.inner:
            parts.append(parts[-1] + each(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Detector(nn.Module):
    """A backbone, two levels up and down, and boxes of three scales, as YOLOs have them."""

    def __init__(self, width: int = 16, classes: int = 80) -> None:
        super().__init__()
        w = [width * 2**i for i in range(5)]
        self.stem = nn.Sequential(Block(3, w[0], 3, 2), Block(w[0], w[1], 3, 2), Split(w[1], 1))
        self.c3 = nn.Sequential(Block(w[1], w[2], 3, 2), Split(w[2], 2))
        self.c4 = nn.Sequential(Block(w[2], w[3], 3, 2), Split(w[3], 2))
        self.c5 = nn.Sequential(Block(w[3], w[4], 3, 2), Split(w[4], 1))
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.spp = Block(w[4] * 4, w[4])
        self.up4 = nn.Sequential(Block(w[4] + w[3], w[3]), Split(w[3], 1))
        self.up3 = nn.Sequential(Block(w[3] + w[2], w[2]), Split(w[2], 1))
        self.heads = nn.ModuleList(nn.Conv2d(c, 4 + classes, 1) for c in (w[2], w[3], w[4]))

    def forward(self, x: Any) -> Any:
        c3 = self.c3(self.stem(x))
        c4 = self.c4(c3)
        c5 = self.c5(c4)
        a = self.pool(c5)
        b = self.pool(a)
        c5 = self.spp(torch.cat([c5, a, b, self.pool(b)], 1))
        twice = nn.functional.interpolate
        c4 = self.up4(torch.cat([twice(c5, scale_factor=2.0), c4], 1))
        c3 = self.up3(torch.cat([twice(c4, scale_factor=2.0), c3], 1))
        found = [head(c).flatten(2) for head, c in zip(self.heads, (c3, c4, c5), strict=True)]
        boxes = torch.cat(found, 2)
        return torch.cat([boxes[:, :4], boxes[:, 4:].sigmoid()], 1)


def image(module: Any, size: int = 224) -> tuple[Any, Any, Any]:
    """A module of pictures, an example, its dynamic axes."""
    return module, (torch.randn(1, 3, size, size),), {"x": {0: "batch"}}


def of_timm(name: str, **more: Any) -> Callable[[], Any]:
    """A model of timm; its torchvision may be one for another build of torch."""

    def make() -> Any:
        if not hasattr(torch, "_torchvision_stand_in"):
            kernels.define_nms(torch)
        import timm

        return image(timm.create_model(name, **more))

    return make


def detector() -> Any:
    return image(Detector(), 640)


class _Outputs(nn.Module):
    """The first output of a model of transformers, for inputs by position."""

    def __init__(self, model: Any, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: Any) -> Any:
        return self.model(**dict(zip(self.names, inputs, strict=True)), return_dict=True)[0]


def minilm() -> Any:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536,
        attn_implementation="eager",
    )  # fmt: skip
    names = ("input_ids", "attention_mask", "token_type_ids")
    ids = torch.randint(0, 30000, (1, 32))
    both = {0: "batch", 1: "length"}
    inputs = (ids, torch.ones_like(ids), torch.zeros_like(ids))
    return _Outputs(BertModel(config), names), inputs, dict.fromkeys(names, both)


def t5_small() -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(d_model=256, d_kv=32, d_ff=1024, num_layers=4, num_heads=8,
                      decoder_start_token_id=0, use_cache=False)  # fmt: skip
    names = ("input_ids", "decoder_input_ids")
    inputs = (torch.randint(0, 30000, (1, 32)), torch.randint(0, 30000, (1, 8)))
    axes = {"input_ids": {0: "batch", 1: "length"}, "decoder_input_ids": {0: "batch", 1: "steps"}}
    return _Outputs(T5ForConditionalGeneration(config), names), inputs, axes


MADE: dict[str, Callable[[], Any]] = {
    "resnet18": of_timm("resnet18"),
    "efficientnet-lite0": of_timm("tf_efficientnet_lite0"),
    "mobilenet-v3": of_timm("mobilenetv3_large_100"),
    "vit-s14": of_timm("vit_small_patch14_dinov2", img_size=224),
    "minilm": minilm,
    "yolo-like": detector,
    "t5-small": t5_small,
}


def main() -> None:
    """Write what is not there yet."""
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in MADE.items():
        path = folder / f"{name}.onnx"
        if path.exists():
            continue
        torch.manual_seed(0)
        module, inputs, axes = make()
        spread(module)
        unfinished = path.with_suffix(".part")
        torch.onnx.export(
            module.eval(), inputs, str(unfinished), input_names=[*axes], output_names=["out"],
            dynamic_axes=axes, opset_version=17, dynamo=False,
        )  # fmt: skip
        unfinished.rename(path)
    quantized = folder / "minilm-dynamic.onnx"
    if not quantized.exists():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(folder / "minilm.onnx", quantized, weight_type=QuantType.QInt8)


def spread(module: Any) -> None:
    """Batch norms that are not those of a new network, some of which give 0."""
    with torch.no_grad():
        for each in module.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.running_mean.uniform_(-0.1, 0.1)
                each.running_var.uniform_(0.8, 1.2)
                each.weight.uniform_(0.5, 1.0)


if __name__ == "__main__":
    main()
