"""Make tests/golden/cross: the decoder of a tiny BART, a context, and what it generates from it.

Run it with torch and transformers installed: python tests/golden/make_cross.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BartConfig, BartForConditionalGeneration, GenerationConfig
from transformers.modeling_outputs import BaseModelOutput

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT.parent))

from generate.cross_decoder import (  # noqa: E402
    CONTEXT,
    HEADS,
    LAYERS,
    PROMPTS,
    SEARCHES,
    SIZE,
    VOCABULARY,
)


def main() -> None:
    config = BartConfig(
        vocab_size=VOCABULARY,
        d_model=SIZE,
        encoder_layers=1,
        encoder_ffn_dim=8,
        encoder_attention_heads=2,
        decoder_layers=LAYERS,
        decoder_ffn_dim=24,
        decoder_attention_heads=HEADS,
        max_position_embeddings=CONTEXT,
        scale_embedding=False,
    )
    model = BartForConditionalGeneration(config).eval()
    source = torch.Generator().manual_seed(4)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=source)
        if "layers" not in name and p.ndim > 1:  # tokens of one length, that none is chosen always
            p.data.copy_(3 * noise / noise.norm(dim=1, keepdim=True))
        else:
            p.data.copy_(0.6 * noise if p.ndim > 1 else 0.1 * noise + (p.data == 1))
    model.generation_config = GenerationConfig()
    context = torch.randn(3, 6, SIZE, generator=source)
    mask = torch.tensor([[1] * 6, [1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 1]])
    answers = {}
    for prompted in (False, True):
        for name, options in SEARCHES.items():
            if prompted and name not in PROMPTS:
                continue
            more = {"decoder_input_ids": torch.tensor(PROMPTS[name])} if prompted else {}
            found = model.generate(
                encoder_outputs=BaseModelOutput(last_hidden_state=context),
                attention_mask=mask,
                generation_config=GenerationConfig(**options),
                **more,
            )
            answers[name + " after a prompt" * prompted] = found.tolist()
    (ROOT / "cross").mkdir(exist_ok=True)
    tensors = {
        name.removeprefix("model.decoder."): p.detach().contiguous()
        for name, p in model.state_dict().items()
        if name.startswith("model.decoder.")
    }
    tensors |= {"context": context, "context_mask": mask}
    save_file(tensors, ROOT / "cross" / "decoder.safetensors", {"answers": json.dumps(answers)})


if __name__ == "__main__":
    main()
