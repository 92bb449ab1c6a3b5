"""Goldens of BitNet, with weights and activations that are rounded, and with neither."""

from __future__ import annotations

import torch
import transformers
from transformers.integrations.bitnet import replace_with_bitnet_linear
from transformers.utils.quantization_config import BitNetQuantConfig

from specs import Spec, texts
from specs.decoders import SEARCHES, TINY
from specs.further_decoders import decoder

ONLINE = {"linear_class": "autobitlinear", "quantization_mode": "online"}


def rounding(values):
    """The config and the model, as transformers makes it for a checkpoint that is so quantised."""
    torch._dynamo.config.disable = True
    config = transformers.BitNetConfig(**values)
    config._attn_implementation = "eager"
    how = BitNetQuantConfig(**ONLINE)
    model = transformers.BitNetForCausalLM(config)
    replace_with_bitnet_linear(model, ["lm_head"], how)
    for _, module in model.named_modules():
        if type(module).__name__ == "AutoBitLinear":
            module.weight = torch.nn.Parameter(torch.zeros(module.weight.shape))
    config.quantization_config = how.to_dict()
    return config, model


SPECS = {
    "bitnet": Spec(
        "BitNetForCausalLM", rounding, TINY, texts(pad=None), ("logits",),
        generate={"greedy": SEARCHES["greedy"]},
    ),
    **decoder("bitnet_plain", "BitNet", hidden_act="silu", tie_word_embeddings=True),
}  # fmt: skip
