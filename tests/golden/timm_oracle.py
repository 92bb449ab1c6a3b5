"""Models of timm in the form that make_families.py asks for."""

from __future__ import annotations

import contextlib
import functools
import importlib
from pathlib import Path
from unittest import mock

import timm
import torch
import transformers
from timm.models._efficientnet_builder import decode_arch_def
from timm.models._hub import save_for_hf
from timm.models._registry import _model_entrypoints
from timm.models.byobnet import ByoBlockCfg, ByoModelCfg
from timm.models.fastvit import RepConditionalPosEnc


class Oracle:
    """What transformers' models have beside timm's."""

    def forward(self, pixel_values):
        for module in self.modules():
            if hasattr(module, "attention_bias_cache"):  # made without a gradient, maybe
                module.attention_bias_cache = {}
        return {"logits": super().forward(pixel_values)}

    def views(self, x) -> dict[str, torch.Tensor]:
        """What the tasks `embedding` and `backbone` give."""
        with torch.no_grad():
            features = self.forward_features(x)
            pooled = self.forward_head(features, pre_logits=True)
            maps = self.forward_intermediates(x, intermediates_only=True)
        found = {"last_hidden_state": features, "pooler_output": pooled}
        return found | {f"feature_maps.{i}": each for i, each in enumerate(maps)}

    def tie_weights(self) -> None:
        pass

    def save_pretrained(self, folder: Path) -> None:
        args = {k: v for k, v in self.given.items() if k != "num_classes"}
        save_for_hf(self, str(folder), model_args=args, safe_serialization=True)


def byob(given) -> ByoModelCfg:
    """RepVGG's or MobileOne's config, of widths as they are; takes its arguments from `given`."""
    width = given.pop("stem_chs")
    branches, groups = given.pop("num_conv_branches", 0), given.pop("groups", 1)
    rows = zip(given.pop("depths"), given.pop("widths"), given.pop("se_blocks"), strict=True)
    stages, stem = [], width
    for depth, out, excited in rows:
        blocks = []
        for i in range(depth):
            attention = {"attn_layer": "se"} if i >= depth - excited else {}
            if not branches:
                size = out // groups if i % 2 else 0
                blocks.append(ByoBlockCfg(type="rep", d=1, c=out, gs=size, **attention))
                continue
            more = {"num_conv_branches": branches}
            blocks.append(ByoBlockCfg("one", 1, width, gs=1, block_kwargs=more, **attention))
            more = {"kernel_size": 1, **more}
            blocks.append(ByoBlockCfg("one", 1, out, gs=0, block_kwargs=more, **attention))
            width = out
        stages.append(blocks)
    return ByoModelCfg(tuple(stages), stem_type="one" if branches else "rep", stem_chs=stem)


@contextlib.contextmanager
def arguments(name: str, values):
    """Within it the class of a name is called with `values` in the place of the variant's."""
    module = importlib.import_module(_model_entrypoints[name].__module__)
    original, given = module.build_model_with_cfg, dict(values)
    if "block_args" in given:
        given["block_args"] = decode_arch_def(given["block_args"])
    if "cfg" in given:
        given["model_cfg"] = given.pop("cfg")
    if "stem_chs" in given:
        given["model_cfg"] = byob(given)
    if "pos_embs" in given:
        given["se_downsamples"] = [bool(each) for each in given["se_downsamples"]]
        given["pos_embs"] = [
            functools.partial(RepConditionalPosEnc, spatial_shape=(k, k)) if k else None
            for k in given["pos_embs"]
        ]

    def build(model_cls, variant, pretrained, **kwargs):
        return original(model_cls, variant, pretrained, **{**kwargs, **given})

    with mock.patch.object(module, "build_model_with_cfg", build):
        yield


def wrapper(name: str, values):
    """transformers' config and wrapper of the model of a name."""
    config = transformers.TimmWrapperConfig(architecture=name, num_labels=values["num_classes"])
    with arguments(name, values):
        model = transformers.TimmWrapperForImageClassification(config)
    config.model_args = {k: v for k, v in values.items() if k != "num_classes"}
    return config, model


def timm_model(name: str, values) -> torch.nn.Module:
    """The model of a name, of arguments that stand in the place of the variant's."""
    with arguments(name, values):
        model = timm.create_model(name, pretrained=False)
    model.given = dict(values)
    model.__class__ = type("Oracle", (Oracle, model.__class__), {})
    return model
