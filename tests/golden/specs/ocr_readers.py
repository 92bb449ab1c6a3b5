"""Goldens of easyocr's detector and reader, which no package of the oracle has: restated in torch.

The modules have the names of the files that easyocr publishes and, loaded with these, give the
numbers of tests/golden/ocr_readers.json.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from specs import Spec, images


class Published(nn.Module):
    """What make_families.py asks for beside a forward pass."""

    architecture: str
    given: dict

    def tie_weights(self) -> None:
        pass

    def save_pretrained(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.state_dict(), folder / "model.safetensors")
        config = {"architectures": [self.architecture], **self.given}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


class Craft(Published):
    """The detector. Features go up behind an activation, but for the smallest of VGG's."""

    architecture = "CraftForTextDetection"

    def __init__(self, widths=(64, 128, 256, 512, 512), bottom=1024, ups=(256, 128, 64, 32)):
        super().__init__()
        self.basenet = nn.Module()
        parts = [nn.Module() for _ in range(5)]
        at, before, self.plan = 0, 3, []
        for part, (width, depth) in enumerate(zip(widths, (2, 2, 3, 3, 2), strict=True)):
            for _ in range(depth):
                # The file cuts VGG before the last activation that a stage gives.
                place = next(i for i, end in enumerate((12, 19, 29, 39)) if at < end)
                parts[place].add_module(str(at), nn.Conv2d(before, width, 3, padding=1))
                parts[place].add_module(str(at + 1), nn.BatchNorm2d(width))
                self.plan.append((place, at, part))
                at, before = at + 3, width
            at += 1
        parts[4].add_module("1", nn.Conv2d(before, bottom, 3, padding=6, dilation=6))
        parts[4].add_module("2", nn.Conv2d(bottom, bottom, 1))
        for i, part in enumerate(parts, 1):
            self.basenet.add_module(f"slice{i}", part)
        for i, out in enumerate(ups):
            size = (bottom, *ups)[i] + widths[4 - i]
            layers = [nn.Conv2d(size, 2 * out, 1), nn.BatchNorm2d(2 * out), nn.ReLU()]
            layers += [nn.Conv2d(2 * out, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
            up = nn.Module()
            up.conv = nn.Sequential(*layers)
            self.add_module(f"upconv{i + 1}", up)
        widths = (ups[-1], ups[-1], ups[-1], ups[-1] // 2, ups[-1] // 2, 2)
        layers = []
        for i, (size, out) in enumerate(itertools.pairwise(widths)):
            kernel = 3 if i < 3 else 1
            layers += [nn.Conv2d(size, out, kernel, padding=kernel // 2), nn.ReLU()]
        self.conv_cls = nn.Sequential(*layers[:-1])

    def forward(self, pixel_values):
        x, stage, kept = pixel_values, 0, {}
        for place, at, now in self.plan:
            if now != stage:
                x, stage = F.max_pool2d(x, 2), now
            part = self.basenet.get_submodule(f"slice{place + 1}")
            x = part.get_submodule(str(at + 1))(part.get_submodule(str(at))(x))
            x = x if at == 37 else x.relu()
            kept[at] = x
        last = self.basenet.slice5
        x = last.get_submodule("2")(last.get_submodule("1")(F.max_pool2d(x, 3, 1, 1)))
        for i, at in enumerate((37, 27, 17, 10), 1):
            side = kept[at]
            if i > 1:
                x = F.interpolate(x, side.shape[2:], mode="bilinear", align_corners=False)
            x = self.get_submodule(f"upconv{i}").conv(torch.cat([x, side], 1))
        return {"logits": self.conv_cls(x)}


class Crnn(Published):
    """The reader."""

    architecture = "CrnnForTextRecognition"

    def __init__(self, channels=256, hidden=256, classes=97, depth=1):
        super().__init__()
        a, b, c, d = channels // 8, channels // 4, channels // 2, channels
        shapes = {0: (depth, a), 3: (a, b), 6: (b, c), 8: (c, c), 11: (c, d), 14: (d, d)}
        net = nn.Module()
        for at, (size, out) in shapes.items():
            net.add_module(str(at), nn.Conv2d(size, out, 3, padding=1, bias=at < 11))
        for at in (12, 15):
            net.add_module(str(at), nn.BatchNorm2d(d))
        net.add_module("18", nn.Conv2d(d, d, 2))
        self.FeatureExtraction = nn.Module()
        self.FeatureExtraction.ConvNet = net
        rows = []
        for size in (channels, hidden):
            row = nn.Module()
            row.rnn = nn.LSTM(size, hidden, bidirectional=True, batch_first=True)
            row.linear = nn.Linear(2 * hidden, hidden)
            rows.append(row)
        self.SequenceModeling = nn.ModuleList(rows)
        self.Prediction = nn.Linear(hidden, classes)

    def forward(self, pixel_values):
        net = self.FeatureExtraction.ConvNet
        x = pixel_values
        pools = {0: (2, 2), 3: (2, 2), 8: (2, 1), 14: (2, 1)}
        for at in (0, 3, 6, 8, 11, 14, 18):
            x = net.get_submodule(str(at))(x)
            if at in (11, 14):
                x = net.get_submodule(str(at + 1))(x)
            x = x.relu()
            x = F.max_pool2d(x, pools[at]) if at in pools else x
        x = x.mean(2).transpose(1, 2)
        for row in self.SequenceModeling:
            x = row.linear(row.rnn(x)[0])
        return {"logits": self.Prediction(x)}


def tiny_craft(values) -> tuple[SimpleNamespace, nn.Module]:
    model = Craft(values["hidden_sizes"], values["bottom_size"], values["up_sizes"])
    model.given = {"model_type": "craft", **values}
    return SimpleNamespace(**values), model


def tiny_crnn(values) -> tuple[SimpleNamespace, nn.Module]:
    classes = 1 + len(values["characters"])
    sizes = values["output_channel"], values["hidden_size"]
    model = Crnn(*sizes, classes, values["input_channel"])
    model.given = {"model_type": "crnn", **values}
    return SimpleNamespace(**values), model


SPECS = {
    "craft": Spec(
        "CraftForTextDetection",
        tiny_craft,
        {"hidden_sizes": [4, 6, 8, 8, 10], "bottom_size": 12, "up_sizes": [8, 6, 4, 4]},
        images((70, 45)),
        ("logits",),
    ),
    "crnn": Spec(
        "CrnnForTextRecognition",
        tiny_crnn,
        {
            "output_channel": 32,
            "hidden_size": 32,
            "input_channel": 2,
            "characters": "0123456789 abcß€",
        },
        images((40, 50), channels=2),
        ("logits",),
        stds={"*.rnn.*": 0.2},
    ),
}
